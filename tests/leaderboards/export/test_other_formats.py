"""Results in the formats of others."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import parse_eval_result_entries
from tests.leaderboards.conftest import record, score
from typer.testing import CliRunner

from flowgauge.benchmark.store.store import Store
from flowgauge.cli import app
from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.export.other_formats import EEE_SCHEMA, every_eval_ever, hub_results
from flowgauge.metrics.scores import Aggregate

SCHEMA = Path(__file__).resolve().parents[2] / "fixtures" / "every-eval-ever" / "eval.schema.json"


@pytest.fixture
def records():
    nan = Aggregate(variant="auc", value=float("nan"), low=float("nan"), high=float("nan"), count=0, undefined=8, reason="none")
    accuracy = score("accuracy", {"all": (0.75, 0.5, 0.9)}, ranked="all", unit="share", higher_is_better=True, bounds=(0.0, 1.0))
    error = score("error", {"mean": 0.25}, ranked="mean", unit="nats", higher_is_better=False, bounds=(0.0, None))
    depth = score("depth", {"mean": 3.0}, ranked="mean", unit="layers")
    return [record("good", [accuracy, error, depth, score("curve", {"auc": nan}, ranked="auc", higher_is_better=True)])]


def test_every_ranked_score_with_a_direction_is_a_result(records) -> None:
    (document,) = every_eval_ever(records, "we")
    accuracy, error = document["evaluation_results"]
    assert accuracy["score_details"]["score"] == 0.75
    assert accuracy["score_details"]["uncertainty"]["confidence_interval"]["lower"] == 0.5
    assert accuracy["metric_config"]["lower_is_better"] is False and accuracy["metric_config"]["max_score"] == 1
    assert error["metric_config"]["lower_is_better"] is True and "score_type" not in error["metric_config"]
    assert json.loads(json.dumps(document)) == document
    assert every_eval_ever([record("none")], "we") == []


def test_the_document_fits_the_published_schema(records) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed: pip install 'flowgauge[test]'.")
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    (document,) = every_eval_ever(records, "we")
    jsonschema.validate(document, schema)
    assert schema["version"] == document["schema_version"] == EEE_SCHEMA
    changes: list[dict[str, Any]] = [{"schema_version": 3}, {"evaluation_results": [{}]}, {"more": 1}]
    for spoilt in changes:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document | spoilt, schema)


def test_the_hub_reads_what_is_written_for_it(records) -> None:
    entries = parse_eval_result_entries(yaml.safe_load(hub_results(records, "flowgauge/board", "https://example.org")))
    assert [(e.dataset_id, e.task_id, e.value) for e in entries] == [
        ("flowgauge/board", "sva/obj/accuracy", 0.75),
        ("flowgauge/board", "sva/obj/error", 0.25),
        ("flowgauge/board", "sva/obj/depth", 3.0),
    ]
    assert entries[0].notes == "good, all, 95 % interval 0.5 to 0.9, 8 instances"
    with pytest.raises(UsageError, match="of 2 models"):
        hub_results([*records, record("good", model="other")], "x/y")


def test_the_command(records, tmp_path) -> None:
    store = Store(str(tmp_path / "store"))
    store.find(records[0]).write_record(records[0])
    call = lambda *words: CliRunner().invoke(app, ["leaderboard", "exchange", store.url, "--out", str(tmp_path / "out"), *words])  # noqa: E731
    assert (
        call().exit_code == 0 and json.loads((tmp_path / "out" / "toy.json").read_text())["eval_library"]["name"] == "flowgauge"
    )
    assert call("--dataset", "a/b").exit_code == 0 and (tmp_path / "out" / "toy.yaml").exists()
    wrong = call("--dataset", "a/b", "--model", "toi")
    assert wrong.exit_code == 2 and "did you mean toy" in wrong.stderr


def test_a_number_without_an_interval_says_why() -> None:
    one = record("a", [score("kept", {"all": (0.5, math.nan, math.nan)}, ranked="all")])
    assert "all, no spread, 8 instances" in hub_results([one], "owner/name")
