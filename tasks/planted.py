"""The planted tasks: a noun's number travels to [CLS] along a path that is known, because `models.planted` was wired for it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from itertools import product
from typing import ClassVar

import numpy as np

from ..core.errors import NoSplit, UsageError
from .instance import Head, Instance, Quantity

NOUNS = ("author", "baker", "clerk", "driver", "farmer", "guard", "pilot", "singer")
FILLERS = ("now", "then", "here", "there", "soon", "later", "often", "seldom", "quite", "hardly", "well", "badly")
"""Words without number; of each two, the first has another feature and the second its opposite."""
NUMBERS = {"S": "singular", "P": "plural"}
SPLITS = ("train", "test")
SKIP, TARGET = -1, 0
MOST = 500
"""Most sentences a condition and split."""


@dataclass(frozen=True)
class Route:
    """One way of a word's number to [CLS].

    Attributes:
        positions: Token position at depth 0..L, 0 at the end.
        heads: The head that carries it in each layer, `SKIP` where it stays at its position.
    """

    positions: tuple[int, ...]
    heads: tuple[int, ...]


@dataclass(frozen=True)
class Wiring:
    """Where numbers travel, and how hard that is made to see. Task and model with the same settings belong together.

    Attributes:
        depth: Layers L.
        hops: Layers in which a route moves to another position by a head; in the others it stays by the skip. 0: every layer.
        words: Words of a sentence.
        heads: Heads a layer.
        routes: Planted routes. Each starts at another word; a sentence has its subject at the start of one of them.
        distractors: Further routes, each from a noun that is not the subject.
        strength: Weight of a distractor's number at the target, where the subject's has 1. The model is right if
            distractors * strength stays below 1.
        forks: Weight of each of two by-ways of every planted route, at the target. They start at the same word, share the first
            hop to another node, and part; so with more than .5 the way to that node carries more than the planted path, which
            still is the strongest single one. 0: there are none.
        decoys: Heads of a layer that attend along every route, more sharply than what carries, and move nothing of number.
        overlap: Cosine between the direction of number, in every channel, and that of the other words' feature; the model is
            right if (routes * hops - 1) * overlap stays below about 1.
        saturation: In the layer of its first hop the subject's number is clipped at 1 / (1 + saturation) of its size and brought
            back to it, so that the gradient at the subject is 0 and only a path from a baseline shows it; 0: not at all.
        noise: Standard deviation of random weights added to every matrix of the layers, in units of 1 / sqrt(width).
        seed: Of routes, directions and noise.

    Raises:
        UsageError: A setting out of range, more routes than heads or words allow.
    """

    depth: int = 4
    hops: int = 0
    words: int = 8
    heads: int = 4
    routes: int = 2
    distractors: int = 0
    strength: float = 0.4
    forks: float = 0.0
    decoys: int = 0
    overlap: float = 0.0
    saturation: float = 0.0
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low in {
            "depth": 1,
            "hops": 0,
            "words": 4,
            "heads": 1,
            "routes": 1,
            "distractors": 0,
            "decoys": 0,
            "seed": 0,
        }.items():
            if getattr(self, name) < low:
                raise UsageError(f"{name} must be at least {low}, got {getattr(self, name)}.")
        if self.hops > self.depth:
            raise UsageError(f"{self.hops} hops do not fit into {self.depth} layers.")
        if min(self.strength, self.saturation, self.noise) < 0 or not 0 <= self.overlap < 1:
            raise UsageError("strength, saturation and noise must be at least 0, and overlap in [0, 1).")
        if not 0 <= self.forks < 1 or (self.forks and (self.depth < 3 or self.hops not in (0, self.depth))):
            raise UsageError(f"forks must be in [0, 1), with 3 or more layers that all hop, got {self.forks}.")
        if self.ways >= self.words:
            raise UsageError(f"{self.ways} ways to the target need at least {self.ways + 1} words, got words={self.words}.")
        if self.ways + self.decoys > self.heads:
            raise UsageError(
                f"routes, distractors, by-ways and decoys need a head each: {self.ways + self.decoys} together, "
                f"got heads={self.heads}."
            )

    @property
    def tokens(self) -> int:
        """Tokens of a sentence, [CLS] and [SEP] included."""
        return self.words + 2

    @property
    def ways(self) -> int:
        """Routes of all kinds: planted ones, those of distractors, and two by-ways of each planted one where it forks."""
        return self.routes + self.distractors + (2 * self.routes if self.forks else 0)

    def weight(self, way: int) -> float:
        """Of a way's number at the target."""
        own = 1.0 if way < self.routes else self.strength
        return own if way < self.routes + self.distractors else self.forks


def route_heads(wiring: Wiring) -> np.ndarray:
    """[l, k]: the head of route k in layer l; in the order of `routes`, then decoys and idle heads."""
    rng = np.random.default_rng([wiring.seed, 1])
    return np.stack([rng.permutation(wiring.heads) for _ in range(wiring.depth)])


@cache
def routes(wiring: Wiring) -> tuple[Route, ...]:
    """The planted routes, then those of distractors, then two by-ways a planted route.

    No two are at one position at the same depth, but at [CLS], where they end, and by-ways before they part; so no route reads
    what another one carries.

    >>> routes(Wiring(depth=3))[0].positions[-1]
    0
    """
    rng, heads = np.random.default_rng([wiring.seed, 0]), route_heads(wiring)
    own = wiring.routes + wiring.distractors
    first = {second: second - 1 for second in range(own + 1, wiring.ways, 2)}
    moves = np.stack([_moves(wiring, rng) for _ in range(wiring.ways)])
    starts = rng.choice(np.arange(1, wiring.words + 1), own, replace=False).tolist()
    at = [[*starts, *(starts[by // 2] for by in range(wiring.ways - own))]]
    for layer in range(wiring.depth):
        after: list[int | None] = [None if moves[way, layer] else here for way, here in enumerate(at[-1])]
        for way in rng.permutation(np.flatnonzero(moves[:, layer])).tolist():
            if layer or way not in first:
                free = set(range(1, wiring.words + 1)) - {at[-1][way], *after}
                after[way] = int(rng.choice(sorted(free))) if moves[way, layer + 1 :].any() else TARGET
        at.append([after[first[way]] if here is None else here for way, here in enumerate(after)])
    carriers = np.where(moves, heads[:, : wiring.ways].T, SKIP)
    for second, shared in first.items():
        carriers[second, 0] = carriers[shared, 0]
    walks = np.asarray(at).T
    return tuple(Route(tuple(p.tolist()), tuple(h.tolist())) for p, h in zip(walks, carriers, strict=True))


def _moves(wiring: Wiring, rng: np.random.Generator) -> np.ndarray:
    """In which layers a route hops."""
    found = np.zeros(wiring.depth, bool)
    found[rng.choice(wiring.depth, wiring.hops or wiring.depth, replace=False)] = True
    return found


@dataclass(frozen=True)
class PlantedTask(Wiring):
    """Sentences in which the subject's number is asked for; `truth` has the path it takes.

    A condition such as `2SP` is the route of the subject, its number, and that of all distractors. `truth["path"]` is the
    position at depth 0..L, `truth["heads"]` the head of each layer, -1 where the skip carries.

    Attributes:
        sentences: How many a condition has in each split; the splits share no sentence.
    """

    sentences: int = 100
    name: ClassVar[str] = "planted/relay"
    version: ClassVar[int] = 1
    head: ClassVar[Head] = "label"
    quantity: ClassVar[Quantity] = Quantity()
    source: ClassVar[str] = "built in"
    classes: ClassVar[tuple[str, ...]] = tuple(NUMBERS.values())

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.sentences <= MOST:
            raise UsageError(f"task {self.name!r} has 1 to {MOST} sentences a condition, got sentences={self.sentences!r}.")

    @property
    def wiring(self) -> Wiring:
        """Its settings without those of the sample."""
        return Wiring(**{field.name: getattr(self, field.name) for field in fields(Wiring)})

    @property
    def model(self) -> str:
        """The model with the same wiring, as on the command line."""
        given = [f"{f.name}={getattr(self, f.name)}" for f in fields(Wiring) if getattr(self, f.name) != f.default]
        return f"planted:{','.join(given)}" if given else "planted"

    def instances(self, split: str = "test", limit: int | None = None, seed: int = 0) -> tuple[Instance, ...]:
        """Sentences in round-robin order over the conditions, so that the first n are balanced and a smaller limit is a prefix.

        Args:
            split: `train` or `test`.
            limit: How many in all; None for all.
            seed: Draws other sentences; a sentence keeps its id.

        Raises:
            UsageError: Another split, or a limit below 1.
        """
        if split not in SPLITS:
            raise NoSplit(f"task {self.name!r} has no split {split!r}; it has: {', '.join(SPLITS)}.")
        if limit is not None and limit < 1:
            raise UsageError(f"limit must be 1 or more, got {limit}.")
        drawn = [self._draw(split, condition, seed) for condition in enumerate(_conditions(self.wiring))]
        return tuple(instance for together in zip(*drawn, strict=True) for instance in together)[:limit]

    def _draw(self, split: str, numbered: tuple[int, tuple[int, str, str]], seed: int) -> list[Instance]:
        number, condition = numbered
        rng = np.random.default_rng([seed, number, SPLITS.index(split)])
        found: dict[str, Instance] = {}
        for words in _sentences(self.wiring, condition, rng):
            made = self._instance(words, condition)
            if zlib.crc32(made.segments[0].encode()) % len(SPLITS) == SPLITS.index(split):
                found[made.id] = made
            if len(found) == self.sentences:
                break
        return list(found.values())

    def _instance(self, words: list[str], condition: tuple[int, str, str]) -> Instance:
        route, own, other = condition
        every = routes(self.wiring)
        name = f"{route + 1}{own}{other}"
        return Instance(
            id=f"{self.name}/{name}/{'-'.join(words)}",
            segments=(" ".join(words),),
            answer=(NUMBERS[own],),
            condition=name,
            slots=tuple(f"w{n + 1}" for n in range(len(words))),
            truth={
                "path": every[route].positions,
                "heads": every[route].heads,
                "distractors": tuple(r.positions[0] for r in every[self.routes : self.routes + self.distractors]),
            },
        )


def _conditions(wiring: Wiring) -> list[tuple[int, str, str]]:
    """Route, number of the subject, number of the distractors (empty where there are none)."""
    return list(product(range(wiring.routes), NUMBERS, NUMBERS if wiring.distractors else ("",)))


def _sentences(wiring: Wiring, condition: tuple[int, str, str], rng: np.random.Generator) -> Iterator[list[str]]:
    """Words without end: fillers, the subject at the start of its route, a noun at the start of every distractor's."""
    route, own, other = condition
    every = routes(wiring)
    distracting = every[wiring.routes : wiring.routes + wiring.distractors]
    nouns = [(every[route].positions[0], own), *((r.positions[0], other) for r in distracting)]
    while True:
        words = [str(word) for word in rng.choice(FILLERS, wiring.words)]
        for position, number in nouns:
            words[position - 1] = str(rng.choice(NOUNS)) + ("s" if number == "P" else "")
        yield words


@dataclass(frozen=True)
class Relay(PlantedTask):
    """Number of a noun that hops to another position in every layer, by a head that is known."""


@dataclass(frozen=True)
class Skip(PlantedTask):
    """Number of a noun that stays at its position for most layers, by the skip, and hops twice."""

    depth: int = 6
    hops: int = 2
    name: ClassVar[str] = "planted/skip"


@dataclass(frozen=True)
class Attractor(PlantedTask):
    """Number of a noun beside two others whose numbers reach the target with less weight, and a head that carries none."""

    heads: int = 6
    distractors: int = 2
    decoys: int = 1
    name: ClassVar[str] = "planted/attractor"


@dataclass(frozen=True)
class Fork(PlantedTask):
    """Number of a noun beside whose path two others share a first hop that carries more, and then part."""

    heads: int = 6
    forks: float = 0.6
    name: ClassVar[str] = "planted/fork"


@dataclass(frozen=True)
class Superposed(PlantedTask):
    """Number of a noun whose direction overlaps with the other words' feature, in a model with random background weights."""

    overlap: float = 0.12
    noise: float = 0.05
    name: ClassVar[str] = "planted/superposed"
