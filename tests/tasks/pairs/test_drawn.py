"""What drawn tasks share: distinct sentences, balance, seeds, splits and refusals."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from flowgauge.core.errors import NoSplit, UsageError
from flowgauge.core.registry import settings
from flowgauge.tasks.fingerprint import fingerprint
from flowgauge.tasks.instance import Task
from flowgauge.tasks.pairs.drawn import DrawnTask, digits
from flowgauge.tasks.pairs.greater_than import GreaterThan
from flowgauge.tasks.pairs.indirect_objects import IndirectObjects
from flowgauge.tasks.registry import TASKS, load_task

KINDS = [IndirectObjects, GreaterThan]


@pytest.mark.parametrize("kind", KINDS)
def test_sentences_are_distinct_balanced_and_a_smaller_limit_is_a_prefix(kind: type[DrawnTask]) -> None:
    task = kind()
    instances = task.instances()
    assert len({i.id for i in instances}) == len(instances) == 250 * len(kind.conditions)
    assert Counter(i.condition for i in instances) == dict.fromkeys(kind.conditions, 250)
    for limit in (1, 9, 40):
        taken = task.instances("test", limit)
        assert taken == instances[:limit]
        counts = Counter({condition: 0 for condition in kind.conditions})
        counts.update(i.condition for i in taken)
        assert max(counts.values()) - min(counts.values()) <= 1
    assert kind(20).instances() == instances[: 20 * len(kind.conditions)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_the_draw_and_an_id_means_one_sentence(kind: type[DrawnTask]) -> None:
    task = kind()
    assert fingerprint(task.instances("test", 30, 3)) == fingerprint(task.instances("test", 30, 3))
    by_id = {i.id: i for i in task.instances("test", None, 1)}
    others = task.instances("test", None, 2)
    assert [i.id for i in others] != list(by_id)
    assert all(by_id.get(i.id, i) == i for i in others)


@pytest.mark.parametrize("kind", KINDS)
def test_the_train_split_shares_no_sentence_with_the_test_split(kind: type[DrawnTask]) -> None:
    test, train = kind(50).instances("test"), kind(50).instances("train")
    assert len(test) == len(train) and not {i.id for i in test} & {i.id for i in train}


def test_all_sentences_can_be_drawn_and_then_none_is_left_for_training() -> None:
    every = GreaterThan().capacity
    task = GreaterThan(every)
    assert len({i.segments + i.answer for i in task.instances()}) == 7 * every
    with pytest.raises(NoSplit, match="no split 'train' left"):
        task.instances("train")


@pytest.mark.parametrize("kind", KINDS)
def test_impossible_numbers_and_splits_are_refused(kind: type[DrawnTask]) -> None:
    for sentences in (0, True, kind().capacity + 1):
        with pytest.raises(UsageError, match=f"has 1 to {kind().capacity} distinct sentences a condition"):
            kind(sentences)
    with pytest.raises(UsageError, match="limit must be 1 or more, got 0"):
        kind().instances("test", 0)
    with pytest.raises(NoSplit, match="has no split 'validation'; it has: train, test"):
        kind().instances("validation")


@pytest.mark.parametrize("name", ["ioi", "greater-than"])
def test_they_are_registered_tasks(name: str) -> None:
    task: Any = load_task(f"{name}:sentences=3")
    assert isinstance(load_task(name), Task) and settings(task) == {"sentences": 3}
    assert (task.name, task.version, task.head, task.source) == (name, 1, "masked", "built in")
    assert task.doc == TASKS.docs()[name].summary and TASKS.docs()[name].source == task.reference


def test_digits_count_every_choice_once() -> None:
    assert sorted(map(tuple, (digits(code, (2, 3)) for code in range(6)))) == [(a, b) for a in range(2) for b in range(3)]
