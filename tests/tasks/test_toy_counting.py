"""The counting task: its draws, its labels and what it says matters."""

from __future__ import annotations

import pytest

from flowgauge.benchmark.engine.plan import Plan
from flowgauge.benchmark.engine.resolve import check_names, model_of
from flowgauge.core.errors import NoSplit, UsageError
from flowgauge.tasks.registry import load_task
from flowgauge.tasks.toy_counting import CountingTask


@pytest.fixture(scope="module")
def train():
    return CountingTask().instances("train")


def test_examples_are_drawn_as_published(train) -> None:
    test = CountingTask().instances("test")
    assert (len(train), len(test)) == (9000, 1000)
    assert len({i.id for i in (*train, *test)}) == 10_000
    lengths, members, total = [0] * 11, 0, 0
    for instance in train:
        (n, m), digits = (part.split() for part in instance.segments)
        assert n != m
        lengths[len(digits)] += 1
        members += sum(d in (n, m) for d in digits)
        total += len(digits)
    assert lengths[0] == 0 and all(abs(count - 900) < 130 for count in lengths[1:])
    assert members / total == pytest.approx(0.5, abs=0.01)


def test_answers_and_truth_follow_from_the_digits(train) -> None:
    for instance in train[:500]:
        (n, m), digits = (part.split() for part in instance.segments)
        assert instance.answer == ("yes" if digits.count(n) > digits.count(m) else "no",)
        assert instance.truth["positions"] == tuple((1, i) for i, d in enumerate(digits) if d in (n, m))
    share = sum(i.answer == ("yes",) for i in train) / len(train)
    assert share == pytest.approx(0.355, abs=0.02), "ties are no"


def test_seeds_and_splits() -> None:
    task = load_task("toy/counting:seed=3")
    assert task == CountingTask(3) and task.model == "toy-counting"
    assert task.instances("test", 5) != CountingTask().instances("test", 5)
    with pytest.raises(NoSplit, match=r"no split 'validation'; it has: train, test"):
        task.instances("validation")
    with pytest.raises(UsageError, match="seed must be 0 or more, got -1"):
        load_task("toy/counting:seed=-1")


def test_the_packaged_plan_names_what_exists() -> None:
    plan = check_names(Plan.load("toy"))
    assert [spec.name for spec in plan.tasks] == ["toy/counting"]
    assert {"diffmask-hidden", "integrated-gradients", "ib-attribution", "exact-erasure"} < {spec.name for spec in plan.methods}
    assert model_of(plan, CountingTask()) == "toy-counting"
