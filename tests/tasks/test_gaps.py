"""Gaps of minimal pairs: where they are, what stays in the sentence, and every refusal."""

from __future__ import annotations

import pytest

from flowgauge.tasks.gaps import Gapped, filled, gap_between, gapped, shared_ending
from flowgauge.tasks.table import BrokenRowError, FileRow


def test_punctuation_that_both_words_end_in_stays_in_the_sentence() -> None:
    assert gap_between("Is it old?", "Are it old?") == Gapped("[MASK] it old?", "Is", "Are")
    assert gap_between("it is.", "it are.") == Gapped("it [MASK].", "is", "are")
    assert gap_between("it is .", "it was .") == Gapped("it [MASK] .", "is", "was")
    assert shared_ending("is.", "are!") == ""


@pytest.mark.parametrize(
    ("good", "bad"), [("it is old", "they are old"), ("it is", "it is old"), ("is", "are"), ("a b c", "a c b")]
)
def test_other_sentences_than_those_that_differ_in_one_word_are_no_pair(good: str, bad: str) -> None:
    with pytest.raises(BrokenRowError, match="two sentences of a pair must differ in one word"):
        gap_between(good, bad)


def test_the_same_sentence_twice_is_no_pair() -> None:
    with pytest.raises(BrokenRowError, match="good and bad are both 'it is'"):
        gap_between("it is", "it is")


@pytest.mark.parametrize("index", [1, "1", 1.0, " 1 "])
def test_the_number_of_a_word_may_be_a_number_or_text(index: object) -> None:
    row = FileRow(1, 1, {"sentence": "it is", "target_idx": index})
    assert gapped(row, "is", "are") == Gapped("it [MASK]", "is", "are")


def test_a_number_of_many_digits_is_no_number_of_a_word() -> None:
    with pytest.raises(
        BrokenRowError, match="target_idx must be the number of a word, counted from 0, got '99999999999999999999'"
    ):
        gapped(FileRow(1, 1, {"sentence": "it is", "target_idx": "9" * 5000}), "is", "are")


def test_an_empty_cell_is_named() -> None:
    with pytest.raises(BrokenRowError, match="the cell good is empty"):
        filled(FileRow(1, 1, {"good": None}), "good")
