"""The toy task of De Cao et al. 2020: does one digit occur more often than another? The digits that decide are known."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..core.errors import NoSplit, UsageError
from .instance import Head, Instance, Quantity
from .sampling import balanced

COUNT = 10_000
SHARE = {"train": 9_000, "test": 1_000}
LONGEST = 10
CLASSES = ("no", "yes")
REFERENCE = (
    "De Cao, Schlichtkrull, Aziz and Titov 2020, How do Decisions Emerge across Layers in Neural Models? Interpretation with "
    "Differentiable Masking, section 3"
)


@dataclass(frozen=True)
class CountingTask:
    """Sequences of digits and a query of two digits n, m: does n occur strictly more often than m?

    10,000 examples, 9,000 of them in the split `train`. n and m differ; the length is uniform on 1 to 10; each digit is n or m
    with probability 1/4 each, and each other digit with 1/16. The texts are the query (`8 1`) and the sequence (`8 8 3 1 3 9`).
    `truth["positions"]` has (segment, word) of the digits that are n or m: a model that counts must read these, and need not read
    the others. Source: De Cao et al. 2020, section 3, as in their published code.

    Attributes:
        seed: Of the examples. The model `toy-counting` is trained on those of seed 0.
    """

    seed: int = 0
    name: str = field(init=False, default="toy/counting")
    version: int = field(init=False, default=1)
    head: Head = field(init=False, default="label")
    quantity: Quantity = field(init=False, default=Quantity())
    source: str = field(init=False, default="drawn here")
    reference: str = field(init=False, default=REFERENCE)
    classes: tuple[str, ...] = field(init=False, default=CLASSES)
    model: str = field(init=False, default="toy-counting")

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UsageError(f"seed must be 0 or more, got {self.seed}.")

    def instances(self, split: str = "test", limit: int | None = None, seed: int = 0) -> tuple[Instance, ...]:
        """The examples of a split; with a limit, a seeded sample.

        Args:
            split: `train` or `test`.
            limit: How many examples; None for all.
            seed: Of the sample.

        Raises:
            NoSplit: Another split.
        """
        if split not in SHARE:
            raise NoSplit(f"task {self.name!r} has no split {split!r}; it has: {', '.join(SHARE)}.")
        first = 0 if split == "train" else SHARE["train"]
        drawn = _draw(self.seed)[first : first + SHARE[split]]
        return balanced([_instance(f"{split}/{index}", *example) for index, example in enumerate(drawn)], limit, seed)


def _draw(seed: int) -> list[tuple[list[int], list[int]]]:
    """Query and sequence of every example."""
    rng = np.random.default_rng(seed)
    queries = rng.permuted(np.tile(np.arange(10), (COUNT, 1)), axis=1)  # n, m, then the other digits
    choices = rng.choice(10, (COUNT, LONGEST), p=[1 / 4, 1 / 4, *[1 / 16] * 8])
    digits = np.take_along_axis(queries, choices, 1)
    lengths = rng.integers(1, LONGEST + 1, COUNT)
    return [(q[:2].tolist(), d[:n].tolist()) for q, d, n in zip(queries, digits, lengths, strict=True)]


def _instance(name: str, query: list[int], digits: list[int]) -> Instance:
    more = digits.count(query[0]) > digits.count(query[1])
    texts = tuple(" ".join(map(str, part)) for part in (query, digits))
    slots = ("n", "m", *(str(i + 1) for i in range(len(digits))))
    positions = tuple((1, i) for i, digit in enumerate(digits) if digit in query)
    return Instance(f"toy/counting/{name}", texts, (CLASSES[more],), slots=slots, truth={"positions": positions})


def counting(seed: int = 0) -> CountingTask:
    """Is there strictly more of one digit than of another? The digits that decide are known (De Cao et al. 2020).

    Source: De Cao, Schlichtkrull, Aziz and Titov 2020, How do Decisions Emerge across Layers in Neural Models? Interpretation
    with Differentiable Masking, section 3.
    """
    return CountingTask(seed)
