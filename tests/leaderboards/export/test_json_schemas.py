"""docs/schemas: up to date, and what is written and accepted fits them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.leaderboards.conftest import record, score

from flowgauge.benchmark.engine.plan import PLANS, Plan
from flowgauge.leaderboards.export.json_schemas import SCHEMAS, schema, write

ROOT = Path(__file__).resolve().parents[3]
FIXTURES = ROOT / "tests" / "fixtures"


def fits(name: str, data: Any) -> bool:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed: pip install 'flowgauge[test]'.")
    return jsonschema.Draft202012Validator(schema(name)).is_valid(data)


def test_they_are_up_to_date(tmp_path: Path) -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in write(tmp_path)}
    there = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "schemas").glob("*.json")}
    assert written == there, "run `make schemas`"
    assert {f"{name}.json" for name in SCHEMAS} == written.keys()


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("record", "store-*/**/record.json"),
        ("fit", "store-*/fits/*/fit.json"),
        ("bundle", "bundle-*/manifest.json"),
        ("ledger-event", "store-*/ledger.jsonl"),
        ("outside", "outside-*/manifest.json"),
    ],
)
def test_files_of_every_version_fit(name: str, pattern: str) -> None:
    texts = [
        text
        for path in FIXTURES.glob(pattern)
        for text in (path.read_text().splitlines() if "jsonl" in pattern else [path.read_text()])
    ]
    assert texts
    for text in texts:
        data = json.loads(text)
        assert fits(name, data)
        assert not fits(name, data | {"more": 1})
        first = next(key for key in schema(name)["required"])
        assert not fits(name, {key: value for key, value in data.items() if key != first})


def test_numbers_that_json_lacks_are_in_the_schema() -> None:
    odd = score("m", {"a": (math.nan, -math.inf, math.inf)})
    data = json.loads(record("x", [odd]).model_dump_json())
    assert data["scores"]["m@1"]["aggregates"][0] | {"value": None, "low": "-inf"} == data["scores"]["m@1"]["aggregates"][0]
    assert fits("record", data)
    data["scores"]["m@1"]["aggregates"][0]["value"] = "much"
    assert not fits("record", data)


def test_plans_fit_as_they_are_written_by_hand() -> None:
    for path in PLANS.glob("*.yaml"):
        assert fits("plan", yaml.safe_load(path.read_text())), path
    short = {"tasks": "sva/obj", "methods": ["random:draws=2", {"name": "attention", "residual": 0.5}], "seeds": 1}
    assert fits("plan", short) and Plan.make(**short)
    spoilt: list[dict[str, Any]] = [
        {"tasks": []},
        {"tasks": [{"residual": 0.5}]},
        {"tasks": "a", "seed": 1},
        {"tasks": "a", "limit": 0},
    ]
    for wrong in spoilt:
        assert not fits("plan", wrong)
