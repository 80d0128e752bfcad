"""What every method returns: `Explanation`, a set of views. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from ..models.flow.graph import Patterns

VIEWS = ("tokens", "nodes", "flows", "units", "heads", "edges", "mask", "patterns")
MASK_COMPANIONS = ("gate", "fill", "sets")
"""What a mask may come with, so that a metric can run the masked model as the method does, and what else would do."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """One instance explained. N counts real tokens, special ones included; larger is more important unless said otherwise.

    Attributes:
        tokens: Score of each input token, signed.
        nodes: Score of hidden[l][i] for l = 0..L.
        flows: Score of hidden[l][i] as seen from source word j: [j, l, i].
        units: Score of the attention-level nodes at (l, i): each head's context vector, and the skip last.
        heads: Score of each head.
        edges: Score of position p for position i at layer l: [l, head or 0, i (query, later layer), p (key, earlier layer)].
        mask: Keep probability, depth 0 = word embedding.
        gate: Expected gate of each state of the mask, where it is not the keep probability.
        fill: What stands in for a masked state: one vector a depth, cut to the depth's width; or a single one, for words, where
            every depth of the mask masks the words.
        sets: Every smallest set of words that, kept alone, keeps the prediction, where all are known; the mask has one of them.
        patterns: Paths with their influence.
        values: Numbers about the explanation itself, such as `q_baseline`, what tokens sum to the distance from.
        draws: Several independent draws of a random explanation; then the views above are empty.
    """

    tokens: Float[np.ndarray, " tokens"] | None = None
    nodes: Float[np.ndarray, "depths tokens"] | None = None
    flows: Float[np.ndarray, "tokens depths tokens"] | None = None
    units: Float[np.ndarray, "layers tokens heads_and_skip"] | None = None
    heads: Float[np.ndarray, "layers heads"] | None = None
    edges: Float[np.ndarray, "layers heads tokens tokens"] | None = None
    mask: Float[np.ndarray, "depths_and_words tokens"] | None = None
    gate: Float[np.ndarray, "depths_and_words tokens"] | None = None
    fill: Float[np.ndarray, "one_or_depths_and_words width"] | None = None
    sets: Bool[np.ndarray, "sets tokens"] | None = None
    patterns: Patterns | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    draws: tuple[Explanation, ...] = ()

    def __post_init__(self) -> None:
        dims = {
            "tokens": 1,
            "nodes": 2,
            "flows": 3,
            "units": 3,
            "heads": 2,
            "edges": 4,
            "mask": 2,
            "gate": 2,
            "fill": 2,
            "sets": 2,
        }
        for name, dim in dims.items():
            view = getattr(self, name)
            if view is None:
                continue
            if view.ndim != dim:
                raise ValueError(f"the view {name!r} must have {dim} axes, got shape {view.shape}.")
            if not np.isfinite(view).all():
                bad = int((~np.isfinite(view)).sum())
                raise ValueError(f"the view {name!r} has {bad} of {view.size} values that are NaN or infinite.")
        self._check_beside()
        for name, number in self.values.items():
            if not np.isfinite(number):
                raise ValueError(f"the value {name!r} is {number}.")
        if not self.views and not self.draws:
            raise ValueError("an explanation needs at least one view.")

    def _check_beside(self) -> None:
        if self.mask is None and (self.gate is not None or self.fill is not None):
            raise ValueError("gates and fills belong to a mask, and there is none.")
        if self.mask is not None and self.gate is not None and self.gate.shape != self.mask.shape:
            raise ValueError(f"gates of shape {self.gate.shape} do not belong to a mask of {self.mask.shape}.")
        if self.mask is not None and self.fill is not None and len(self.fill) not in (1, len(self.mask)):
            raise ValueError(f"{len(self.fill)} fills do not belong to a mask of {len(self.mask)} depths.")

    @property
    def views(self) -> frozenset[str]:
        """Names of the views it has (those of its draws, if it has draws)."""
        source = self.draws[0] if self.draws else self
        return frozenset(name for name in VIEWS if getattr(source, name) is not None)

    def each(self) -> tuple[Explanation, ...]:
        """The draws, or itself alone."""
        return self.draws or (self,)
