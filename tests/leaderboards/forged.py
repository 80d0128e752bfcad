"""Bundles as a careful cheat would write them: every name, hash and sum fits, and only what is claimed is false.

And what a test needs to spoil a bundle, and to read what was found.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from flowgauge.benchmark.store.key import method_key, short_hash
from flowgauge.benchmark.store.sums import without_seal
from flowgauge.benchmark.verification.recompute_scores import ScoreRecomputer
from flowgauge.leaderboards.submission.verify import verify
from flowgauge.methods.registry import METHODS
from flowgauge.metrics.summary import summarise


def cell(bundle: Path, method: str = "integrated-gradients") -> Path:
    (found,) = (bundle / "cells" / "agreement-bert" / "sva" / "obj").glob(f"{method}-*")
    return found


def edit_json(path: Path, change: Callable[[Any], Any]) -> None:
    """Changes a file and leaves its seal out, as in files of earlier versions."""
    data = without_seal(json.loads(path.read_text()))
    path.write_text(json.dumps(change(data) or data))


def _with_files(files: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name != "sizes"} | {"files": files}


def resign(bundle: Path) -> None:
    """What a careful cheat does: records list the sums of the spoilt files, and the manifest those of everything."""
    for record in bundle.glob("cells/**/record.json"):
        listed = sorted([*record.parent.glob("explanations/*"), *record.parent.glob("scores/*")])
        sums = {p.relative_to(record.parent).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in listed}
        edit_json(record, partial(_with_files, sums))
    sign(bundle)


def sign(bundle: Path) -> None:
    """Makes the manifest list the files as they are."""
    files = {
        p.relative_to(bundle).as_posix(): {"sha256": hashlib.sha256(p.read_bytes()).hexdigest(), "bytes": p.stat().st_size}
        for p in bundle.rglob("*")
        if p.is_file() and p.name != "manifest.json"
    }
    edit_json(bundle / "manifest.json", partial(_with_files, files))


def edit_rows(
    folder: Path,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    metric: str = "ablated_accuracy@1",
    factors: Mapping[str, float] | None = None,
) -> None:
    """Other rows, with the aggregates that they give; or the first aggregate times factors."""
    path = folder / "scores" / f"{metric}.parquet"
    table = pq.read_table(path)
    rows = change(table.to_pandas())
    score = json.loads(table.schema.metadata[b"flowgauge"])
    named = rows if "cluster" in rows else rows.assign(cluster="")
    aggregates = [a.__dict__ for a in summarise(named, score["bounds"])]
    if factors is not None:
        first, *others = score["aggregates"]
        aggregates = [first | {name: first[name] * factor for name, factor in factors.items()}, *others]
    stored = [{k: v for k, v in a.items() if (k, v) != ("clusters", None)} for a in aggregates]
    score["aggregates"] = [{k: None if v != v else v for k, v in a.items()} if a else a for a in stored]
    new = type(table).from_pandas(rows, preserve_index=False)
    pq.write_table(new.replace_schema_metadata({**new.schema.metadata, b"flowgauge": json.dumps(score).encode()}), path)
    edit_json(folder / "record.json", lambda data: data | {"scores": {**data["scores"], metric: score}})


def flip(rows: pd.DataFrame) -> pd.DataFrame:
    ranked = rows["variant"] == "embedding/matched/predicted"
    rows.loc[ranked, "value"] = 1 - rows.loc[ranked, "value"]
    return rows


def problems(bundle: Path, **fields: Any) -> str:
    checked = verify(bundle, ScoreRecomputer(device="cpu"), **fields)
    assert checked.trust != "re-scored" if checked.problems else checked.trust == "re-scored"
    return "\n".join(f"{p.where}: {p.what}" for p in checked.problems)


def rekey(bundle: Path, method: str, change: Callable[[dict[str, Any]], Any]) -> Path:
    """A cell of a bundle under the key that its changed record has."""
    (folder,) = bundle.glob(f"cells/agreement-bert/sva/obj/{method}-*")
    stored = json.loads((folder / "record.json").read_text())
    change(stored)
    stored["cell"] = short_hash(stored["key"])
    (folder / "record.json").write_text(json.dumps(stored))
    folder = folder.rename(folder.with_name(f"{stored['method']}-{stored['cell']}"))
    resign(bundle)
    return folder


def claim(bundle: Path, method: str, spec: str) -> Path:
    """A cell that says another method explained it."""
    made = METHODS.create(spec)

    def change(stored: dict[str, Any]) -> None:
        key = method_key(made)
        stored["key"] |= {"method": key, "seed": 0 if made.stochastic else None}
        stored |= {"method": made.name, "settings": key["settings"], "seed": stored["key"]["seed"]}

    return rekey(bundle, method, change)
