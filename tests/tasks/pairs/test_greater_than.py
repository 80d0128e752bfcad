"""Greater-than: one answer after the first year, the other as long before it, and a counterpart in which both are right."""

from __future__ import annotations

from flowgauge.tasks.instance import GAP
from flowgauge.tasks.pairs.greater_than import FURTHEST, GreaterThan


def test_the_answer_is_later_and_the_other_earlier_by_as_many_years() -> None:
    for instance in GreaterThan().instances():
        words = instance.segments[0].split()
        century, start = words[6][:2], int(words[6][2:])
        good, bad = int(str(instance.answer[0])), int(str(instance.against[0]))
        assert century == instance.condition and words[-1] == f"{century}{GAP}"
        assert bad < start < good and good - start == start - bad <= FURTHEST
        assert {len(str(instance.answer[0])), len(str(instance.against[0]))} == {2}


def test_the_counterpart_begins_in_the_first_year_so_that_both_are_right() -> None:
    for instance in GreaterThan(40).instances():
        words, others = instance.segments[0].split(), instance.counterpart[0].split()
        assert [place for place, (word, other) in enumerate(zip(words, others, strict=True)) if word != other] == [6]
        assert others[6] == f"{instance.condition}01" and int(str(instance.against[0])) > 1


def test_the_word_that_decides_is_the_first_year() -> None:
    (instance,) = GreaterThan(1).instances("test", 1)
    assert instance.truth["positions"] == ((0, 6),)
