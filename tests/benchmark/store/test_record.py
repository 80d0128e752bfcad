"""Records: numbers that JSON lacks, newer schemas, and the summary of a variant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.store.sums import sealed_json, without_seal


def test_a_store_by_a_newer_flowgauge_is_refused(make_plan) -> None:
    results = run(make_plan())
    path = Path(results.cell(results.records[0]).path) / "record.json"
    path.write_bytes(sealed_json(json.dumps({**without_seal(json.loads(path.read_text())), "schema_version": 99})))
    with pytest.raises(Exception, match="schema 99, this flowgauge reads up to 3"):
        run(make_plan())
