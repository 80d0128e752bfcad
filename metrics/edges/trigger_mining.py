"""Adversarial triggers: the words that an explanation's strongest edges connect."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np
from jaxtyping import Float

from ...core.errors import NotApplicable
from ...methods.explanation import Explanation
from ...methods.views import describe_views

TriggerScore = Literal["sum", "max"]


@dataclass(frozen=True, order=True)
class WordPiece:
    """A wordpiece of a trigger.

    Attributes:
        id: Its id in the vocabulary.
        segment: The text that it was taken from, 0 or 1.
        place: Its relative position in that text, above 0 and at most 1.
    """

    id: int
    segment: int
    place: float


@dataclass(frozen=True)
class Trigger:
    """At most four wordpieces that are inserted together, in their order in the sentence that they were mined from."""

    pieces: tuple[WordPiece, ...]
    score: float


@dataclass(frozen=True)
class TriggerSentence:
    """The sentence that a trigger is mined from.

    Attributes:
        name: The instance's id.
        ids: Token ids, special tokens included.
        words: Segment and word of each token, -1 for special tokens.
        texts: The words of each segment.
        gap: Id of the gap of a masked sentence, which no trigger takes.
    """

    name: str
    ids: Sequence[int]
    words: Sequence[tuple[int, int]]
    texts: tuple[tuple[str, ...], ...]
    gap: int | None = None

    def usable(self, position: int) -> bool:
        """Whether a token is neither special nor the gap."""
        return self.words[position][0] >= 0 and self.ids[position] != self.gap

    def piece(self, position: int) -> WordPiece:
        """A token as a piece of a trigger: the k-th of the n tokens of its segment, k counted from 1, is at the place k / n."""
        segment = self.words[position][0]
        members = [index for index, (of_segment, _) in enumerate(self.words) if of_segment == segment]
        return WordPiece(int(self.ids[position]), segment, (members.index(position) + 1) / len(members))

    def word(self, position: int) -> str:
        """The word that a token is part of."""
        segment, word = self.words[position]
        return self.texts[segment][word]


def strongest_edges(explanation: Explanation) -> list[tuple[int, int, float]]:
    """The two largest entries (i, p, score) of the one head map that holds the largest of all.

    Raises:
        NotApplicable: The explanation has no edges.
    """
    edges = explanation.edges
    if edges is None:
        raise NotApplicable(f"the method gives {describe_views(explanation)}, and triggers are read from edges.")
    layer, head = np.unravel_index(edges.max((2, 3)).argmax(), edges.shape[:2])
    return top_two(edges[layer, head])


def top_two(scores: Float[np.ndarray, "tokens tokens"]) -> list[tuple[int, int, float]]:
    """The two largest entries (i, p, score) of a head map, earlier rows and columns first on ties.

    >>> top_two(np.array([[0.1, 0.4], [0.3, 0.2]]))
    [(0, 1, 0.4), (1, 0, 0.3)]
    """
    best = np.argsort(-scores, axis=None, kind="stable")[:2]
    rows, columns = np.unravel_index(best, scores.shape)
    return [(int(i), int(p), float(scores[i, p])) for i, p in zip(rows, columns, strict=True)]


def read_trigger(
    edges: Sequence[tuple[int, int, float]], sentence: TriggerSentence, score: TriggerScore, ratio: float, avoid: bool
) -> Trigger | None:
    """The trigger of the words that two edges connect; None where only special tokens or avoided words are left.

    Args:
        edges: The two edges (i, p, score), the stronger first.
        sentence: The sentence that they connect positions of.
        score: What the trigger scores: the `sum` of both edges' scores, or their `max`.
        ratio: The share of the first edge's score that the second must reach to count; 0: it always counts.
        avoid: Whether triggers with words of obvious sentiment are left out.
    """
    strength = [value for *_, value in edges]
    if strength[0] <= 0:
        return None
    taken = [edge for edge in edges if edge[2] >= ratio * strength[0]]
    positions = sorted({position for i, p, _ in taken for position in (i, p) if sentence.usable(position)})
    if not positions or (avoid and any(has_sentiment(sentence.word(position)) for position in positions)):
        return None
    return Trigger(tuple(sentence.piece(position) for position in positions), sum(strength) if score == "sum" else strength[0])


def has_sentiment(word: str) -> bool:
    """Whether a word, or a part of a hyphenated one, is in `sentiment.toml`.

    >>> has_sentiment("Terribly,"), has_sentiment("self-absorbing"), has_sentiment("nobody")
    (True, True, False)
    """
    known = _sentiment()
    parts = {word.lower().strip(".,:;!?\"'()"), *re.findall(r"[a-z']+", word.lower())}
    return any(known.fullmatch(part) for part in parts)


@cache
def _sentiment() -> re.Pattern[str]:
    data = tomllib.loads(files(__package__).joinpath("sentiment.toml").read_text(encoding="utf-8"))
    words = [re.escape(word).replace(r"\*", ".*") for kind in ("positive", "negative") for word in data[kind]]
    return re.compile("|".join(words))
