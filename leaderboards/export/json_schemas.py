"""The JSON Schemas of records, bundles, ledgers and plans.

Run as a module with the path of a folder, it writes one file for each schema into the folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ...benchmark.engine.plan import Plan
from ...benchmark.external.folder_format import ExternalManifest
from ...benchmark.store.atomic_files import write_file
from ...benchmark.store.record import Record, TrainingRecord
from ..submission.bundle import BundleManifest
from ..submission.ledger import Event

SCHEMAS: dict[str, type[BaseModel]] = {
    "record": Record, "fit": TrainingRecord, "plan": Plan, "bundle": BundleManifest, "ledger-event": Event,
    "outside": ExternalManifest,
}  # fmt: skip
"""The described files by the name of their schema.

These are `record.json` and `fit.json` of a store, the YAML of a plan, the `manifest.json` of a bundle, a line of `ledger.jsonl`,
and the `manifest.json` of explanations that were computed outside flowgauge.
"""
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a kind of file, in which fields with defaults are not required.

    >>> schema("record")["title"]
    'Record'
    """
    return {"$schema": DIALECT, **SCHEMAS[name].model_json_schema()}


def write(folder: Path) -> list[Path]:
    """Writes each schema into a file of its name and returns the paths."""
    paths = [folder / f"{name}.json" for name in SCHEMAS]
    for path in paths:
        write_file(path, json.dumps(schema(path.stem), indent=1, ensure_ascii=False) + "\n")
    return paths


if __name__ == "__main__":
    print(*write(Path(*sys.argv[1:])), sep="\n")
