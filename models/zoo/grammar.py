"""Sentences that agreement-bert is trained on: a wider grammar over the agreement tasks' phenomena, without the tasks' own sentences.

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

from ...tasks.lexicon import noun_pairs_of_tests, templates

TASK_SLOTS = {
    "EVERB": "TV", "BVERB": "SAY", "ADJ": "ADJ", "PREP": "PREP", "RVERB": "PAST",
    "DET": "DET", "MODAL": "MODAL", "VERB": "INF",
}  # fmt: skip
"""Which list of the grammar a task's slot adds to."""
AGREEING = ("BE", "WAS", "TV", "IV", "REFL")
FORMS = {"BE": ("is", "are"), "WAS": ("was", "were")}


@dataclass(frozen=True)
class Sentence:
    """A training sentence: its words, the places of those that agree with a noun, and its noun lemmas."""

    words: tuple[str, ...]
    agreeing: tuple[int, ...]
    nouns: tuple[str, ...]


@dataclass(frozen=True)
class Grammar:
    """Templates by phenomenon and words by slot; the phenomena are equally frequent."""

    templates: Mapping[str, tuple[tuple[str, ...], ...]]
    words: Mapping[str, tuple[str, ...]]

    def sentence(self, rng: random.Random) -> Sentence:
        """One random sentence that keeps to the rule."""
        template = rng.choice(self.templates[rng.choice(sorted(self.templates))])
        while True:
            made = self._realised(template, rng)
            if allowed(made.nouns):
                return made

    def vocabulary(self) -> tuple[str, ...]:
        """Every word of the grammar and of the agreement tasks, sorted."""
        found = {word for template in templates().values() for word in template.vocabulary()}
        found |= {"himself", "herself", "themselves", *FORMS["BE"], *FORMS["WAS"]}
        for slot, lemmas in self.words.items():
            found |= {word for lemma in lemmas for word in lemma.split()}
            if slot in ("N", "TV", "IV"):
                found |= {lemma + "s" for lemma in lemmas}
        found |= {w for group in self.templates.values() for t in group for w in t if not w[0].isupper()}
        return tuple(sorted(found))

    def _realised(self, template: tuple[str, ...], rng: random.Random) -> Sentence:
        plural: dict[str, bool] = {}
        reflexive: dict[str, str] = {}
        words: list[str] = []
        agreeing: list[int] = []
        nouns: list[str] = []
        for symbol in sorted((w for w in template if w[0] in "NG" and w[1:].isdigit()), key=lambda w: w[1:]):
            index = symbol[1:]
            plural[index] = symbol[0] == "N" and rng.random() < 0.5
            gender = rng.choice(("male", "female"))
            nouns.append(rng.choice(self.words["N" if symbol[0] == "N" else gender]))
            reflexive[index] = "themselves" if plural[index] else {"male": "himself", "female": "herself"}[gender]
        lemma_of = dict(zip(sorted(plural), nouns, strict=True))
        for symbol in template:
            slot, index = symbol.rstrip("0123456789"), symbol[len(symbol.rstrip("0123456789")) :]
            if slot in AGREEING:
                agreeing.append(len(words))
            words += self._word(slot, index, plural, reflexive, lemma_of, rng).split()
        return Sentence(tuple(words), tuple(agreeing), tuple(nouns))

    def _word(
        self, slot: str, index: str, plural: Mapping[str, bool], reflexive: Mapping[str, str], lemma_of: Mapping[str, str], rng: random.Random
    ) -> str:
        if slot in ("N", "G"):
            return lemma_of[index] + "s" * plural[index]
        if slot == "REFL":
            return reflexive[index]
        if slot in FORMS:
            return FORMS[slot][plural[index]]
        if slot in self.words:
            return rng.choice(self.words[slot]) + "s" * (slot in ("TV", "IV") and not plural[index])
        return slot


def allowed(nouns: tuple[str, ...]) -> bool:
    """Whether a training sentence may have these nouns: none twice, no two that can meet in a task's sentence."""
    return len(set(nouns)) == len(nouns) and not any(frozenset(pair) in noun_pairs() for pair in combinations(nouns, 2))


@functools.cache
def noun_pairs() -> frozenset[frozenset[str]]:
    """`noun_pairs_of_tests`, computed once."""
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
