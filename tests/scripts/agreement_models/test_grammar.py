"""The training grammar: it agrees, and it has none of the tasks' sentences."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from agreement_models.grammar import Grammar, GrammarSentence, Noun, allowed, load_grammar, noun_pairs
from flowgauge.tasks.agreement import AgreementTask
from flowgauge.tasks.lexicon import templates

SAMPLE = 30_000


@pytest.fixture(scope="module")
def grammar() -> Grammar:
    return load_grammar()


@pytest.fixture(scope="module")
def sample(grammar: Grammar) -> list[GrammarSentence]:
    rng = random.Random(0)
    return [grammar.sentence(rng) for _ in range(SAMPLE)]


def test_no_training_sentence_holds_two_nouns_that_meet_in_a_task(sample: list[GrammarSentence]) -> None:
    assert not any(frozenset(pair) in noun_pairs() for s in sample for pair in combinations(s.nouns, 2))


def test_no_task_sentence_occurs_in_training_by_the_rule_and_in_a_sample(sample: list[GrammarSentence]) -> None:
    trained = {" ".join(s.words) for s in sample}
    for name in templates():
        for instance in AgreementTask(name).instances():
            assert not allowed((str(instance.truth["SUBJ"]), str(instance.truth["ATTR"])))
            assert instance.segments[0].replace("[MASK]", str(instance.answer[0])) not in trained


def test_both_nouns_of_a_task_stand_before_its_gap() -> None:
    """So that a model that reads from left to right has not seen a prefix either."""
    for name in templates():
        for instance in AgreementTask(name, 20).instances():
            before = instance.segments[0].partition("[MASK]")[0].split()
            nouns = {str(instance.truth[slot]) for slot in ("SUBJ", "ATTR")}
            assert nouns <= {form for word in before for form in (word, word.removesuffix("s"))}


def test_a_sentence_lists_every_noun_in_it(grammar: Grammar, sample: list[GrammarSentence]) -> None:
    """Else the rule would not see a pair."""
    nouns = {lemma + s for slot in ("N", "male", "female") for lemma in grammar.words[slot] for s in ("", "s")}
    for made in sample[:5000]:
        assert len([w for w in made.words if w in nouns]) == len(made.nouns)


def test_the_rule_refuses_one_noun_twice_and_pairs_in_either_order() -> None:
    assert allowed(("author", "pilot", "singer"))
    assert not allowed(("author", "author"))
    assert not allowed(("author", "guard"))
    assert not allowed(("guard", "singer", "author"))
    assert not allowed(("king", "queen"))
    assert allowed(("king", "nun"))


def test_all_phenomena_and_all_words_occur(grammar: Grammar, sample: list[GrammarSentence]) -> None:
    assert sorted(grammar.templates) == [
        "complement",
        "gender",
        "object-relative",
        "prepositional",
        "reflexive",
        "simple",
        "subject-relative",
    ]
    assert {w for s in sample for w in s.words} == set(grammar.vocabulary())


def test_every_task_word_is_in_the_vocabulary(grammar: Grammar) -> None:
    for template in templates().values():
        assert template.vocabulary() <= set(grammar.vocabulary())


NOUNS = {"1": Noun("author", True, "themselves"), "2": Noun("guard", False, "herself")}
FIXED = {"N": ("author",), "TV": ("like",), "IV": ("laugh",), "PAST": ("hurt",), "ADJ": ("tall",), "PREP": ("next to",)}


@pytest.mark.parametrize(
    ("symbol", "word"),
    [
        ("N1", "authors"), ("N2", "guard"), ("TV1", "like"), ("TV2", "likes"), ("IV2", "laughs"), ("BE1", "are"), ("BE2", "is"),
        ("WAS1", "were"), ("WAS2", "was"), ("REFL1", "themselves"), ("REFL2", "herself"), ("PAST", "hurt"), ("PREP", "next to"),
        ("that", "that"), (".", "."),
    ],
)  # fmt: skip
def test_words_agree_with_their_noun(symbol: str, word: str) -> None:
    slot = symbol.rstrip("12")
    assert Grammar({}, FIXED)._word(slot, NOUNS.get(symbol[len(slot) :]), random.Random(0)) == word


def test_the_words_that_agree_are_marked() -> None:
    words = {
        "N": ("singer", "writer"),
        "TV": ("admire",),
        "REL": ("that",),
        "DET": ("the",),
        "ADJ": ("happy",),
        "PREP": ("in front of",),
    }
    template = ("DET", "N1", "PREP", "DET", "N2", "TV1", "REL", "BE1", "ADJ", ".")
    made = Grammar({"x": (template,)}, words).sentence(random.Random(3))
    assert [made.words[i].rstrip("s") for i in made.agreeing] in (["admire", "i"], ["admire", "are"])
    assert len(made.words) == 12
