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
    assert failed.status == "failed" and failed.error.startswith("name 'missing_name' is not defined (own.py, line ")
    assert run(plan).records[0].status == "failed", "a failed cell is tried again"
    own.write_text(source)
    (mended,) = run(plan).records
    assert mended.status == "done" and Store(plan.store).records() == [mended]


def test_a_plugin_that_leaves_python_fails_alone(make_plan, plug) -> None:
    leaves, whole = run(make_plan(methods=plug("leaves", "by-position"))).records
    assert (leaves.status, whole.status) == ("failed", "done")
    assert leaves.error.startswith("it ended Python with the exit code 0 (plugins.py, line ")


MODEL = {"weights": "the model's weights", "mode": "the model's training mode", "hooks": "the hooks on the model"}
PROCESS = {
    "batch": "",
    "cache": "",
    "seeds": "",
    "dtype": "it changed torch's default dtype and left it so",
    "folder": "it changed the working folder and left it so",
    "exit": "it called os._exit, which ends Python at once (plugins.py, line ",
    "panic": "cannot assign to field 'ids' (plugins.py, line ",
}
"""What the method `vandal` changes, and what is said of it: that of the model stops a run, the other is set back."""


@pytest.mark.parametrize(("what", "said"), MODEL.items(), ids=MODEL)
def test_a_changed_model_reaches_no_other_cell(what: str, said: str, make_plan, plug) -> None:
    with pytest.raises(FlowgaugeError, match=f"method 'vandal' changed {said}, so the run was stopped"):
        run(make_plan(methods=[f"{plug('vandal')[0]}:what={what}", *plug("by-position")]))
    assert not Store(make_plan().store).records()


def test_the_cells_of_others_are_what_they_are_without_vandals(make_plan, plug, rows_of, tmp_path: Path) -> None:
    others = ["integrated-gradients:samples=2", *plug("by-position"), "influence-patterns:samples=2"]
    results = run(make_plan(methods=[*(f"{plug('vandal')[0]}:what={what}" for what in PROCESS), *others]))
    for record, said in zip(results.records, PROCESS.values(), strict=False):
        assert (record.status, record.error[: len(said)]) == ("failed" if said else "done", said)
    expected, rows = rows_of(run(make_plan(methods=others, store=str(tmp_path / "alone")))), rows_of(results)
    assert len(expected) == 3 and all(table.equals(rows[cell]) for cell, table in expected.items())


def test_a_metric_that_writes_into_what_it_is_shown_changes_no_other_score(make_plan, plug, rows_of) -> None:
    scribbled, summed = rows_of(run(make_plan(metrics=plug("scribbles", "token-sum"), batch_size=12))).values()
    assert summed.equals(scribbled) and (summed["value"] != 0).any()
    with pytest.raises(FlowgaugeError, match="metric 'retrains' changed the model's training mode"):
        run(make_plan(metrics=plug("retrains")))


def test_an_edit_of_a_helper_computes_the_cell_again(make_plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "plug.py").write_text(
        "import torch, flowgauge\nfrom own_factor import FACTOR\n\n\n@flowgauge.method('mine', gives={'tokens'})\n"
        'def mine(model, batch):\n    """Mine."""\n'
        "    return flowgauge.explanations(batch, tokens=FACTOR * torch.ones(batch.ids.shape))\n"
    )
    sums = []
    for factor in (1, 2):
        (tmp_path / "own_factor.py").write_text(f"FACTOR = {factor}\n")
        results = run(make_plan(methods=[str(tmp_path / "plug.py")], limit=2))
        sums.append(results.to_pandas()["value"].iloc[0])
    assert sums[1] == 2 * sums[0] and len(Store(results.store).records()) == 2


def test_memory_that_runs_out_makes_batches_smaller_and_scores_no_others(make_plan, plug, rows_of, tmp_path, caplog) -> None:
    name, metric = plug("hungry", "hungry-sum")
    plenty = run(make_plan(methods=f"{name}:most=100", metrics=f"{metric}:most=100", store=str(tmp_path / "plenty")))
    little = run(make_plan(methods=f"{name}:most=2", metrics=f"{metric}:most=2"))
    assert little.records[0].status == "done" and little.records[0].instances == 12
    (expected,), (rows,) = rows_of(plenty).values(), rows_of(little).values()
    assert rows.sort_values(["instance", "variant"], ignore_index=True).equals(
        expected.sort_values(["instance", "variant"], ignore_index=True)
    )
    assert "with 5 instances at once; 2 from here on" in caplog.text and "in scoring sva/obj with 5 instances" in caplog.text


def test_one_instance_that_is_too_much_fails_its_cell_alone(make_plan, plug) -> None:
    hungry, metric, other = plug("hungry", "hungry-sum", "by-position")
    failed, whole = run(make_plan(methods=[f"{hungry}:most=0", other], metrics=[f"{metric}:most=0"])).records
    assert failed.status == "failed" and failed.error.startswith("one instance takes more memory than there is: ")
    assert whole.status == "partial" and "there is not enough memory" in whole.error


def test_processor_time_stands_beside_wall_time(make_plan, plug) -> None:
    (record,) = run(make_plan()).records
    assert record.cost is not None and record.cost.processor is not None and record.cost.processor > 0
