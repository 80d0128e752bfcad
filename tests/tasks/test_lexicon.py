"""Templates: slots, inflection and vocabulary by hand."""

from __future__ import annotations

import pytest

from flowgauge.tasks.lexicon import templates


@pytest.mark.parametrize(
    ("name", "slot", "lemma", "condition", "form"),
    [
        ("sva/obj", "SUBJ", "author", "SP", "author"),
        ("sva/obj", "ATTR", "guard", "SP", "guards"),
        ("sva/obj", "EVERB", "like", "PS", "likes"),  # agrees with the attractor
        ("sva/subj", "EVERB", "like", "PS", "like"),  # agrees with the subject
        ("sva/obj", "ADJ", "tall", "PP", "tall"),
        ("ra/ga", "SUBJ", "king", "MF", "king"),  # nouns of gendered tasks are not inflected
    ],
)
def test_a_lemma_is_inflected_for_its_condition(name: str, slot: str, lemma: str, condition: str, form: str) -> None:
    assert templates()[name].inflected(slot, lemma, condition) == form


def test_slots_are_in_the_order_of_the_template_and_conditions_in_that_of_the_draws() -> None:
    assert templates()["sva/wsc"].slots == ("ATTR", "BVERB", "SUBJ", "ADJ")
    assert templates()["sva/wsc"].conditions == ("SS", "SP", "PS", "PP")
    assert templates()["ra/ga"].conditions == ("MM", "MF", "FF", "FM")


def test_the_vocabulary_has_every_form_and_answer_and_no_slot() -> None:
    words = templates()["sva/app"].vocabulary()
    assert {"the", ".", "is", "are", "author", "authors", "next", "to", "across", "from", "tall"} <= words
    assert not {"SUBJ", "[MASK]", "next to"} & words
