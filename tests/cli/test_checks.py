"""`flowgauge check` and `speed`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flowgauge.benchmark.speed.comparisons import ComparedTime
from flowgauge.benchmark.speed.growth import Growth
from flowgauge.benchmark.speed.measure import SpeedReport, TimedRow
from flowgauge.benchmark.speed.peak_memory import MemoryRow
from flowgauge.cli import app
from flowgauge.metrics.calibration.coverage import Calibration, Sizes

from .conftest import one_line

STORE = Path(__file__).parents[1] / "fixtures" / "store-3"

GOOD = """
import flowgauge


@flowgauge.method("gradient-free", gives={"tokens"})
def gradient_free(model, batch):
    \"\"\"The size of each word vector.\"\"\"
    return flowgauge.explanations(batch, tokens=model.words(batch).norm(dim=-1))
"""


def test_check_finds_broken_promises(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text(GOOD)
    bad.write_text(GOOD.replace("model.words(batch).norm(dim=-1)", "model.words(batch).norm(dim=-1)[:, :-1]"))
    result = CliRunner().invoke(app, ["check", str(good)])
    assert result.exit_code == 0, result.output
    assert all(line.startswith("ok  ") for line in result.stdout.splitlines())
    result = CliRunner().invoke(app, ["check", str(bad)])
    assert result.exit_code == 1 and "FAIL  method gradient-free:" in result.stdout
    one_line(CliRunner().invoke(app, ["check", str(tmp_path / "none.py")]), 2, "no file")


def test_speed_prints_conditions_and_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (TimedRow("integrated gradients", 2.0, 1.0, 1.0, 1.0), TimedRow("peer", 1.0, 0.5, 0.4, 0.6, "plain pass"))
    report = SpeedReport(
        device="cpu",
        threads=1,
        torch="2.9",
        sentences=8,
        tokens=16,
        samples=50,
        layers=6,
        heads=8,
        width=512,
        repeats=3,
        rows=rows,
    )
    compared = ComparedTime("a run", "by hand", 1.0, 2.0, 4.0, 0.5, 0.4, 0.6, 5)
    monkeypatch.setattr("flowgauge.benchmark.speed.measure.measure", lambda device, repeats: report)
    monkeypatch.setattr("flowgauge.benchmark.speed.comparisons.compare_times", lambda repeats: iter([compared]))
    monkeypatch.setattr("flowgauge.benchmark.speed.growth.measure_growth", lambda: [Growth("tokens", (8,), (0.5,), 0.75, 1.0)])
    lines = CliRunner().invoke(app, ["speed"]).stdout.splitlines()
    assert lines[:2] == ["cpu, 1 threads, torch 2.9, 3 repeats", "8 sentences of 16 tokens, 50 path samples"]
    assert lines[3].split()[2:8] == ["2.0000", "s", "1.00", "x", "[1.00,", "1.00]"]
    assert lines[4].split() == ["peer", "1.0000", "s", "0.50", "x", "[0.40,", "0.60]", "of", "plain", "pass"]
    printed = json.loads(CliRunner().invoke(app, ["speed", "--json"]).stdout)
    assert printed["repeats"] == 3 and printed["rows"][1]["ratio"] == 0.5
    assert "a run: 2.00 s, 0.50 [0.40, 0.60] x, goal 1; by hand: 4.00 s" in lines
    assert lines[-1] == "tokens: exponent 0.75, 1.00 at the end (8: 0.50 s)"
    assert printed["comparisons"][0]["ratio"] == 0.5 and printed["growth"][0]["exponent"] == 0.75


def test_speed_prints_a_row_of_memory_for_each_method(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def rows(
        shapes: Any, tokens: Any, methods: Any, *, table: Any, layers: Any, timeout: float, budget: int, quiet: bool
    ) -> list[MemoryRow]:
        asked.append((shapes, tokens, methods, layers, timeout, budget))
        return [
            MemoryRow("gpt2", 30, "lime", 3.2, 5.1, 2**29),
            MemoryRow("gpt2", 30, "attattr", 9.0, 9.0, 0, "not finished in 9 s"),
        ]

    monkeypatch.setattr("flowgauge.benchmark.speed.peak_memory.measure_memory", rows)
    options = ["speed", "--memory", "--shape", "gpt2", "--tokens", "30", "-x", "lime", "-x", "attattr", "--layers", "2"]
    lines = CliRunner().invoke(app, [*options, "--timeout", "9"]).stdout.splitlines()
    assert asked == [(["gpt2"], [30], ["lime", "attattr"], 2, 9.0, 2**32)]
    assert lines[1].split() == ["gpt2", "30", "lime", "3", "s", "5", "s", "0.50", "GiB"]
    assert lines[2].split() == ["gpt2", "30", "attattr", "9", "s", "9", "s", "not", "finished", "in", "9", "s"]
    assert json.loads(CliRunner().invoke(app, [*options, "--json"]).stdout)[0]["bytes"] == 2**29


def test_calibration_takes_its_numbers_from_a_store_or_from_options(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Sizes, int]] = []

    def found(sizes: Sizes, seed: int) -> list[Calibration]:
        asked.append((sizes, seed))
        return [
            Calibration("coverage", "scores", sizes.instances, 0.95, 0.94, 0.93, 0.95, 0.5, 0.1, "no spread"),
            Calibration("power", "gap", sizes.instances, *(math.nan,) * 4),
        ]

    monkeypatch.setattr("flowgauge.metrics.calibration.calibrate.calibrate", found)
    of_store = CliRunner().invoke(app, ["calibration", str(STORE), "--instances", "30"])
    assert of_store.exit_code == 0, of_store.output
    assert "0.940 [0.930, 0.950]" in of_store.stdout and "10 %: no spread" in of_store.stdout
    plain = CliRunner().invoke(app, ["calibration", "--json", "--seed", "2"])
    assert [(line["instances"], line["promised"]) for line in json.loads(plain.stdout)] == [
        (count, promised) for count in (16, 64, 300) for promised in (0.95, None)
    ]
    assert asked[0][0].instances == 30 and asked[0][0].methods > 1
    assert asked[1:] == [(Sizes(count), 2) for count in (16, 64, 300)]
