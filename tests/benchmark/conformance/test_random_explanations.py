"""Random explanations have every view, shaped for their model."""

from __future__ import annotations

from flowgauge.benchmark.conformance.random_explanations import random_explanations
from flowgauge.benchmark.conformance.subject import digest, subject
from flowgauge.benchmark.engine.explain import check_returned
from flowgauge.methods.explanation import VIEWS


def test_every_view_is_there_in_the_right_shape(tiny_flow) -> None:
    sample = subject(tiny_flow)
    gold, predicted = random_explanations(sample)
    names = [instance.id for instance in sample.instances]
    assert list(gold) == list(predicted) == names
    assert all(explanation.views == frozenset(VIEWS) for explanation in gold.values())
    method = type("Random", (), {"name": "random"})
    check_returned(method, list(gold.values()), sample.batch(), sample.model)
    assert [gold[name] is predicted[name] for name in names] == [False, True] * 3


def test_they_are_the_same_every_time(tiny_flow) -> None:
    first, second = (random_explanations(subject(tiny_flow))[0] for _ in range(2))
    assert digest([*first.values()]) == digest([*second.values()])
