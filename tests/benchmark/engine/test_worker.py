"""Cells that fail leave the others alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import FlowgaugeError


def test_failures_are_forgotten_when_the_plugin_is_mended(make_plan, tmp_path, plug) -> None:
    own = tmp_path / "own.py"
    source = Path(plug("")[0].rstrip(":")).read_text()
    own.write_text(source.replace("scale * q", "q * missing_name"))
    plan = make_plan(methods=f"{own}:by-position")
    (failed,) = run(plan).records
    assert (failed.status, failed.error) == ("failed", "NameError: name 'missing_name' is not defined")
    assert run(plan).records[0].status == "failed", "a failed cell is tried again"
    own.write_text(source)
    (mended,) = run(plan).records
    assert mended.status == "done" and Store(plan.store).records() == [mended]


def test_a_plugin_that_leaves_python_fails_alone(make_plan, plug) -> None:
    leaves, whole = run(make_plan(methods=plug("leaves", "by-position"))).records
    assert (leaves.status, leaves.error, whole.status) == ("failed", "SystemExit: 0", "done")


def test_changed_weights_reach_no_other_cell(make_plan, plug) -> None:
    with pytest.raises(FlowgaugeError, match="'vandal' changed the model's weights"):
        run(make_plan(methods=plug("vandal", "by-position")))
    assert not Store(make_plan().store).records()
