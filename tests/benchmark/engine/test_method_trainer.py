"""Methods that are trained."""

from __future__ import annotations

import pytest
from tests.benchmark.conftest import PLUGINS

from flowgauge.benchmark.engine.run import run
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


def test_a_method_that_was_not_trained_says_so() -> None:
    from tests.benchmark.plugins import Slow

    with pytest.raises(UsageError, match="has not been trained"):
        Slow().demand_weights()
