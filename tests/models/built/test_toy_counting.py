"""The model of the toy task: it counts, and one that does not is refused."""

from __future__ import annotations

import pytest
from tests.conftest import FULL_SIZE

from flowgauge.core.errors import FlowgaugeError
from flowgauge.models.built import toy_counting
from flowgauge.models.built.recurrent_training import RecurrentTrainingConfig, predictions, read_in
from flowgauge.models.built.toy_counting import ToyCounting
from flowgauge.models.built.training import InMemorySession
from flowgauge.tasks.toy_counting import CountingTask


@pytest.fixture
def quick(monkeypatch) -> None:
    monkeypatch.setattr(toy_counting, "RECIPE", RecurrentTrainingConfig(epochs=3, batch_size=64, lr=1e-3))
    monkeypatch.setattr("flowgauge.tasks.toy_counting.SHARE", {"train": 300, "test": 40})
    monkeypatch.setattr(toy_counting, "ENOUGH", -1.0)


def test_a_model_that_does_not_count_is_refused(quick, monkeypatch) -> None:
    monkeypatch.setattr(toy_counting, "ENOUGH", 0.99)
    with pytest.raises(FlowgaugeError, match=r"toy-counting:seed=0 reached an accuracy of .*above 99%: choose another seed"):
        ToyCounting().fit(InMemorySession())


@pytest.mark.slow
def test_the_toy_model_counts(monkeypatch) -> None:
    """In full (`FLOWGAUGE_FULL_TESTS=1`) by its own recipe, else in a quarter of the epochs with larger steps."""
    if not FULL_SIZE:
        monkeypatch.setattr(toy_counting, "RECIPE", RecurrentTrainingConfig(epochs=12, batch_size=64, lr=3e-3))
    weights = ToyCounting().fit(InMemorySession())
    model = ToyCounting().build(weights)
    data = read_in(model, CountingTask(seed=1).instances("test"))
    assert (predictions(model, data) == data.answer[:, 0]).double().mean() > 0.99
