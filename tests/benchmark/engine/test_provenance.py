"""What a record says of the software and the machine."""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from flowgauge.benchmark.engine.provenance import __file__ as provenance_file
from flowgauge.benchmark.engine.provenance import provenance
from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.loading.model_handle import ModelHandle
from flowgauge.models.load import load_model


def test_batch_size_is_provenance(make_plan, rows_of, monkeypatch) -> None:
    first = run(make_plan())
    monkeypatch.setattr(ModelHandle, "load", lambda _: pytest.fail("the model was loaded"))
    second = run(make_plan(batch_size=3))
    assert second.records[0].cell == first.records[0].cell
    assert second.records[0].provenance.batch_size == 5


def test_captum_and_the_commit_are_noted(tiny_model) -> None:
    noted = provenance(load_model(str(tiny_model)), 4)
    assert noted.packages["captum"] == version("captum") and noted.batch_size == 4
    checkout = Path(provenance_file).resolve().parents[2]
    head = subprocess.run(["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True)
    expected = head.stdout.strip() if head.returncode == 0 else ""
    assert noted.commit.removesuffix("+changes") == expected


def test_the_command_line_is_noted_without_folders(monkeypatch, make_plan) -> None:
    monkeypatch.setattr("sys.argv", ["/opt/bin/flowgauge", "run", "--method", "/home/me/a method.py:mine", "--store=/data/s"])
    (record,) = run(make_plan()).records
    assert record.provenance.command == "flowgauge run --method 'a method.py:mine' --store=s"
