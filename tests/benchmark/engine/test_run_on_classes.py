"""Classification tasks from plan to record: data folder, labels, cut texts, and models whose head does not fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flowgauge.benchmark.engine.plan import Plan
from flowgauge.benchmark.engine.run import run
from flowgauge.cli import app


@pytest.fixture
def plan(make_plan: Callable[..., Plan], tiny_folder: Callable[..., Path], tiny_data: Path) -> Callable[..., Plan]:
    """A small plan for the tiny classifier on SST-2 in miniature."""

    def make(**fields: Any) -> Plan:
        model = str(tiny_folder("bert", "label"))
        return make_plan(**{"model": model, "tasks": "sst2", "data_dir": str(tiny_data), "limit": None, **fields})

    return make


def test_the_record_says_where_the_data_came_from_and_how_labels_were_read(plan: Callable[..., Plan]) -> None:
    (record,) = run(plan()).records
    assert (record.status, record.task, record.instances) == ("done", "sst2", 16)
    assert record.task_source == "data folder: train = sst2/train.tsv, validation = sst2/dev.tsv"
    assert record.labels == {"negative": 0, "positive": 1}
    assert record.cut == 0


def test_cut_texts_are_counted_in_the_record(plan: Callable[..., Plan], tmp_path: Path) -> None:
    (tmp_path / "rte").mkdir()
    rows = [f"{'the author ' * n}\tthe chef\tentailment" for n in (3, 30, 40)]
    (tmp_path / "rte" / "dev.tsv").write_text("\n".join(["sentence1\tsentence2\tlabel", *rows]) + "\n")
    model = renamed(Path(plan().model), tmp_path / "model", "entailment", "not_entailment")
    (record,) = run(plan(tasks="rte", data_dir=str(tmp_path), model=str(model))).records
    assert (record.status, record.instances, record.cut) == ("done", 3, 2)


def renamed(source: Path, target: Path, *names: str) -> Path:
    """A checkpoint with its outputs called otherwise."""
    shutil.copytree(source, target)
    config = json.loads((target / "config.json").read_text())
    config["id2label"], config["label2id"] = dict(enumerate(names)), {name: i for i, name in enumerate(names)}
    (target / "config.json").write_text(json.dumps(config))
    return target


def test_the_command_line_takes_the_folder(plan: Callable[..., Plan], tiny_data: Path) -> None:
    made = plan()
    words = ["run", "--model", str(made.model), "--task", "sst2", "--method", "random", "--limit", "4", "--store", made.store]
    result = CliRunner().invoke(app, [*words, "--data-dir", str(tiny_data), "--quiet"])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(app, [*words[:-1], f"{made.store}2"], env={"FLOWGAUGE_DATA": ""})
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert "cannot be read from the Hub" in line and "--data-dir DIR" in line
