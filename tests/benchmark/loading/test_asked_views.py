"""What no metric of a run reads is not computed, and what was left out is explained when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from flowgauge.benchmark.engine.plan import Plan
from flowgauge.benchmark.engine.rescore import rescore
from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.loading.asked_views import without_unread_views
from flowgauge.benchmark.speed import estimate
from flowgauge.benchmark.store.key import method_key
from flowgauge.benchmark.store.results import RunRecords
from flowgauge.core.registry import settings
from flowgauge.methods.explanation import VIEWS
from flowgauge.methods.gradients.integrated_gradients import IntegratedGradients
from flowgauge.methods.registry import METHODS
from flowgauge.metrics.registry import METRICS

METHOD = "integrated-gradients:samples=2"
OF_WORDS, OF_NODES = "comprehensiveness", "retention_curve"
OPTIONAL = {
    "integrated-gradients": {"nodes"}, "conductance": {"flows"}, "influence-patterns": {"patterns"},
    "activation-patching": {"nodes", "heads"}, "ib-attribution": {"nodes"}, "information-mask": {"nodes"},
}  # fmt: skip
"""Settings that leave views out, by method."""


@pytest.fixture
def depths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The depth of every pass of integrated gradients, in their order."""
    passes, attribute = list[int](), IntegratedGradients._attribute

    def counted(self: Any, model: Any, batch: Any, depth: int, *states: Any) -> Any:
        passes.append(depth)
        return attribute(self, model, batch, depth, *states)

    monkeypatch.setattr(IntegratedGradients, "_attribute", counted)
    return passes


def views_of(results: RunRecords) -> frozenset[str]:
    """The views of a run's one cell."""
    (record,) = results.records
    return next(iter(results.cell(record).parts())).gold[0].views


def score_rows(results: RunRecords, metric: str) -> pd.DataFrame:
    (record,) = results.records
    return results.cell(record).rows(next(name for name in record.scores if name.startswith(metric)))


def test_a_run_with_metrics_of_words_alone_makes_no_pass_for_hidden_states(make_plan: Callable[..., Plan], depths) -> None:
    results = run(make_plan(methods=METHOD, metrics=[OF_WORDS, "sufficiency"]))
    assert set(depths) == {0} and views_of(results) == {"tokens"}
    (record,) = results.records
    assert record.settings["nodes"] is False and record.asked["method"] == {"name": "integrated-gradients", "samples": 2}
    depths.clear()
    assert run(make_plan(methods=METHOD, metrics=[OF_WORDS, "sufficiency"])).records == results.records and not depths


@pytest.mark.parametrize("fields", [{"metrics": [OF_WORDS, OF_NODES]}, {"metrics": "none"}, {"methods": f"{METHOD},nodes=true"}])
def test_states_are_computed_where_they_are_read_or_asked_for(make_plan: Callable[..., Plan], depths, fields) -> None:
    results = run(make_plan(**{"methods": METHOD, "metrics": OF_WORDS, **fields}))
    assert {0, 1} <= set(depths) and views_of(results) == {"tokens", "nodes"}
    assert results.records[0].key["method"] == method_key(METHODS.create(METHOD)), "the key of such a cell is what it was"


def test_scores_do_not_depend_on_what_else_is_computed(make_plan: Callable[..., Plan], tmp_path) -> None:
    few = run(make_plan(methods=METHOD, metrics=OF_WORDS, store=str(tmp_path / "few")))
    many = run(make_plan(methods=METHOD, metrics=[OF_WORDS, OF_NODES], store=str(tmp_path / "many")))
    pd.testing.assert_frame_equal(score_rows(few, OF_WORDS), score_rows(many, OF_WORDS))


def test_a_stored_cell_with_all_views_is_taken(make_plan: Callable[..., Plan], depths) -> None:
    whole = run(make_plan(methods=METHOD, metrics=OF_NODES))
    depths.clear()
    again = run(make_plan(methods=METHOD, metrics=OF_WORDS))
    assert not depths and again.records[0].cell == whole.records[0].cell
    assert {score.name for score in again.records[0].scores.values()} == {OF_NODES, OF_WORDS}


@pytest.mark.parametrize("other", [f"{METHOD},nodes=true", f"{METHOD},baseline=mask,nodes=true"])
def test_a_plan_that_names_the_views_too_has_one_cell_in_every_run(make_plan: Callable[..., Plan], other: str) -> None:
    plan = make_plan(methods=[METHOD, other], metrics=OF_WORDS)
    first = run(plan)
    assert len(first.records) == 1 and views_of(first) == {"tokens", "nodes"}
    assert run(plan).records == first.records


def test_a_dry_run_names_such_a_method_as_the_plan_does(make_plan: Callable[..., Plan], monkeypatch) -> None:
    monkeypatch.setattr(estimate._Estimates, "_probe", lambda self: 2.0)
    plan = make_plan(methods=METHOD, metrics=OF_WORDS)
    assert [(cell.method, cell.state) for cell in estimate.preview(plan).cells] == [(METHOD, estimate.EXPLAIN)]
    run(plan)
    assert [(cell.method, cell.state) for cell in estimate.preview(plan).cells] == [(METHOD, estimate.STORED)]


def test_a_metric_of_nodes_that_comes_later_says_what_to_do_and_a_run_does_it(make_plan: Callable[..., Plan], depths) -> None:
    plan = make_plan(methods=METHOD, metrics=OF_WORDS)
    run(plan)
    (record,) = rescore(plan.store, [OF_NODES], device="cpu").records
    score = next(score for score in record.scores.values() if score.name == OF_NODES)
    assert score.status == "not-applicable"
    assert score.reason.endswith("by `flowgauge run` with --method integrated-gradients:samples=2,nodes=true.")
    depths.clear()
    results = run(make_plan(methods=METHOD, metrics=[OF_WORDS, OF_NODES]))
    assert max(depths) > 0 and views_of(results) == {"tokens", "nodes"}
    assert {score.status for score in results.records[0].scores.values()} == {"done"}


def test_what_a_user_sets_or_builds_and_metrics_that_read_more_leave_nothing_out() -> None:
    words, values, matched = (METRICS.create(name) for name in (OF_WORDS, "completeness_error", "ablated_accuracy"))
    default, said = METHODS.create("integrated-gradients"), METHODS.create("integrated-gradients:nodes=true")
    assert settings(without_unread_views(default, [words])) == {**settings(default), "nodes": False}
    for method, metrics in [
        (default, []), (default, [words, values]), (default, [words, matched]), (said, [words]),
        (built := IntegratedGradients(), [words]), (METHODS.create("deep-lift"), [words]),
    ]:  # fmt: skip
        assert without_unread_views(method, metrics) is method
    assert built.nodes


def test_every_method_with_such_a_setting_is_known_and_keeps_its_words() -> None:
    found, words = {}, [METRICS.create(OF_WORDS)]
    for name in METHODS.builtin:
        method = METHODS.create(name)
        smaller = without_unread_views(method, words)
        if smaller is not method:
            found[name] = {view for view in VIEWS if settings(smaller).get(view) is False}
            assert smaller.gives == {"tokens"} < method.gives
            assert set(getattr(method, "later", ())) <= settings(method).keys()
    assert found == OPTIONAL


def test_a_setting_that_came_later_is_in_the_key_where_it_was_changed() -> None:
    old = {"rule": "midpoint", "samples": 50, "baseline": "mask"}
    assert method_key(METHODS.create("conductance"))["settings"] == old
    assert method_key(METHODS.create("conductance:flows=false"))["settings"] == {**old, "flows": False}
