"""Bundles as a careful cheat would write them: every name, hash and sum fits, and only what is claimed is false."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flowgauge.benchmark.key import method_key, short_hash
from flowgauge.methods.registry import METHODS

from .test_bundle import resign


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
