"""The planted tasks: a noun's number travels to [CLS] along a known path, for which `models.built.planted_bert` is wired."""

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
from .sampling import each_condition

NOUNS = ("author", "baker", "clerk", "driver", "farmer", "guard", "pilot", "singer")
FILLERS = ("now", "then", "here", "there", "soon", "later", "often", "seldom", "quite", "hardly", "well", "badly")
"""Words without number. Of each two, the first has a feature that nouns do not have, and the second its opposite."""
NUMBERS = {"S": "singular", "P": "plural"}
SPLITS = ("train", "test")
SKIP, TARGET = -1, 0
MOST = 500
"""The most sentences of a condition in a split."""


@dataclass(frozen=True)
class Route:
    """A path along which the number of a word reaches [CLS].

    Attributes:
        positions: Token position at depth 0..L; the last is 0, that of [CLS].
        heads: The head that carries the number in each layer, `SKIP` where it stays at its position.
    """

    positions: tuple[int, ...]
    heads: tuple[int, ...]


@dataclass(frozen=True)
class Wiring:
    """The paths along which numbers travel, and what makes them hard to find. Task and model share these settings.

    Attributes:
        depth: Layers L.
        hops: Layers in which a head moves the number to another position; in the others the skip keeps it. 0: every layer.
        words: Words of a sentence.
        heads: Attention heads of a layer.
        routes: Planted routes. Each starts at another word; the subject of a sentence is at the start of one of them.
        distractors: Further routes, each from a noun that is not the subject.
        strength: Weight of a distractor's number at the target, where that of the subject has 1. The model is right if
            distractors * strength stays below 1.
        forks: Weight at the target of each of two side routes of every planted route. Both start at the same word, share the
            first hop, to another node, and then part. Above .5 the edge to that node carries more than the planted path, which
            remains the strongest single path. 0: there are no side routes.
        decoys: Heads of a layer that attend along every route, more sharply than the heads that carry, and move no number.
        overlap: Cosine between the direction of number, in every channel, and that of the other words' feature; the model is
            right if (routes * hops - 1) * overlap stays below about 1.
        saturation: In the layer of its first hop the subject's number is clipped at 1 / (1 + saturation) of its size and scaled
            back, so that the gradient at the subject is 0 and only a path from a baseline shows the number; 0: no clipping.
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
            raise UsageError(
                f"forks must be in [0, 1), and above 0 needs 3 or more layers that all hop, got forks={self.forks}, "
                f"depth={self.depth}, hops={self.hops}."
            )
        if self.ways >= self.words:
            raise UsageError(f"{self.ways} routes to the target need at least {self.ways + 1} words, got words={self.words}.")
        if self.ways + self.decoys > self.heads:
            raise UsageError(
                f"routes, distractors, side routes and decoys need a head each: {self.ways + self.decoys} together, "
                f"got heads={self.heads}."
            )

    @property
    def tokens(self) -> int:
        """Tokens of a sentence, [CLS] and [SEP] included."""
        return self.words + 2

    @property
    def ways(self) -> int:
        """Routes of all kinds: planted ones, those of distractors, and two side routes of each planted one if there are forks."""
        return self.routes + self.distractors + (2 * self.routes if self.forks else 0)

    def weight(self, way: int) -> float:
        """The weight at the target of the number that a route carries; routes are counted as in `routes`."""
        if way < self.routes:
            return 1.0
        return self.strength if way < self.routes + self.distractors else self.forks


def route_heads(wiring: Wiring) -> np.ndarray:
    """The heads of each layer in order of their errand.

    Args:
        wiring: The settings.

    Returns:
        [l, k] (L, A): the head of route k in layer l, in the order of `routes`, then decoys and idle heads.
    """
    rng = np.random.default_rng([wiring.seed, 1])
    return np.stack([rng.permutation(wiring.heads) for _ in range(wiring.depth)])


@cache
def routes(wiring: Wiring) -> tuple[Route, ...]:
    """The planted routes, then those of distractors, then two side routes for each planted route.

    No two routes are at the same position at the same depth, except at [CLS], where all end, and side routes before they part.
    So no route reads what another one carries.

    Args:
        wiring: The settings.

    >>> routes(Wiring(depth=3))[0].positions[-1]
    0
    """
    rng, heads = np.random.default_rng([wiring.seed, 0]), route_heads(wiring)
    own = wiring.routes + wiring.distractors
    twin = {second: second - 1 for second in range(own + 1, wiring.ways, 2)}  # second side route to first: they share a hop
    moves = np.stack([_moves(wiring, rng) for _ in range(wiring.ways)])
    starts = rng.choice(np.arange(1, wiring.words + 1), own, replace=False).tolist()
    positions = [[*starts, *(starts[side // 2] for side in range(wiring.ways - own))]]
    for layer in range(wiring.depth):
        after: list[int | None] = [None if moves[way, layer] else here for way, here in enumerate(positions[-1])]
        for way in rng.permutation(np.flatnonzero(moves[:, layer])).tolist():
            if layer or way not in twin:
                free = set(range(1, wiring.words + 1)) - {positions[-1][way], *after}
                after[way] = int(rng.choice(sorted(free))) if moves[way, layer + 1 :].any() else TARGET
        positions.append([after[twin[way]] if here is None else here for way, here in enumerate(after)])
    carriers = np.where(moves, heads[:, : wiring.ways].T, SKIP)
    for second, shared in twin.items():
        carriers[second, 0] = carriers[shared, 0]
    walks = np.asarray(positions).T
    return tuple(Route(tuple(p.tolist()), tuple(h.tolist())) for p, h in zip(walks, carriers, strict=True))


def _moves(wiring: Wiring, rng: np.random.Generator) -> np.ndarray:
    """Whether a route hops in each layer (L,)."""
    hops = np.zeros(wiring.depth, bool)
    hops[rng.choice(wiring.depth, wiring.hops or wiring.depth, replace=False)] = True
    return hops


@dataclass(frozen=True)
class PlantedTask(Wiring):
    """Sentences whose class is the number of their subject; `truth` has the path that this number takes.

    A condition such as `2SP` is the route of the subject, its number, and that of all distractors. `truth["path"]` is the
    position at depth 0..L, `truth["heads"]` the head of each layer, -1 where the skip carries the number. Source: built for
    flowgauge (docs/adr/0008-planted-paths.md).

    Attributes:
        sentences: Sentences of each condition in each split; the splits share no sentence.
    """

    sentences: int = 100
    name: ClassVar[str] = "planted/relay"
    version: ClassVar[int] = 1
    head: ClassVar[Head] = "label"
    quantity: ClassVar[Quantity] = Quantity()
    source: ClassVar[str] = "built in"
    reference: ClassVar[str] = "flowgauge, docs/adr/0008-planted-paths.md"
    classes: ClassVar[tuple[str, ...]] = tuple(NUMBERS.values())

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.sentences <= MOST:
            raise UsageError(f"task {self.name!r} has 1 to {MOST} sentences a condition, got sentences={self.sentences!r}.")

    @property
    def wiring(self) -> Wiring:
        """The settings that the task shares with its model."""
        return Wiring(**{field.name: getattr(self, field.name) for field in fields(Wiring)})

    @property
    def model(self) -> str:
        """The model with the same settings, as the command line names it."""
        given = [f"{f.name}={getattr(self, f.name)}" for f in fields(Wiring) if getattr(self, f.name) != f.default]
        return f"planted:{','.join(given)}" if given else "planted"

    def instances(self, split: str = "test", limit: int | None = None, seed: int = 0) -> tuple[Instance, ...]:
        """Sentences in round-robin order over the conditions, so that the first n are balanced and a smaller limit is a prefix.

        Args:
            split: `train` or `test`.
            limit: How many instances in all; None for all.
            seed: Of the draw; a sentence has the same id under every seed.

        Raises:
            NoSplit: Another split.
            UsageError: A limit below 1.
        """
        if split not in SPLITS:
            raise NoSplit(f"task {self.name!r} has no split {split!r}; it has: {', '.join(SPLITS)}.")
        if limit is not None and limit < 1:
            raise UsageError(f"limit must be 1 or more, got {limit}.")
        conditions = _conditions(self.wiring)
        count = each_condition(limit, len(conditions), self.sentences)
        drawn = [self._draw(split, index, condition, seed, count) for index, condition in enumerate(conditions)]
        return tuple(instance for together in zip(*drawn, strict=True) for instance in together)[:limit]

    def _draw(self, split: str, index: int, condition: tuple[int, str, str], seed: int, count: int) -> list[Instance]:
        """The first sentences of one condition; a hash of its text decides to which split a sentence belongs."""
        rng = np.random.default_rng([seed, index, SPLITS.index(split)])
        drawn: dict[str, Instance] = {}
        for words in _sentences(self.wiring, condition, rng):
            instance = self._instance(words, condition)
            if zlib.crc32(instance.segments[0].encode()) % len(SPLITS) == SPLITS.index(split):
                drawn[instance.id] = instance
            if len(drawn) == count:
                break
        return list(drawn.values())

    def _instance(self, words: list[str], condition: tuple[int, str, str]) -> Instance:
        route, number, distractor_number = condition
        every = routes(self.wiring)
        name = f"{route + 1}{number}{distractor_number}"
        return Instance(
            id=f"{self.name}/{name}/{'-'.join(words)}",
            segments=(" ".join(words),),
            answer=(NUMBERS[number],),
            condition=name,
            slots=tuple(f"w{n + 1}" for n in range(len(words))),
            counterpart=(" ".join(_other_number(words, every[route].positions[0] - 1)),),
            truth={
                "path": every[route].positions,
                "heads": every[route].heads,
                "distractors": tuple(r.positions[0] for r in every[self.routes : self.routes + self.distractors]),
            },
        )


def _other_number(words: list[str], at: int) -> list[str]:
    """The words with the other number of one noun.

    >>> _other_number(["now", "guards"], 1)
    ['now', 'guard']
    """
    noun = words[at]
    return [*words[:at], noun.removesuffix("s") if noun.endswith("s") else noun + "s", *words[at + 1 :]]


def _conditions(wiring: Wiring) -> list[tuple[int, str, str]]:
    """Every condition: route and number of the subject, and number of the distractors (empty where there are none)."""
    return list(product(range(wiring.routes), NUMBERS, NUMBERS if wiring.distractors else ("",)))


def _sentences(wiring: Wiring, condition: tuple[int, str, str], rng: np.random.Generator) -> Iterator[list[str]]:
    """Random sentences without end: fillers, with the subject at the start of its route and a noun at that of each distractor."""
    route, subject_number, distractor_number = condition
    every = routes(wiring)
    distracting = every[wiring.routes : wiring.routes + wiring.distractors]
    nouns = [(every[route].positions[0], subject_number), *((r.positions[0], distractor_number) for r in distracting)]
    while True:
        words = [str(word) for word in rng.choice(FILLERS, wiring.words)]
        for position, number in nouns:
            words[position - 1] = str(rng.choice(NOUNS)) + ("s" if number == "P" else "")
        yield words


@dataclass(frozen=True)
class Relay(PlantedTask):
    """Number of a noun that hops to another position in every layer, by a head that is known.

    Source: flowgauge, docs/adr/0008-planted-paths.md.
    """


@dataclass(frozen=True)
class Skip(PlantedTask):
    """Number of a noun that stays at its position for most layers, by the skip, and hops twice.

    Source: flowgauge, docs/adr/0008-planted-paths.md.
    """

    depth: int = 6
    hops: int = 2
    name: ClassVar[str] = "planted/skip"


@dataclass(frozen=True)
class Attractor(PlantedTask):
    """Number of a noun beside two others whose numbers reach the target with less weight, and a head that carries none.

    Source: flowgauge, docs/adr/0008-planted-paths.md.
    """

    heads: int = 6
    distractors: int = 2
    decoys: int = 1
    name: ClassVar[str] = "planted/attractor"


@dataclass(frozen=True)
class Fork(PlantedTask):
    """Number of a noun beside two side routes, which share a first hop that carries more than the path, and then part.

    Source: flowgauge, docs/adr/0008-planted-paths.md.
    """

    heads: int = 6
    forks: float = 0.6
    name: ClassVar[str] = "planted/fork"


@dataclass(frozen=True)
class Superposed(PlantedTask):
    """Number of a noun whose direction overlaps with the other words' feature, in a model with random background weights.

    Source: flowgauge, docs/adr/0008-planted-paths.md.
    """

    overlap: float = 0.12
    noise: float = 0.05
    name: ClassVar[str] = "planted/superposed"
