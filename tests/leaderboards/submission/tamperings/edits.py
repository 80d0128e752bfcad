"""What changes a record, a score, an explanation or a training of a bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from flowgauge.benchmark.store.explanation_file import ExplainedSentence, Part, from_bytes, to_bytes
from flowgauge.benchmark.store.key import short_hash

from ...forged import cell, edit_json


def edit_record(bundle: Path, method: str, **fields: Any) -> None:
    edit_json(cell(bundle, method) / "record.json", lambda data: data | fields)


def edit_score(bundle: Path, method: str, of: str, **fields: Any) -> None:
    """A score with other fields, in its record and beside its rows."""
    folder = cell(bundle, method)
    stored = json.loads((folder / "record.json").read_text())
    stored["scores"][of] |= fields
    (folder / "record.json").write_text(json.dumps(stored))
    path = folder / "scores" / f"{of}.parquet"
    if path.exists():
        table = pq.read_table(path)
        pq.write_table(table.replace_schema_metadata({b"flowgauge": json.dumps(stored["scores"][of]).encode()}), path)


def edit_aggregate(bundle: Path, method: str, metric: str, variant: str, **fields: Any) -> None:
    stored = json.loads((cell(bundle, method) / "record.json").read_text())["scores"][metric]["aggregates"]
    edit_score(bundle, method, metric, aggregates=[a | fields if a["variant"] == variant else a for a in stored])


def edit_part(bundle: Path, method: str, change: Callable[[Part], Part]) -> None:
    (path,) = (cell(bundle, method) / "explanations").iterdir()
    path.write_bytes(to_bytes(change(from_bytes(path.read_bytes()))))


def edit_sentence(bundle: Path, method: str, change: Callable[[ExplainedSentence], ExplainedSentence]) -> None:
    edit_part(bundle, method, lambda part: replace(part, sentences=(change(part.sentences[0]), *part.sentences[1:])))


def in_one_cluster(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of instances that are said to come from one source, so that their mean looks less sure than that of other methods."""
    rows.insert(2, "cluster", "passage 7")
    return rows


def planted_training(bundle: Path, folder: str = "", method: str = "saliency", **fields: Any) -> Path:
    """A training of a cell of the bundle, which is in order but for the given fields."""
    key = json.loads((cell(bundle, method) / "record.json").read_text())["key"]
    home = bundle / "cells" / "fits" / (folder or f"{method}-{short_hash(key)}")
    home.mkdir(parents=True)
    (home / "weights.safetensors").write_bytes(b"weights")
    sums = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
    fit = {"key": key, "status": "done", "seconds": 1.0, "curve": [], "weights": sums}
    (home / "fit.json").write_text(json.dumps(fit | fields))
    return home
