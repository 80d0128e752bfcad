"""Sentences that the embedded models are trained on: a wider grammar than that of the agreement tasks, without their sentences.

The rule: no training sentence holds two nouns that can stand together in a task's sentence (`noun_pairs_of_tests`), whatever
its structure. Every sentence of every agreement task holds such a pair, so none of them can occur.
"""

from __future__ import annotations

import functools
import random
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from itertools import combinations

from flowgauge.tasks.lexicon import noun_pairs_of_tests, templates

TASK_SLOTS = {
    "EVERB": "TV", "BVERB": "SAY", "ADJ": "ADJ", "PREP": "PREP", "RVERB": "PAST",
    "DET": "DET", "MODAL": "MODAL", "VERB": "INF",
}  # fmt: skip
"""A slot of the tasks to the list of the grammar that receives its words."""
AGREEING = ("BE", "WAS", "TV", "IV", "REFL")
DIGITS = "0123456789"
FORMS = {"BE": ("is", "are"), "WAS": ("was", "were")}


@dataclass(frozen=True)
class GrammarSentence:
    """A training sentence.

    Attributes:
        words: Its words.
        agreeing: Indices of the words that agree with a noun.
        nouns: Lemmas of its nouns.
    """

    words: tuple[str, ...]
    agreeing: tuple[int, ...]
    nouns: tuple[str, ...]


@dataclass(frozen=True)
class Noun:
    """A noun of a sentence with its number and reflexive pronoun."""

    lemma: str
    plural: bool
    reflexive: str


@dataclass(frozen=True)
class Grammar:
    """A grammar of sentences, in which all phenomena are equally frequent.

    Attributes:
        templates: Templates by phenomenon.
        words: Lemmas by slot.
    """

    templates: Mapping[str, tuple[tuple[str, ...], ...]]
    words: Mapping[str, tuple[str, ...]]

    def sentence(self, rng: random.Random) -> GrammarSentence:
        """A random sentence whose nouns are `allowed`."""
        template = rng.choice(self.templates[rng.choice(sorted(self.templates))])
        while True:
            sentence = self._realised(template, rng)
            if allowed(sentence.nouns):
                return sentence

    def vocabulary(self) -> tuple[str, ...]:
        """Every word of the grammar and of the agreement tasks, sorted."""
        words = {word for template in templates().values() for word in template.vocabulary()}
        words |= {"himself", "herself", "themselves", *FORMS["BE"], *FORMS["WAS"]}
        for slot, lemmas in self.words.items():
            words |= {word for lemma in lemmas for word in lemma.split()}
            if slot in ("N", "TV", "IV"):
                words |= {lemma + "s" for lemma in lemmas}
        words |= {w for group in self.templates.values() for t in group for w in t if not w[0].isupper()}
        return tuple(sorted(words))

    def _realised(self, template: tuple[str, ...], rng: random.Random) -> GrammarSentence:
        nouns = {symbol[1:]: self._noun(symbol[0], rng) for symbol in sorted(filter(is_noun, template), key=lambda w: w[1:])}
        words: list[str] = []
        agreeing: list[int] = []
        for symbol in template:
            slot = symbol.rstrip(DIGITS)
            if slot in AGREEING:
                agreeing.append(len(words))
            words += self._word(slot, nouns.get(symbol[len(slot) :]), rng).split()
        return GrammarSentence(tuple(words), tuple(agreeing), tuple(noun.lemma for noun in nouns.values()))

    def _noun(self, kind: str, rng: random.Random) -> Noun:
        plural = kind == "N" and rng.random() < 0.5
        gender = rng.choice(("male", "female"))
        lemma = rng.choice(self.words["N" if kind == "N" else gender])
        return Noun(lemma, plural, "themselves" if plural else {"male": "himself", "female": "herself"}[gender])

    def _word(self, slot: str, noun: Noun | None, rng: random.Random) -> str:
        if noun is None:
            return rng.choice(self.words[slot]) if slot in self.words else slot
        if slot in FORMS:
            return FORMS[slot][noun.plural]
        if slot in self.words and slot != "N":
            return rng.choice(self.words[slot]) + "s" * (not noun.plural)
        return noun.reflexive if slot == "REFL" else noun.lemma + "s" * noun.plural


def is_noun(symbol: str) -> bool:
    """Whether a symbol of a template is a noun, such as `N1` or `G2`."""
    return symbol[0] in "NG" and symbol[1:].isdigit()


def allowed(nouns: tuple[str, ...]) -> bool:
    """Whether a training sentence may have these nouns: all differ, and no two can stand together in a task's sentence."""
    return len(set(nouns)) == len(nouns) and not any(frozenset(pair) in noun_pairs() for pair in combinations(nouns, 2))


@functools.cache
def noun_pairs() -> frozenset[frozenset[str]]:
    """The pairs of nouns that are held out (`noun_pairs_of_tests`), computed once."""
    return noun_pairs_of_tests()


@functools.cache
def load_grammar() -> Grammar:
    """The grammar in `grammar.toml` with the tasks' words added."""
    data = tomllib.loads(files(__package__).joinpath("grammar.toml").read_text(encoding="utf-8"))
    words = {slot: list(lemmas) for slot, lemmas in data["words"].items()}
    for slot, lemmas in _task_words():
        words[slot] += [lemma for lemma in lemmas if lemma not in words[slot]]
    split = {name: tuple(tuple(t.split()) for t in group) for name, group in data["templates"].items()}
    return Grammar(split, {slot: tuple(lemmas) for slot, lemmas in words.items()})


def _task_words() -> Iterator[tuple[str, tuple[str, ...]]]:
    for template in templates().values():
        for condition, lists in template.lists.items():
            for slot, lemmas in lists.items():
                if slot in ("SUBJ", "ATTR"):
                    letter = condition[slot == "ATTR"]
                    yield {"M": "male", "F": "female"}.get(letter, "N"), lemmas
                else:
                    yield TASK_SLOTS[slot.rstrip("12")], lemmas
