"""Samples that are balanced over conditions."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowgauge.core.errors import UsageError
from flowgauge.tasks.instance import Instance
from flowgauge.tasks.registry import load_task
from flowgauge.tasks.sampling import balanced


def made(conditions: str) -> list[Instance]:
    return [Instance(str(i), ("x",), (0,), condition=c) for i, c in enumerate(conditions)]


@given(conditions=st.text("abc", min_size=1, max_size=60), limit=st.integers(1, 70), seed=st.integers(0, 99))
def test_it_is_ordered_without_repetition_and_as_even_as_the_groups_allow(conditions: str, limit: int, seed: int) -> None:
    instances = made(conditions)
    taken = balanced(instances, limit, seed)
    places = [int(i.id) for i in taken]
    assert places == sorted(set(places))
    assert len(places) == min(limit, len(instances))
    have, got = Counter(conditions), Counter(i.condition for i in taken)
    assert all(got[c] == have[c] or got[c] >= max(got.values()) - 1 for c in have)


def test_all_are_taken_without_a_limit_or_with_a_large_one() -> None:
    instances = made("abcab")
    assert balanced(instances, None, 3) == balanced(instances, 5, 3) == balanced(instances, 99, 3) == tuple(instances)


def test_the_seed_decides_and_small_groups_come_whole() -> None:
    instances = made("a" * 50 + "b" * 2)
    assert balanced(instances, 10, 1) == balanced(instances, 10, 1) != balanced(instances, 10, 2)
    assert Counter(i.condition for i in balanced(instances, 10, 1)) == {"a": 8, "b": 2}


def test_every_condition_is_chosen_sometimes_when_the_limit_is_smaller_than_their_number() -> None:
    instances = made("abcdefgh")
    assert {i.condition for seed in range(40) for i in balanced(instances, 1, seed)} == set("abcdefgh")


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="limit must be 1 or more, got 0"):
        balanced(made("ab"), 0, 0)


@pytest.mark.parametrize("name", ["sva/wsc", "ioi", "greater-than", "planted/attractor"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_what_is_drawn_for_a_limit_is_a_prefix_of_the_whole_draw(name: str, split: str) -> None:
    task = load_task(name)
    whole = task.instances(split, None, 3)
    for limit in (1, 7, 40, len(whole) + 1):
        assert task.instances(split, limit, 3) == whole[:limit]
