"""The result of a method: `Explanation`, a set of views of one instance as NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_type_hints

import numpy as np
from jaxtyping import Bool, Float

from ..models.circuits.circuit_graph import CircuitGraph
from ..models.flow.graph import Patterns

VIEWS = ("tokens", "nodes", "flows", "units", "heads", "edges", "mask", "patterns", "circuit")
MASK_COMPANIONS = ("gate", "fill", "sets")
"""Arrays beside a mask: with `gate` and `fill` a metric runs the masked model as the method does; `sets` are equally good."""
MOST_VALUES = 1000
"""The most numbers about the explanation itself."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """The explanation of one instance.

    N counts its real tokens, special ones included. Larger scores are more important, unless the method says otherwise.

    Attributes:
        tokens: Score of each input token, signed.
        nodes: Score of the hidden state `hidden[l][i]` for l = 0..L.
        flows: Score of `hidden[l][i]` for the source word j: [j, l, i].
        units: Score of the attention-level nodes at (l, i): each head's context vector, and the skip last.
        heads: Score of each attention head.
        edges: Score of position p for position i at layer l: [l, head or 0, i (query, later layer), p (key, earlier layer)]. A
            store keeps them in float32, and in float16 (3 significant digits) where an instance has more than 65,536.
        mask: Keep probability of each state by depth; depth 0 is the word vectors, depth l + 1 is hidden[l].
        gate: Expected gate of each state of the mask, where it differs from the keep probability.
        fill: Vectors that replace masked states: one for each depth, of the depth's width; or a single word vector, where every
            depth of the mask masks the words.
        sets: All smallest sets of words that, kept alone, keep the output (or the prediction), where all are known; the mask is
            one of them.
        patterns: Paths with their influence.
        circuit: Score of the edge from each writer to each reader, in the order of `models.circuits.circuit_graph`; 0 where there
            is no edge.
        values: Numbers about the explanation itself, such as `q_baseline`: the value of q to which the tokens' sum is relative.
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
    circuit: Float[np.ndarray, "writers readers"] | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    draws: tuple[Explanation, ...] = ()

    def __post_init__(self) -> None:
        for name, axes in AXES.items():
            view = getattr(self, name)
            if view is None:
                continue
            if view.ndim != len(axes):
                raise ValueError(f"the view {name!r} must have {len(axes)} axes, got shape {view.shape}.")
            if np.iscomplexobj(view):
                raise ValueError(f"the view {name!r} has complex numbers; scores are real: take the part that you mean.")
            if not np.isfinite(view).all():
                count = int((~np.isfinite(view)).sum())
                raise ValueError(f"the view {name!r} has {count} of {view.size} values that are NaN or infinite.")
        self._check_mask_companions()
        if self.circuit is not None and self.circuit[~CircuitGraph.of_shape(self.circuit.shape).edges()].any():
            raise ValueError("the view 'circuit' has scores where there is no edge: a writer after or in the block that reads.")
        if len(self.values) > MOST_VALUES:
            raise ValueError(f"an explanation has at most {MOST_VALUES} values, got {len(self.values)}: put scores into views.")
        for name, value in self.values.items():
            if np.iscomplexobj(value) or not np.isfinite(value):
                raise ValueError(f"the value {name[:100]!r} is {str(value)[:100]}, expected a finite real number.")
        if not self.views and not self.draws:
            raise ValueError("an explanation needs at least one view.")

    def _check_mask_companions(self) -> None:
        if self.mask is None and (self.gate is not None or self.fill is not None):
            raise ValueError("the explanation has a gate or a fill, which belong to a mask, but it has no mask.")
        if self.mask is not None and self.gate is not None and self.gate.shape != self.mask.shape:
            raise ValueError(f"the gate has shape {self.gate.shape}, expected the mask's shape {self.mask.shape}.")
        if self.mask is not None and self.fill is not None and len(self.fill) not in (1, len(self.mask)):
            raise ValueError(
                f"the fill has {len(self.fill)} vectors, expected 1 or one for each of the mask's {len(self.mask)} depths."
            )

    @property
    def views(self) -> frozenset[str]:
        """Names of the views that the explanation has; those of its draws, if it has draws."""
        source = self.draws[0] if self.draws else self
        return frozenset(name for name in VIEWS if getattr(source, name) is not None)

    def each(self) -> tuple[Explanation, ...]:
        """The independent draws, or the explanation itself where there are none."""
        return self.draws or (self,)


def _axes(hint: Any) -> tuple[str, ...]:
    """The names of the axes in the annotation of an optional array; none for other fields."""
    return tuple(name for array in get_args(hint) for name in getattr(array, "dim_str", "").split())


AXES = {name: axes for name, hint in get_type_hints(Explanation).items() if (axes := _axes(hint))}
"""The axes of every array of an explanation, as its annotation names them."""
