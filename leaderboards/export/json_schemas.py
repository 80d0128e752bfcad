"""The JSON Schemas of records, bundles, ledgers and plans; run as a module, it writes them into a folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ...benchmark.engine.plan import Plan
from ...benchmark.external import folder_format as outside
from ...benchmark.store.record import Record, TrainingRecord
from ..submission.bundle import BundleManifest
from ..submission.ledger import Event

SCHEMAS: dict[str, type[BaseModel]] = {
    "record": Record, "fit": TrainingRecord, "plan": Plan, "bundle": BundleManifest, "ledger-event": Event,
    "outside": outside.ExternalManifest,
}  # fmt: skip
"""By file name: `record.json` and `fit.json` of a store, a plan's YAML, a bundle's `manifest.json`, a line of `ledger.jsonl`, the
`manifest.json` beside explanations computed elsewhere."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a kind of file; what is missing there has its default.

    >>> schema("record")["title"]
    'Record'
    """
    return {"$schema": DIALECT, **SCHEMAS[name].model_json_schema()}


def written(name: str) -> str:
    """Its text."""
    return json.dumps(schema(name), indent=1, ensure_ascii=False) + "\n"


def write(folder: Path) -> list[Path]:
    """Writes one file a schema; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name in SCHEMAS:
        path = folder / f"{name}.json"
        path.write_text(written(name), encoding="utf-8")
        made.append(path)
    return made


if __name__ == "__main__":
    print(*write(Path(*sys.argv[1:])), sep="\n")
