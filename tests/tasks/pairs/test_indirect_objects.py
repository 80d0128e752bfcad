"""Indirect objects: the answer is the name that was said once, and the counterpart exchanges the two."""

from __future__ import annotations

from collections import Counter

from flowgauge.tasks.instance import GAP
from flowgauge.tasks.pairs.indirect_objects import NAMES, IndirectObjects


def test_the_answer_is_said_once_and_the_other_name_twice() -> None:
    for instance in IndirectObjects().instances():
        words = instance.segments[0].split()
        named = Counter(word for word in words if word in NAMES)
        assert named == {str(instance.answer[0]): 1, str(instance.against[0]): 2}
        assert words[-2:] == [GAP, "."] and len(words) == len(instance.slots) == 15
        first = words[1] == instance.answer[0]
        assert instance.condition == ("ABB" if first else "BAB")


def test_the_counterpart_is_the_sentence_in_which_the_two_change_places() -> None:
    for instance in IndirectObjects(60).instances():
        words, others = instance.segments[0].split(), instance.counterpart[0].split()
        assert [place for place, (word, other) in enumerate(zip(words, others, strict=True)) if word != other] == [8]
        named = Counter(word for word in others if word in NAMES)
        assert named == {str(instance.answer[0]): 2, str(instance.against[0]): 1}


def test_the_words_that_decide_are_the_names() -> None:
    for instance in IndirectObjects(10).instances():
        words, places = instance.segments[0].split(), instance.truth["positions"]
        assert isinstance(places, tuple)
        assert [words[word] for _, word in places] == [instance.answer[0], instance.against[0], instance.against[0]]


def test_names_are_distinct_and_every_word_stands_alone() -> None:
    assert len(set(NAMES)) == len(NAMES) == 26
    words = {word for instance in IndirectObjects().instances() for word in instance.segments[0].split()} - {GAP, "."}
    assert all(word.isalpha() for word in words)
