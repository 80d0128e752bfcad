"""Further metrics for stored explanations."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowgauge.benchmark.engine.plan import Plan
from flowgauge.benchmark.engine.rescore import rescore
from flowgauge.benchmark.engine.resolve import draw
from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.loading import model_handle
from flowgauge.benchmark.store.damage import find_damage
from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import UsageError


@pytest.fixture
def plan(make_plan: Callable[..., Plan], tiny_folder: Callable[..., Path], tiny_data: Path) -> Callable[..., Plan]:
    """A small plan for the tiny classifier on SST-2 in miniature."""

    def make(**fields: Any) -> Plan:
        model = str(tiny_folder("bert", "label"))
        return make_plan(**{"model": model, "tasks": "sst2", "data_dir": str(tiny_data), "limit": None, **fields})

    return make


def test_other_metrics_score_what_is_stored(make_plan, plug, monkeypatch) -> None:
    plan = make_plan()
    first = run(plan)
    monkeypatch.setattr("flowgauge.benchmark.engine.worker.explain_batch", lambda *_: pytest.fail("explained again"))
    (record,) = rescore(plan.store, plug("token-sum:power=2"), device="cpu").records
    assert len(record.scores) == 2
    name = next(n for n in record.scores if n not in first.records[0].scores)
    explanations = [e for part in first.cell(record).parts() for e in part.gold]
    expected = np.mean([(e.tokens**2).sum() for e in explanations])
    assert record.scores[name].aggregates[0].value == pytest.approx(expected)
    assert Store(plan.store).records() == [record]


def test_cells_are_scored_again_whether_limit_or_tokens_were_looked_at_first(
    make_plan: Callable[..., Plan], mixed_lengths: Path, plug: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(tasks=str(mixed_lengths), limit=3, max_tokens=8)
    run(plan)
    monkeypatch.setattr("flowgauge.benchmark.engine.resolve.draw", lambda plan, spec, _: draw(plan, spec))  # as version 0.1
    run(plan)
    monkeypatch.undo()
    again = rescore(plan.store, plug("token-sum:power=2"), device="cpu")
    assert sorted((record.instances, len(record.skipped), len(record.scores)) for record in again.records) == [
        (2, 1, 2),
        (3, 0, 2),
    ]


def test_other_weights_are_refused_when_the_files_are_known_after_loading_only(
    make_plan, tiny_model, tmp_path, monkeypatch
) -> None:
    plan = make_plan()
    run(plan)
    monkeypatch.setattr(model_handle, "model_fingerprint", lambda *_: None)
    with pytest.raises(UsageError, match="is not the one that sva/obj was explained with"):
        rescore(plan.store, ["path_share"])  # by its weights alone the model has another fingerprint than by its files


def test_an_earlier_failure_is_no_later_runs(make_plan, plug) -> None:
    assert run(make_plan(metrics=plug("broken"))).exit_code == 1
    assert run(make_plan(metrics=plug("token-sum"))).exit_code == 0
    assert rescore(make_plan().store, plug("token-sum:power=2")).exit_code == 0


def test_rescoring_leaves_a_damaged_cell_as_it_is(make_plan, plug) -> None:
    (record,) = run(make_plan()).records
    cell = Store(make_plan().store).find(record)
    next((Path(cell.path) / "explanations").iterdir()).write_bytes(b"")
    for _ in range(2):
        again = rescore(make_plan().store, plug("token-sum:power=2"))
        assert again.exit_code == 1 and "missing or damaged" in again.records[0].error
    assert cell.record() == record


def test_results_do_not_depend_on_where_the_data_lies_and_rescoring_finds_it(
    plan: Callable[..., Plan], tiny_data: Path, tmp_path: Path, plug: Callable[..., list[str]]
) -> None:
    copy = Path(shutil.copytree(tiny_data, tmp_path / "copy"))
    (first,), (second,) = run(plan()).records, run(plan(data_dir=str(copy))).records
    assert first.key == second.key and first.started == second.started
    (again,) = rescore(plan().store, plug("token-sum:power=2")).records
    assert len(again.scores) == 2
    shutil.rmtree(copy)


def test_rescoring_takes_a_folder_that_moved(
    plan: Callable[..., Plan], tiny_data: Path, tmp_path: Path, plug: Callable[..., list[str]]
) -> None:
    copy = Path(shutil.copytree(tiny_data, tmp_path / "copy"))
    made = plan(data_dir=str(copy))
    run(made)
    copy.rename(tmp_path / "moved")
    with pytest.raises(UsageError, match="there is no data folder"):
        rescore(made.store, plug("token-sum:power=2"))
    (record,) = rescore(made.store, plug("token-sum:power=2"), data_dir=str(tmp_path / "moved")).records
    assert len(record.scores) == 2
    (tmp_path / "moved" / "sst2" / "dev.tsv").write_text("sentence\tlabel\nthe author\t1\n")
    with pytest.raises(UsageError, match="other instances now"):
        rescore(made.store, plug("token-sum:power=2"), data_dir=str(tmp_path / "moved"))


def _aged(url: str) -> dict[str, bytes]:
    """Gives every score of a store made-up ends of version 0.1; returns the files of rows as they are then."""
    store = Store(url)
    for record in store.records():
        cell, scores = store.find(record), {}
        for name, score in record.scores.items():
            ends = tuple(replace(a, low=a.value - 0.01, high=a.value + 0.01, bias=None, reason="") for a in score.aggregates)
            scores[name] = score.model_copy(update={"aggregates": ends, "intervals": 1})
            cell.write_scores(scores[name], cell.rows(name))
        cell.hold_against(None)
        cell.write_record(record.model_copy(update={"scores": scores, "files": cell.sums(), "sizes": {}}))
    return {path.name: path.read_bytes() for path in Path(url).rglob("*.parquet")}


def test_intervals_of_version_0_1_are_renewed_from_rows_or_computed_again(
    make_plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entropy of a whole set has no rows: only the metric gives its interval, from the stored explanations."""
    plan = make_plan(methods="influence-patterns", metrics=["pattern_entropy", "comprehensiveness"], limit=40)
    (today,) = run(plan).records
    aged = _aged(plan.store)
    monkeypatch.setattr("flowgauge.benchmark.engine.worker.explain_batch", lambda *_: pytest.fail("explained again"))
    (record,) = rescore(plan.store, ["pattern_entropy"], device="cpu").records
    assert {name: score.intervals for name, score in record.scores.items()} == dict.fromkeys(today.scores, 2)
    for name, score in record.scores.items():
        assert len(score.aggregates) == len(today.scores[name].aggregates)
        for ours, theirs in zip(score.aggregates, today.scores[name].aggregates, strict=True):
            assert (ours.variant, ours.reason) == (theirs.variant, theirs.reason)
            numbers, expected = ([x.value, x.low, x.high] for x in (ours, theirs))
            np.testing.assert_allclose(numbers, expected, rtol=1e-9, atol=1e-9)
    (written,) = Store(plan.store).records()
    assert written.model_dump_json() == record.model_dump_json() and find_damage(Store(plan.store).find(written)) == {}
    files = {path.name: path.read_bytes() for path in Path(plan.store).rglob("*.parquet")}
    assert {name for name in files if files[name] != aged[name]} == {"pattern_entropy@1.parquet"}


def test_the_same_run_computes_what_rows_do_not_give(make_plan: Callable[..., Plan]) -> None:
    plan = make_plan(methods="influence-patterns", metrics=["pattern_entropy", "comprehensiveness"])
    today = run(plan)
    _aged(plan.store)
    assert run(plan).to_pandas().drop(columns="seconds").equals(today.to_pandas().drop(columns="seconds"))
