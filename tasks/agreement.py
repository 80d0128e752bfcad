"""The six agreement tasks: one template each, words drawn with a seed (Marvin & Linzen 2018; Goldberg 2019; Lin et al. 2019)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..core.errors import NoSplit, UnknownName, UsageError
from .instance import Head, Instance, Quantity
from .lexicon import ATTRACTOR, SUBJECT, Template, templates
from .sampling import each_condition

SPLITS = ("train", "test")


@dataclass(frozen=True)
class AgreementTask:
    """Sentences of one template with a gap at the agreeing word, the same number in each condition.

    `train`, for methods that are trained, has the sentences that are drawn after those of `test`, so that no sentence is in both.
    Source: `reference`.

    Attributes:
        name: `sva/obj`, `sva/subj`, `sva/wsc`, `sva/app` (is/are), `ra/na` (himself/themselves), `ra/ga` (himself/herself).
        sentences: How many distinct ones a condition has, in `test`, and in `train` where the template has as many more.

    Raises:
        UsageError: No such task, or more sentences than the template has.
    """

    name: str
    sentences: int = 250
    version: int = field(init=False)
    doc: str = field(init=False)
    head: Head = field(init=False, default="masked")
    quantity: Quantity = field(init=False, default=Quantity())
    source: str = field(init=False, default="built in")

    @property
    def reference(self) -> str:
        """The publications that the sentences follow."""
        return self.template.reference

    def __post_init__(self) -> None:
        if self.name not in templates():
            raise UnknownName("agreement task", self.name, templates())
        object.__setattr__(self, "version", self.template.version)
        object.__setattr__(self, "doc", self.template.summary)
        most = self._capacity()
        if isinstance(self.sentences, bool) or not isinstance(self.sentences, int) or not 1 <= self.sentences <= most:
            raise UsageError(
                f"task {self.name!r} has 1 to {most} distinct sentences a condition, got sentences={self.sentences!r}."
            )

    @property
    def template(self) -> Template:
        """The template of this task and the words of its slots."""
        return templates()[self.name]

    def instances(self, split: str = "test", limit: int | None = None, seed: int = 0) -> tuple[Instance, ...]:
        """Sentences in round-robin order over the conditions, so that the first n are balanced and a smaller limit is a prefix.

        Args:
            split: `test`, or `train`.
            limit: How many instances in all; None for all.
            seed: Of the draw; a sentence has the same id under every seed.

        Returns:
            The instances, of every condition as many or one less.

        Raises:
            NoSplit: Another split, or `train` where `test` has every sentence of a condition.
            UsageError: A limit below 1.
        """
        first, last = self._draws(split)
        if limit is not None and limit < 1:
            raise UsageError(f"limit must be 1 or more, got {limit}.")
        conditions = self.template.conditions
        count = first + each_condition(limit, len(conditions), last - first)
        drawn = [self._draw(condition, seed, count)[first:] for condition in conditions]
        return tuple(instance for together in zip(*drawn, strict=True) for instance in together)[:limit]

    def _draws(self, split: str) -> tuple[int, int]:
        """Which of a condition's draws belong to a split: the index of the first, and one past that of the last."""
        if split not in SPLITS:
            raise NoSplit(f"task {self.name!r} has no split {split!r}; it has: {', '.join(SPLITS)}.")
        if split == "test":
            return 0, self.sentences
        last = min(self._capacity(), 2 * self.sentences)
        if last == self.sentences:
            raise NoSplit(f"task {self.name!r} has no split 'train' left: with sentences={last}, all are in `test`.")
        return self.sentences, last

    def _capacity(self) -> int:
        """The number of distinct sentences of the condition that has the fewest."""
        return min(capacity(self.template, condition) for condition in self.template.conditions)

    def _draw(self, condition: str, seed: int, count: int) -> list[Instance]:
        template, lists = self.template, self.template.lists[condition]
        space = math.prod(len(lemmas) for lemmas in lists.values())
        rng = np.random.default_rng([seed, template.conditions.index(condition)])
        drawn: dict[int, Instance] = {}
        while len(drawn) < count:
            code = int(rng.integers(space))
            words = decode(template, condition, code)
            if code not in drawn and words[SUBJECT] != words[ATTRACTOR]:
                drawn[code] = sentence(template, condition, words)
        return list(drawn.values())


def capacity(template: Template, condition: str) -> int:
    """The number of distinct sentences of a condition: every choice of words in which the two nouns differ.

    >>> capacity(templates()["sva/obj"], "SP")
    1080
    """
    lists = template.lists[condition]
    twice = len(set(lists[SUBJECT]) & set(lists[ATTRACTOR]))
    pairs = len(lists[SUBJECT]) * len(lists[ATTRACTOR])
    return math.prod(len(lemmas) for lemmas in lists.values()) // pairs * (pairs - twice)


def decode(template: Template, condition: str, code: int) -> dict[str, str]:
    """The lemma of each slot in the sentence with a given code.

    Args:
        template: The template.
        condition: Chooses the lists of lemmas.
        code: From 0 up to the product of the lists' lengths; a mixed-radix number whose first digit belongs to the first slot.

    >>> decode(templates()["sva/obj"], "SP", 11)
    {'SUBJ': 'pilot', 'ATTR': 'chef', 'EVERB': 'like', 'ADJ': 'tall'}
    """
    words = {}
    for slot in template.slots:
        lemmas = template.lists[condition][slot]
        code, index = divmod(code, len(lemmas))
        words[slot] = lemmas[index]
    return words


def sentence(template: Template, condition: str, lemmas: Mapping[str, str]) -> Instance:
    """The instance with these lemmas, inflected for the condition.

    Args:
        template: The template.
        condition: Number or gender of the subject, then of the intervening noun.
        lemmas: A lemma for each slot.

    Returns:
        The instance, with lemmas and features in `truth`; its counterpart is the sentence whose subject has the other feature.
        The words before the gap decide the answer, since the subject stands there.

    >>> sentence(templates()["sva/app"], "SP", {"SUBJ": "author", "PREP": "next to", "ATTR": "guard", "ADJ": "tall"}).segments
    ('the author next to the guards [MASK] tall .',)
    """
    words = filled_in(template, condition, lemmas)
    slots = []
    for name, forms in words:
        slots += [name] if len(forms) == 1 else [f"{name}{i}" for i in range(1, len(forms) + 1)]
    subject_feature = condition[0]
    feature = "gender" if template.gendered else "number"
    features = {
        f"{slot}_{feature}": template.features[letter] for slot, letter in zip((SUBJECT, ATTRACTOR), condition, strict=True)
    }
    wrong_feature = next(letter for letter in template.answers if letter != subject_feature)
    return Instance(
        id=f"{template.name}/{condition}/{'-'.join(lemmas[slot].replace(' ', '-') for slot in template.slots)}",
        segments=(_joined(words),),
        answer=(template.answers[subject_feature],),
        against=(template.answers[wrong_feature],),
        condition=condition,
        slots=tuple(numbered(slots)),
        truth={**{slot: lemmas[slot] for slot in template.slots}, **features},
        left_to_right=True,
        counterpart=(_joined(filled_in(template, *flipped(template, condition, lemmas))),),
    )


def filled_in(template: Template, condition: str, lemmas: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """Each word of a template with the words that stand in its place, inflected for the condition.

    Args:
        template: The template.
        condition: Number or gender of the subject, then of the intervening noun.
        lemmas: A lemma for each slot.
    """
    return [
        (name, template.inflected(name, lemmas[name], condition).split() if name in lemmas else [name]) for name in template.words
    ]


def _joined(words: list[tuple[str, list[str]]]) -> str:
    return " ".join(form for _, forms in words for form in forms)


def flipped(template: Template, condition: str, lemmas: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Condition and lemmas of the counterpart: the subject has the other feature, and all else is the same.

    A noun of the other gender is the one at the same place of the other list (queen for king), or the one behind it where that is
    the intervening noun already.

    Args:
        template: The template.
        condition: Of the sentence.
        lemmas: Of the sentence.

    >>> flipped(templates()["sva/app"], "SP", {"SUBJ": "author", "ATTR": "guard"})
    ('PP', {'SUBJ': 'author', 'ATTR': 'guard'})
    """
    other = next(letter for letter in template.answers if letter != condition[0]) + condition[1]
    if not template.gendered:
        return other, dict(lemmas)
    nouns = template.lists[other][SUBJECT]
    place = template.lists[condition][SUBJECT].index(lemmas[SUBJECT])
    partner = nouns[place] if nouns[place] != lemmas[ATTRACTOR] else nouns[(place + 1) % len(nouns)]
    return other, {**lemmas, SUBJECT: partner}


def numbered(slots: list[str]) -> list[str]:
    """Slot names, those that occur several times with a number behind them.

    >>> numbered(["the", "SUBJ", "that", "the", "ATTR"])
    ['the1', 'SUBJ', 'that', 'the2', 'ATTR']
    """
    count, seen, names = Counter(slots), Counter[str](), []
    for name in slots:
        seen[name] += 1
        names.append(f"{name}{seen[name]}" if count[name] > 1 else name)
    return names


def sva_obj(sentences: int = 250) -> AgreementTask:
    """Subject-verb agreement across an object relative clause: the author that the guards like is tall.

    Source: Marvin and Linzen 2018, Targeted Syntactic Evaluation of Language Models; Goldberg 2019, Assessing BERT's Syntactic
    Abilities.
    """
    return AgreementTask("sva/obj", sentences)


def sva_subj(sentences: int = 250) -> AgreementTask:
    """Subject-verb agreement across a subject relative clause: the author that likes the guards is tall.

    Source: Marvin and Linzen 2018, Targeted Syntactic Evaluation of Language Models; Goldberg 2019, Assessing BERT's Syntactic
    Abilities.
    """
    return AgreementTask("sva/subj", sentences)


def sva_wsc(sentences: int = 250) -> AgreementTask:
    """Subject-verb agreement within a sentence complement: the bankers said the author is tall.

    Source: Marvin and Linzen 2018, Targeted Syntactic Evaluation of Language Models; Goldberg 2019, Assessing BERT's Syntactic
    Abilities.
    """
    return AgreementTask("sva/wsc", sentences)


def sva_app(sentences: int = 250) -> AgreementTask:
    """Subject-verb agreement across a prepositional phrase: the author next to the guards is tall.

    Source: Marvin and Linzen 2018, Targeted Syntactic Evaluation of Language Models; Goldberg 2019, Assessing BERT's Syntactic
    Abilities.
    """
    return AgreementTask("sva/app", sentences)


def ra_na(sentences: int = 250) -> AgreementTask:
    """Number of a reflexive across an object relative clause: the author that the guards like hurt himself.

    Source: Marvin and Linzen 2018, Targeted Syntactic Evaluation of Language Models; Goldberg 2019, Assessing BERT's Syntactic
    Abilities.
    """
    return AgreementTask("ra/na", sentences)


def ra_ga(sentences: int = 250) -> AgreementTask:
    """Gender of a reflexive across a subject relative clause: my king who can hit some queen may hurt himself.

    Source: Lin, Tan and Frank 2019, Open Sesame: Getting Inside BERT's Linguistic Knowledge.
    """
    return AgreementTask("ra/ga", sentences)
