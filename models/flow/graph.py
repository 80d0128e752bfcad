"""Patterns, subgraphs and exact path counts over the two flow graphs, in NumPy alone, because figures and tables read them.

`G_e` has the nodes hidden[l][i], l = 0..L. `G_a` adds, between hidden[l] and hidden[l+1][i], one node for each head's context
vector at i, and one skip node that is reached from hidden[l][i] alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

Attends = Bool[np.ndarray, "layers tokens tokens"]
"""Whether position i can attend to position p at each layer: [l, i, p]."""
SKIP, ALL_HEADS, NO_EDGE = -1, -2, -3
"""Codes in `Patterns.heads` besides the indices of heads: the skip node, every head at once, no edge."""


@dataclass(frozen=True, eq=False)
class Patterns:
    """Paths of nodes with their influence, one or more for each source word.

    With k nodes in a layer a pattern is the bundle of all paths through its node sets; k = 1 is a single path.

    Attributes:
        source: Position of each pattern's source word.
        total: Influence of the source word over all paths (g; units of q).
        influence: I(x, pi) at the embedding level (units of q).
        positions: Token positions in each layer, -1 where fewer than k nodes are used (always at the first and the last layer).
        head_influence: I(x, pi) at the attention level, or None.
        heads: The attention-level node of each edge, [k, l, to, from] between positions[k, l, from] and
            positions[k, l + 1, to]: the index of a head, `SKIP`, `ALL_HEADS` or `NO_EDGE`; or None.
        gap: Best exact influence minus this pattern's, in the direction of `total` (units of q; 0: optimal), or None.

    Raises:
        ValueError: Shapes that do not match, or numbers that are not finite.
    """

    source: Int[np.ndarray, " patterns"]
    total: Float[np.ndarray, " patterns"]
    influence: Float[np.ndarray, " patterns"]
    positions: Int[np.ndarray, "patterns depths k"]
    head_influence: Float[np.ndarray, " patterns"] | None = None
    heads: Int[np.ndarray, "patterns layers k k"] | None = None
    gap: Float[np.ndarray, " patterns"] | None = None

    def __post_init__(self) -> None:
        count = len(self.source)
        if self.positions.ndim != 3 or len(self.positions) != count:
            raise ValueError(f"positions must be (patterns, L+1, k) for {count} patterns, got {self.positions.shape}.")
        k, depths = self.positions.shape[2], self.positions.shape[1]
        if self.heads is not None and self.heads.shape != (count, depths - 1, k, k):
            raise ValueError(f"heads must be {(count, depths - 1, k, k)}, got {self.heads.shape}.")
        for name in ("total", "influence", "head_influence", "gap"):
            values = getattr(self, name)
            if values is not None and (values.shape != (count,) or not np.isfinite(values).all()):
                raise ValueError(f"{name} must be {count} finite numbers, got {values!r}.")

    def __len__(self) -> int:
        return len(self.source)

    def select(self, keep: Bool[np.ndarray, " patterns"]) -> Patterns:
        """The patterns where `keep` is true."""
        fields: dict[str, Any] = {
            name: None if (v := getattr(self, name)) is None else v[keep] for name in self.__dataclass_fields__
        }
        return Patterns(**fields)

    def subgraph(self, n_tokens: int, n_heads: int | None = None) -> Subgraph:
        """The union of the nodes of all patterns.

        Args:
            n_tokens: Tokens of the sentence.
            n_heads: Attention heads of a layer, for the union of attention-level nodes as well; None: of hidden states alone.

        Raises:
            ValueError: Attention-level nodes of patterns that have none.
        """
        depths = self.positions.shape[1]
        nodes = np.zeros((depths, n_tokens), bool)
        for depth in range(depths):
            used = self.positions[:, depth]
            nodes[depth, used[used >= 0]] = True
        if n_heads is None:
            return Subgraph(nodes)
        if self.heads is None:
            raise ValueError("these patterns have no attention level.")
        heads = np.zeros((depths - 1, n_tokens, n_heads), bool)
        skips = np.zeros((depths - 1, n_tokens), bool)
        for pattern, layer, to, source in np.argwhere(self.heads != NO_EDGE):
            position, code = self.positions[pattern, layer + 1, to], self.heads[pattern, layer, to, source]
            if code == SKIP:
                skips[layer, position] = True
            else:
                heads[layer, position, slice(None) if code == ALL_HEADS else code] = True
        return Subgraph(nodes, heads, skips)


@dataclass(frozen=True, eq=False)
class Subgraph:
    """The retained nodes: those of `G_e` alone, or, with `heads` and `skips`, those of `G_a`.

    Attributes:
        nodes: Whether hidden[l][i] is retained.
        heads: Whether the context vector of head a at position i is retained, for each layer.
        skips: Whether the skip node at position i is retained, for each layer.

    Raises:
        ValueError: Shapes that do not match, or heads without skips.
    """

    nodes: Bool[np.ndarray, "depths tokens"]
    heads: Bool[np.ndarray, "layers tokens heads"] | None = None
    skips: Bool[np.ndarray, "layers tokens"] | None = None

    def __post_init__(self) -> None:
        if (self.heads is None) != (self.skips is None):
            raise ValueError("an attention-level subgraph needs heads and skips, an embedding-level one neither.")
        depths, tokens = self.nodes.shape
        if self.heads is not None and self.heads.shape[:2] != (depths - 1, tokens):
            raise ValueError(f"heads must be ({depths - 1}, {tokens}, heads), got {self.heads.shape}.")
        if self.skips is not None and self.skips.shape != (depths - 1, tokens):
            raise ValueError(f"skips must be ({depths - 1}, {tokens}), got {self.skips.shape}.")

    def paths(self, target: int, attends: Attends | None = None) -> int:
        """Retained paths from any hidden[0] node to hidden[L][target], counted exactly by dynamic programming.

        Args:
            target: Where paths end.
            attends: The edges that there are; None: from every position to every other.

        >>> Subgraph(np.ones((3, 4), bool)).paths(0)
        16
        """
        count = [int(n) for n in self.nodes[0]]
        for layer in range(len(self.nodes) - 1):
            seen = None if attends is None else [np.flatnonzero(keys).tolist() for keys in attends[layer]]
            totals = [sum(count)] * len(count) if seen is None else [sum(count[p] for p in keys) for keys in seen]
            if self.heads is None or self.skips is None:
                arriving = totals
            else:
                arriving = [
                    int(self.heads[layer, i].sum()) * totals[i] + (count[i] if self.skips[layer, i] else 0)
                    for i in range(len(count))
                ]
            count = [n if kept else 0 for n, kept in zip(arriving, self.nodes[layer + 1], strict=True)]
        return count[target]


def all_paths(n_layers: int, n_tokens: int, n_heads: int | None = None, attends: Attends | None = None, target: int = -1) -> int:
    """The exact number of paths to the target: N^L in `G_e`, (N A + 1)^L in `G_a`; fewer where not every edge is there.

    Args:
        n_layers: L.
        n_tokens: N.
        n_heads: A; None: count in `G_e`.
        attends: The edges that there are; None: from every position to every other.
        target: Where paths end, which matters only with `attends`.

    >>> all_paths(6, 11), all_paths(6, 11, 8), all_paths(2, 3, attends=np.tril(np.ones((2, 3, 3), bool)), target=2)
    (1771561, 496981290961, 6)
    """
    if attends is not None:
        nodes = np.ones((n_layers + 1, n_tokens), bool)
        units = () if n_heads is None else (np.ones((n_layers, n_tokens, n_heads), bool), nodes[1:])
        return Subgraph(nodes, *units).paths(target, attends)
    return int(n_tokens**n_layers if n_heads is None else (n_tokens * n_heads + 1) ** n_layers)
