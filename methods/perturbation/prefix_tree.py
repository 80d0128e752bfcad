"""Runs a GRU on every set of k of n words, with shared states for sets of equal beginnings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...models.batch import Batch
from ...models.built.recurrent import Recurrent

ROWS = 2048
"""Largest number of prefixes that are continued at once."""


@dataclass(frozen=True, eq=False)
class Prefixes:
    """Beginnings of one length of masks of a sentence.

    Attributes:
        keep: Which of the n words are kept; False after the beginning.
        count: Number of words kept.
        state: State of the GRU after the beginning.
    """

    keep: Bool[Tensor, "rows words"]
    count: Int[Tensor, " rows"]
    state: Float[Tensor, "rows state"]

    def pick(self, rows: Tensor) -> Prefixes:
        """The prefixes of the given rows."""
        return Prefixes(self.keep[rows], self.count[rows], self.state[rows])


@dataclass(frozen=True, eq=False)
class PrefixTree:
    """The GRU on one sentence with each word kept or replaced.

    A state depends on the state before it and one word, so that sets with the same beginning share its states: the C(n, k) sets
    of k words take about C(n + 1, k + 1) steps instead of n steps each. The two words that may follow a state share its product
    with the recurrent weights, and the part of a word in the gates is computed once.

    Attributes:
        gates: Part of each word in reset, update and new gates (3 H), by position and whether the word is kept.
        weight: Recurrent weights, from the state to the gates.
        bias: Bias of the recurrent weights.
    """

    gates: Float[Tensor, "words two gates"]
    weight: Float[Tensor, "gates state"]
    bias: Float[Tensor, " gates"]

    @classmethod
    def of(cls, model: Recurrent, single: Batch, words: Tensor, fill: Tensor, positions: Int[Tensor, " words"]) -> PrefixTree:
        """Prepares the tree of one instance.

        Args:
            model: A model whose network is position-wise below the GRU, and whose GRU reads `positions` alone.
            single: The instance, as a batch of one.
            words: Its word vectors (1, N, E).
            fill: The vector of a replaced word.
            positions: The positions that may be replaced.
        """
        replaced = words.clone()
        replaced[:, positions] = fill
        hidden = [model.embed(x, replace(single, word_vectors=x, cache={}))[0, positions] for x in (replaced, words)]
        of_word, of_state, word_bias, state_bias = model.network.gru.all_weights[0]
        return cls(torch.nn.functional.linear(torch.stack(hidden, 1), of_word, word_bias), of_state, state_bias)

    def leaves(self, size: int) -> Iterator[Prefixes]:
        """All sets of `size` words with the last state of each, in parts; depth first, so that few states are in memory."""
        n = len(self.gates)
        zeros = self.gates.new_zeros
        root = Prefixes(zeros(1, n, dtype=torch.bool), zeros(1, dtype=torch.long), zeros(1, self.weight.shape[1]))
        stack = [(0, root)]
        while stack:
            depth, prefixes = stack.pop()
            if depth == n:
                yield prefixes
                continue
            longer = self._step(depth, prefixes, size)
            parts = torch.arange(len(longer.keep), device=longer.keep.device).split(ROWS)
            stack += [(depth + 1, longer.pick(rows)) for rows in parts]

    def _step(self, depth: int, prefixes: Prefixes, size: int) -> Prefixes:
        """Every beginning with its next word replaced, and kept, where it can still become a set of `size` words."""
        inner = torch.nn.functional.linear(prefixes.state, self.weight, self.bias)
        # Enough words must follow if this one is replaced; the set must not be full if it is kept.
        may_replace, may_keep = size - prefixes.count < len(self.gates) - depth, prefixes.count < size
        parts = []
        for kept, allowed in ((0, may_replace), (1, may_keep)):
            rows = allowed.nonzero()[:, 0]
            keep = prefixes.keep[rows]
            keep[:, depth] = bool(kept)
            state = _gru_cell(self.gates[depth, kept], inner[rows], prefixes.state[rows])
            parts.append(Prefixes(keep, prefixes.count[rows] + kept, state))
        return Prefixes(*(torch.cat([getattr(part, name) for part in parts]) for name in ("keep", "count", "state")))


def _gru_cell(word: Tensor, inner: Tensor, state: Tensor) -> Tensor:
    """One step of the GRU (Cho et al. 2014, as in PyTorch); `word` and `inner` are already multiplied by their weights."""
    reset, update, new = word.chunk(3, -1)
    reset_in, update_in, new_in = inner.chunk(3, -1)
    keep = torch.sigmoid(update + update_in)
    fresh = torch.tanh(new + torch.sigmoid(reset + reset_in) * new_in)
    return fresh + keep * (state - fresh)
