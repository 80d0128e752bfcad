"""Samples that are balanced over conditions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..core.errors import NoSplit, UsageError
from .instance import Instance


def balanced(instances: Sequence[Instance], limit: int | None, seed: int) -> tuple[Instance, ...]:
    """A sample of instances, drawn without replacement as evenly over the conditions as these have instances.

    Args:
        instances: The instances to choose from.
        limit: How many to choose; None, or at least as many as there are, for all.
        seed: Of the choice.

    Returns:
        The chosen instances, in the order in which they were given.

    Raises:
        UsageError: A limit below 1.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be 1 or more, got {limit}.")
    if limit is None or limit >= len(instances):
        return tuple(instances)
    rng = np.random.default_rng(seed)
    groups: dict[str, list[int]] = {}
    for index, instance in enumerate(instances):
        groups.setdefault(instance.condition, []).append(index)
    queues = [list(rng.permutation(group)) for group in groups.values()]
    queues = [queues[i] for i in rng.permutation(len(queues))]
    chosen: list[int] = []
    while len(chosen) < limit:
        chosen += [int(queue.pop()) for queue in queues if queue]
    return tuple(instances[i] for i in sorted(chosen[:limit]))


def only_test(name: str, split: str) -> None:
    """Refuses every split but `test`, for tasks that have no other.

    Args:
        name: The task's name, for the message.
        split: The split that was named.

    Raises:
        NoSplit: Another split.
    """
    if split != "test":
        raise NoSplit(f"task {name!r} has no split {split!r}; it has: test.")


def each_condition(limit: int | None, conditions: int, most: int) -> int:
    """How many sentences of each condition are enough for so many in all, in round-robin order over the conditions.

    Args:
        limit: How many in all; None for as many as there are.
        conditions: How many conditions there are.
        most: How many sentences each of them has.

    >>> each_condition(7, 4, 250), each_condition(None, 4, 250), each_condition(5000, 4, 250)
    (2, 250, 250)
    """
    return most if limit is None else min(most, math.ceil(limit / conditions))
