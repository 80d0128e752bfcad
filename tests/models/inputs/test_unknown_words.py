"""Unknown words: named once, in an explanation of one text and in a run over many."""

from __future__ import annotations

import logging

import pytest

from flowgauge.models.inputs.encode import batches
from flowgauge.models.inputs.tokenise import tokenise
from flowgauge.models.inputs.unknown_words import MOST_NAMED, describe_unknown, unknown_words
from flowgauge.models.load import load_model
from flowgauge.tasks.instance import Instance


@pytest.fixture(scope="module")
def bert():
    return load_model("agreement-bert")


def instance(name: str, text: str) -> Instance:
    return Instance(name, (text,), ("is",), ("are",))


def test_unknown_words_are_found_once_and_in_order(bert) -> None:
    asked = instance("a", "the zebra near the quokka and zebra [MASK] tall .")
    row = tokenise(bert, asked, {})
    assert unknown_words(bert, row.ids, row.words, asked.segments) == ("zebra", "quokka", "and")


def test_a_sentence_names_few_of_many_words(bert) -> None:
    assert describe_unknown(bert, ["zebra"]) == "agreement-bert does not know zebra: it reads it as [UNK]"
    many = describe_unknown(bert, [f"w{n}" for n in range(MOST_NAMED + 3)])
    assert f"w{MOST_NAMED - 1} and 3 more: it reads them as [UNK]" in many


def test_a_run_warns_of_unknown_words_once(bert, caplog) -> None:
    known, unknown = (instance(name, f"the {word} [MASK] tall .") for name, word in (("a", "author"), ("b", "zebra")))
    with caplog.at_level(logging.WARNING):
        batches(bert, [known, unknown, unknown])
    (message,) = caplog.messages
    assert message == "agreement-bert does not know zebra: it reads it as [UNK], in 2 of 3 instances."
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        batches(bert, [known])
    assert not caplog.messages
