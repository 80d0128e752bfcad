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

SPLITS = ("train", "test")


@dataclass(frozen=True)
class AgreementTask:
    """Sentences of one template, the same number in each condition.

    `train`, for methods that are trained, has the sentences that are drawn after those of `test`, so that no sentence is in both.

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

    def __post_init__(self) -> None:
        if self.name not in templates():
            raise UnknownName("agreement task", self.name, templates())
        object.__setattr__(self, "version", self.template.version)
        object.__setattr__(self, "doc", self.template.summary)
        most = self._most()
        if isinstance(self.sentences, bool) or not isinstance(self.sentences, int) or not 1 <= self.sentences <= most:
            raise UsageError(
                f"task {self.name!r} has 1 to {most} distinct sentences a condition, got sentences={self.sentences!r}."
            )

    @property
    def template(self) -> Template:
        """Its template and words."""
        return templates()[self.name]

    def instances(self, split: str = "test", limit: int | None = None, seed: int = 0) -> tuple[Instance, ...]:
        """Sentences in round-robin order over the conditions, so that the first n are balanced and a smaller limit is a prefix.

        Args:
            split: `test`, or `train`.
            limit: How many in all; None for all.
            seed: Draws other sentences; a sentence keeps its id.

        Raises:
            NoSplit: Another split, or `train` where `test` has every sentence of a condition.
            UsageError: A limit below 1.
        """
        first, most = self._range(split)
        if limit is not None and limit < 1:
            raise UsageError(f"limit must be 1 or more, got {limit}.")
        drawn = [self._draw(condition, seed, most)[first:] for condition in self.template.conditions]
        return tuple(instance for together in zip(*drawn, strict=True) for instance in together)[:limit]

    def _range(self, split: str) -> tuple[int, int]:
        """Which of a condition's draws a split has: from the first to before the last."""
        if split not in SPLITS:
            raise NoSplit(f"task {self.name!r} has no split {split!r}; it has: {', '.join(SPLITS)}.")
        if split == "test":
            return 0, self.sentences
        most = min(self._most(), 2 * self.sentences)
        if most == self.sentences:
            raise NoSplit(f"task {self.name!r} has no split 'train' left: with sentences={most}, all are in `test`.")
        return self.sentences, most

    def _most(self) -> int:
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
    """How many distinct sentences a condition has: every choice of words but those with one noun twice.

    >>> capacity(templates()["sva/obj"], "SP")
    1080
    """
    lists = template.lists[condition]
    twice = len(set(lists[SUBJECT]) & set(lists[ATTRACTOR]))
    pairs = len(lists[SUBJECT]) * len(lists[ATTRACTOR])
    return math.prod(len(lemmas) for lemmas in lists.values()) // pairs * (pairs - twice)


def decode(template: Template, condition: str, code: int) -> dict[str, str]:
    """The lemmas of the sentence with a number from 0 to the product of the lists' lengths (mixed radix, first slot fastest)."""
    words = {}
    for slot in template.slots:
        lemmas = template.lists[condition][slot]
        code, index = divmod(code, len(lemmas))
        words[slot] = lemmas[index]
    return words


def sentence(template: Template, condition: str, lemmas: Mapping[str, str]) -> Instance:
    """The instance with these lemmas.

    >>> sentence(templates()["sva/app"], "SP", {"SUBJ": "author", "PREP": "next to", "ATTR": "guard", "ADJ": "tall"}).segments
    ('the author next to the guards [MASK] tall .',)
    """
    words, slots = [], []
    for name in template.words:
        filled = template.inflected(name, lemmas[name], condition).split() if name in lemmas else [name]
        words += filled
        slots += [name] if len(filled) == 1 else [f"{name}{i}" for i in range(1, len(filled) + 1)]
    own = condition[0]
    feature = "gender" if template.gendered else "number"
    long = {f"{slot}_{feature}": template.features[letter] for slot, letter in zip((SUBJECT, ATTRACTOR), condition, strict=True)}
    wrong = next(letter for letter in template.answers if letter != own)
    return Instance(
        id=f"{template.name}/{condition}/{'-'.join(lemmas[slot].replace(' ', '-') for slot in template.slots)}",
        segments=(" ".join(words),),
        answer=(template.answers[own],),
        against=(template.answers[wrong],),
        condition=condition,
        slots=tuple(numbered(slots)),
        truth={**{slot: lemmas[slot] for slot in template.slots}, **long},
    )


def numbered(slots: list[str]) -> list[str]:
    """Slot names with repeated ones told apart.

    >>> numbered(["the", "SUBJ", "that", "the", "ATTR"])
    ['the1', 'SUBJ', 'that', 'the2', 'ATTR']
    """
    count, seen, names = Counter(slots), Counter[str](), []
    for name in slots:
        seen[name] += 1
        names.append(f"{name}{seen[name]}" if count[name] > 1 else name)
    return names


def sva_obj(sentences: int = 250) -> AgreementTask:
    """`sva/obj`."""
    return AgreementTask("sva/obj", sentences)


def sva_subj(sentences: int = 250) -> AgreementTask:
    """`sva/subj`."""
    return AgreementTask("sva/subj", sentences)


def sva_wsc(sentences: int = 250) -> AgreementTask:
    """`sva/wsc`."""
    return AgreementTask("sva/wsc", sentences)


def sva_app(sentences: int = 250) -> AgreementTask:
    """`sva/app`."""
    return AgreementTask("sva/app", sentences)


def ra_na(sentences: int = 250) -> AgreementTask:
    """`ra/na`."""
    return AgreementTask("ra/na", sentences)


def ra_ga(sentences: int = 250) -> AgreementTask:
    """`ra/ga`."""
    return AgreementTask("ra/ga", sentences)
