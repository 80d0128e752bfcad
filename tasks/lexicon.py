"""The templates and words of the agreement tasks, read from `lexicon.toml`, and how a slot's word is inflected."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from .instance import GAP

SUBJECT, ATTRACTOR = "SUBJ", "ATTR"
Words = Mapping[str, tuple[str, ...]]
"""Lemmas by the slot that takes them."""


@dataclass(frozen=True)
class Template:
    """One agreement task as data.

    Attributes:
        name: Of the task.
        summary: What it tests, with an example.
        reference: The publications that it follows.
        version: Of the lexicon; raised when a sentence may change.
        words: The template, blank-separated; capitals are slots, a slot may be filled by several words.
        answers: The word that goes into the gap, by the subject's feature (`S`, `P` or `M`, `F`).
        lists: Lemmas by condition, then by slot. Nouns of gendered tasks differ from condition to condition.
        agrees: Slot of a present-tense verb to the slot of the noun it agrees with.
        features: The long name of each feature.
        gendered: True where the features are genders, so that nouns are not inflected.
    """

    name: str
    summary: str
    reference: str
    version: int
    words: tuple[str, ...]
    answers: Mapping[str, str]
    lists: Mapping[str, Words]
    agrees: Mapping[str, str]
    features: Mapping[str, str]
    gendered: bool

    @property
    def conditions(self) -> tuple[str, ...]:
        """Feature of the subject, then of the intervening noun: SS, SP, PS, PP or MM, MF, FF, FM."""
        return tuple(self.lists)

    @property
    def slots(self) -> tuple[str, ...]:
        """The slots that lemmas fill, in the order of the template."""
        return tuple(word for word in self.words if word in next(iter(self.lists.values())))

    def inflected(self, slot: str, lemma: str, condition: str) -> str:
        """The form that a lemma takes in a slot.

        Args:
            slot: A slot of the template.
            lemma: A noun in the singular, a verb without ending, or a word that is not inflected.
            condition: Number or gender of the subject, then of the intervening noun.

        >>> templates()["sva/obj"].inflected("EVERB", "like", "SP")
        'like'
        """
        if self.gendered:
            return lemma
        number = dict(zip((SUBJECT, ATTRACTOR), condition, strict=True))
        if slot in number:
            return lemma + "s" * (number[slot] == "P")
        if slot in self.agrees:
            return lemma + "s" * (number[self.agrees[slot]] == "S")
        return lemma

    def vocabulary(self) -> set[str]:
        """Every word that a sentence or an answer of this task can have."""
        fixed = {word for word in self.words if word not in self.slots and word != GAP}
        forms = {
            self.inflected(slot, lemma, condition)
            for condition, lists in self.lists.items()
            for slot, lemmas in lists.items()
            for lemma in lemmas
        }
        return fixed | set(self.answers.values()) | {word for form in forms for word in form.split()}


@functools.cache
def templates() -> Mapping[str, Template]:
    """The templates of the agreement tasks by the task's name."""
    data = tomllib.loads(files(__package__).joinpath("lexicon.toml").read_text(encoding="utf-8"))
    return {name: _template(name, entry, data) for name, entry in data["tasks"].items()}


def noun_pairs_of_tests() -> frozenset[frozenset[str]]:
    """Every two nouns that can stand together in a sentence of some agreement task.

    If no training sentence of a model holds both nouns of such a pair, the tasks test it on combinations that it has not seen.

    Returns:
        Pairs of different lemmas, without order.
    """
    return frozenset(
        frozenset((subject, attractor))
        for template in templates().values()
        for lists in template.lists.values()
        for subject in lists[SUBJECT]
        for attractor in lists[ATTRACTOR]
        if subject != attractor
    )


def _template(name: str, entry: Mapping[str, object], data: Mapping[str, object]) -> Template:
    lists: Mapping[str, list[str]] = data["lists"]  # type: ignore[assignment]
    answers: Mapping[str, str] = entry["answers"]  # type: ignore[assignment]
    gendered: Mapping[str, str] = entry.get("gendered", {})  # type: ignore[assignment]
    named: Mapping[str, str] = entry["lists"]  # type: ignore[assignment]
    by_condition = {}
    for condition in _conditions(tuple(answers), bool(gendered)):
        nouns = {SUBJECT: gendered[condition[0]], ATTRACTOR: gendered[condition[1]]} if gendered else {}
        by_condition[condition] = {slot: tuple(lists[key]) for slot, key in {**named, **nouns}.items()}
    return Template(
        name=name,
        summary=str(entry["summary"]),
        reference=str(entry["reference"]),
        version=int(data["version"]),  # type: ignore[call-overload]
        words=tuple(str(entry["template"]).split()),
        answers=answers,
        lists=by_condition,
        agrees=entry.get("agrees", {}),  # type: ignore[arg-type]
        features=data["features"],  # type: ignore[arg-type]
        gendered=bool(gendered),
    )


def _conditions(features: tuple[str, ...], gendered: bool) -> tuple[str, ...]:
    """The conditions of a task; their order enters the seeds of the draws."""
    first, second = features
    same = (first + first, first + second)
    return (*same, second + second, second + first) if gendered else (*same, second + first, second + second)
