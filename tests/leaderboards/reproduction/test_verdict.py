"""Verdicts on numbers and statements."""

from __future__ import annotations

import math

import pytest

from flowgauge.benchmark.reproduction.outcome import RunOutcome
from flowgauge.benchmark.reproduction.paper import ModelSize, PaperRun, PaperTableRow, PublishedModel
from flowgauge.leaderboards.reproduction.verdict import Verdict, judge
from flowgauge.leaderboards.tables.entries import TableEntry

SIZE = ModelSize(layers=2, heads=4, width=32)
RUN = PaperRun(name="a", title="a", published=PublishedModel(name="theirs", shape=SIZE), plan={}, methods={"x": "attention"})


def row(**fields: object) -> PaperTableRow:
    return PaperTableRow(**{"title": "a row", "published": (0.5,), "of": ({"method": "x"},), **fields})


def outcome(size: ModelSize | None = SIZE, remark: str = "") -> RunOutcome:
    return RunOutcome(RUN, {}, {}, "ours", remark, size)


@pytest.mark.parametrize(
    ("published", "low", "high", "word"),
    [
        (0.5, 0.4, 0.6, "within"),
        (0.5, 0.505, 0.6, "within"),  # the paper's number may have been .505
        (0.5, 0.506, 0.6, "outside"),
        (0.5, 0.4, 0.494, "outside"),
        (0.5, math.nan, math.nan, "open"),
        (0.55, math.nan, math.nan, "within"),
        ("> 0", 0.1, 0.9, "holds"),
        ("> 0.2", 0.1, 0.9, "open"),
        ("> 1", 0.1, 0.9, "fails"),
        ("< -0.5", -0.9, -0.6, "holds"),
        ("< 0", 0.1, 0.9, "fails"),
        ("> 0", math.nan, math.nan, "open"),
    ],
)
def test_words(published: float | str, low: float, high: float, word: str) -> None:
    assert judge(row(), published, TableEntry(0.55, low, high, 9), [outcome()], 2) == Verdict(word)


def test_a_row_can_state_its_tolerance() -> None:
    entry = TableEntry(0.55, 0.52, 0.6, 9)
    assert [judge(row(tolerance=t), 0.5, entry, [], 2).word for t in (0.0, 0.02)] == ["outside", "within"]


def test_numbers_of_different_things_are_not_compared() -> None:
    entry = TableEntry(0.5, 0.4, 0.6, 9)
    assert judge(row(not_comparable="counted otherwise"), 0.5, entry, [], 2) == Verdict("not comparable", "counted otherwise")
    by_size = row(same_shape=True)
    smaller = ModelSize(layers=1, heads=4, width=32)
    words = [judge(by_size, 0.5, entry, [outcome(size)], 2).word for size in (SIZE, smaller, None)]
    assert words == ["within", "not comparable", "not comparable"]


def test_what_was_not_run_is_said_first() -> None:
    entry = TableEntry(reason="needs sst2")
    assert judge(row(not_comparable="counted otherwise"), 0.5, entry, [], 2) == Verdict("not run", "needs sst2")


def test_the_verdict_says_that_the_model_is_smaller() -> None:
    entry = TableEntry(0.5, 0.4, 0.6, 9)
    runs = [outcome(remark="smaller model"), outcome(remark="smaller model"), outcome()]
    assert judge(row(), 0.5, entry, runs, 2) == Verdict("within", "smaller model")
