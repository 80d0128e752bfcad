"""Methods that are trained."""

from __future__ import annotations

import pytest
from tests.benchmark.conftest import PLUGINS

from flowgauge.benchmark.engine.rescore import rescore
from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.store.record import TrainingOutcome
from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import UsageError
from flowgauge.models.inputs.encode import batches
from flowgauge.models.memory import DEFAULT, memory_budget, memory_bytes

TASK, METHOD = f"{PLUGINS}:splits", f"{PLUGINS}:amortised"


@pytest.fixture
def plan(make_plan, tmp_path):
    def make(method: str = METHOD, **fields):
        return make_plan(tasks=[TASK], methods=[method], fit_limit=8, **fields)

    return make


def test_the_train_split_is_encoded_once_for_all_methods(plan, monkeypatch) -> None:
    asked = []

    def counted(*given, **settings):
        asked.append(1)
        return batches(*given, **settings)

    monkeypatch.setattr("flowgauge.benchmark.engine.method_trainer.batches", counted)
    run(plan(seeds=(0, 1)))
    assert asked == [1]


def test_training_batches_do_not_depend_on_the_memory_budget_which_is_in_no_key(plan, monkeypatch) -> None:
    budgets = []

    def noted(*given, **settings):
        budgets.append(memory_budget())
        return batches(*given, **settings)

    monkeypatch.setattr("flowgauge.benchmark.engine.method_trainer.batches", noted)
    run(plan(memory="64MiB"))
    assert budgets == [memory_bytes(DEFAULT)]


def test_cells_say_how_the_training_of_their_method_ended(plan, tmp_path) -> None:
    """Also those that use weights from before, and those that are scored again; methods without a training say nothing."""
    for fields in ({}, {"limit": 6}):
        (record,) = run(plan(**fields)).records
        assert record.training == TrainingOutcome(
            converged=False, warnings=("it still moves",), restarts=2, numbers={"margin": 0.5}
        )
    rescore(str(tmp_path / "store"), [f"{PLUGINS}:token-sum:power=3"])
    store = Store(str(tmp_path / "store"))
    assert [record.training is not None for record in store.records()] == [True, True]
    (plain,) = run(plan(f"{PLUGINS}:by-position")).records
    assert plain.training is None


def test_a_method_that_was_not_trained_says_so() -> None:
    from tests.benchmark.plugins import Slow

    with pytest.raises(UsageError, match="has not been trained"):
        Slow().demand_weights()
