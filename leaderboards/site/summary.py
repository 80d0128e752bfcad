"""What a board says, in a few sentences: what was measured, who leads, how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from ..comparison.model_boards import ModelBoard
from .formatting import number

CHANCE = "random"
"""The method whose explanations are drawn at random."""
PASSES = 50
"""Forward passes of one pass of integrated gradients."""
TRACKS = (10, 3, 1)
"""Passes of integrated gradients up to which methods are named for their cost."""
NAMED = 6
"""How many methods or tasks a sentence names at most."""


def summarise_board(board: ModelBoard) -> list[tuple[str, str]]:
    """What the overall order of a model says: a question, and its answer in a sentence or two.

    Args:
        board: The order on one model; without an order there is nothing to say.
    """
    order = board.overall
    if order is None or not board.methods:
        return []
    tasks = list(dict.fromkeys(table.comparison.group.task for table in board.counted))
    sizes = sorted({table.comparison.group.instances for table in board.counted})
    instances = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    metrics = list(dict.fromkeys(table.comparison.metric for table in board.counted))
    measured = (
        f"{_count(len(board.methods), 'method')} explained answers of {board.model} on {_count(len(tasks), 'task')} "
        f"({instances} instances each). The order is that of their mean ranks by {_listed(metrics)}."
    )
    return [
        ("What was measured", measured), ("Who leads", _leaders(board)), ("How sure that is", _sureness(board)),
        *([("Not better than random", chance)] if (chance := _against_chance(board)) else []),
        ("What it costs", _cost(board)),
    ]  # fmt: skip


def compare_models(boards: Sequence[ModelBoard]) -> list[tuple[str, str]]:
    """What several models say together: who leads on each, where the first stands on the others, whether the orders agree.

    Args:
        boards: The orders; with fewer than two there is nothing to say.

    Returns:
        A question, and its answer in a sentence or two, each.
    """
    ranked = [board for board in boards if board.overall is not None and board.methods]
    if len(ranked) < 2:
        return []
    leaders = "; ".join(f"on {board.model}, {_listed(first_methods(board))}" for board in ranked)
    elsewhere = [
        f"{name} ({board.model}) has place {other.places[other.methods.index(name)]} of {len(other.methods)} on {other.model}"
        for board in ranked
        for name in first_methods(board)[:1]
        for other in ranked
        if other is not board and name in other.methods
    ]
    counted = [pairs_in_one_order(one, other) for one, other in combinations(ranked, 2)]
    same, pairs = (sum(part) for part in zip(*counted, strict=True))
    both = "both models" if len(ranked) == 2 else "two models"
    agree = (
        f"Of {_count(pairs, 'pair')} of methods that {both} separate, {same} {'is' if same == 1 else 'are'} in the same order."
        if pairs
        else f"No two methods are separated on {both}, so that nothing can be said."
    )
    return [
        ("Who leads", f"{leaders[0].upper()}{leaders[1:]}."),
        *([("The first elsewhere", f"{'; '.join(elsewhere[:NAMED])}.")] if elsewhere else []),
        ("Do the models agree", agree),
    ]


def first_methods(board: ModelBoard) -> list[str]:
    """The methods with the best mean rank on a model: one, unless several have it."""
    return [board.methods[i] for i in board.best_first if board.places[i] == 1]


def pairs_in_one_order(one: ModelBoard, other: ModelBoard) -> tuple[int, int]:
    """Of the pairs of methods that are separated on both models, how many are in the same order, and how many there are."""
    assert one.overall is not None and other.overall is not None
    shared = [name for name in one.methods if name in other.methods]
    orders = [(b.overall, {name: b.methods.index(name) for name in shared}) for b in (one, other) if b.overall is not None]
    same = pairs = 0
    for a, b in combinations(shared, 2):
        if all(order.separated[at[a], at[b]] for order, at in orders):
            pairs += 1
            same += len({bool(order.rank[at[a]] < order.rank[at[b]]) for order, at in orders}) == 1
    return same, pairs


def _leaders(board: ModelBoard) -> str:
    order, first = board.overall, board.best_first[0]
    assert order is not None
    low, high = float(order.low[first]), float(order.high[first])
    interval = f" [{number(low, 2)}, {number(high, 2)}]" if low == low else ""
    equal_first = first_methods(board)
    rank = f"a mean rank of {number(float(order.rank[first]), 2)}"
    if len(equal_first) > 1:
        rest = [name for name in _not_separated_from(board, first) if name not in equal_first]
        apart = f" {_listed(rest)} cannot be separated from {equal_first[0]}." if rest else ""
        return f"{_listed(equal_first)} share the first place, with {rank} each.{apart}"
    text = f"{board.methods[first]}, with {rank}{interval}"
    share, most = float(order.first[first]), int(np.argmax(order.first))
    if share == share:
        text += f"; it is first in {round(100 * share)} % of other samples of such sentences"
        if order.first[most] > share:
            text += f", and {board.methods[most]} in {round(100 * float(order.first[most]))} %"
    equal = _not_separated_from(board, first)
    return (
        f"{text}. It cannot be separated from {_listed(equal)}." if equal else f"{text}. It is separated from every other method."
    )


def _not_separated_from(board: ModelBoard, index: int) -> list[str]:
    assert board.overall is not None
    return [board.methods[i] for i in board.best_first if i != index and not board.overall.separated[index, i]]


def _sureness(board: ModelBoard) -> str:
    assert board.overall is not None
    tau, low, high = board.overall.repetition
    parts = []
    if tau == tau:
        parts.append(
            f"Two random halves of the instances give orders that agree with Kendall's τ of {number(tau, 2)} "
            f"(95 % of splits: {number(low, 2)} to {number(high, 2)})"
        )
    others = {
        by: {name for change in board.left_out(by) for name in change.first if name != board.methods[board.best_first[0]]}
        for by in ("task", "metric")
    }
    changed = list(dict.fromkeys(name for names in others.values() for name in sorted(names)))
    kinds = " or ".join(by for by in others if board.left_out(by))
    if kinds and changed:
        parts.append(f"leaving out a single {kinds} can put {_listed(changed)} first")
    elif kinds:
        parts.append(f"leaving out any single {kinds} changes nothing about the first")
    nothing = "there is one instance, which says nothing about that" if board.with_one_unit else "all methods tie"
    text = "; ".join(parts) or nothing
    return f"{text[0].upper()}{text[1:]}."


def _against_chance(board: ModelBoard) -> str:
    """Methods that are not separated from random explanations, or stand behind them."""
    if board.overall is None or CHANCE not in board.methods:
        return ""
    chance = board.methods.index(CHANCE)
    poor = [
        board.methods[i]
        for i in board.best_first
        if i != chance and (not board.overall.separated[chance, i] or board.overall.rank[i] > board.overall.rank[chance])
    ]
    return f"{_listed(poor)}." if poor else "Every method is better than random explanations."


def _cost(board: ModelBoard) -> str:
    """What the first takes, and who is first among those that take less."""
    first = board.best_first[0]
    if np.isnan(board.passes(board.methods[first])):
        return "Not known."
    sentences = [f"{board.methods[first]} takes {_passes(board.passes(board.methods[first]))} an explanation"]
    for most in TRACKS:
        within = [i for i in board.best_first if board.passes(board.methods[i]) <= most * PASSES]
        if within and within[0] != first:
            label = board.methods[within[0]]
            sentences.append(
                f"of those that take at most {most * PASSES}, as {_count(most, 'pass', 'passes')} of integrated gradients do, "
                f"{label} is first ({_passes(board.passes(label))}, place {board.places[within[0]]})"
            )
            first = within[0]
    return f"{'; '.join(sentences)}."


def _passes(number: float) -> str:
    return f"{number:.0f} forward {'pass' if round(number) == 1 else 'passes'}"


def _count(number: int, noun: str, several: str = "") -> str:
    return f"{number} {noun if number == 1 else several or noun + 's'}"


def _listed(names: Sequence[str]) -> str:
    """Names in a sentence; of many, the first few and how many more there are.

    >>> _listed(["a", "b", "c"])
    'a, b and c'
    """
    shown = list(names[:NAMED])
    if len(names) > NAMED:
        shown.append(f"{len(names) - NAMED} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
