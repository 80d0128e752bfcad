"""Every set of k of n words through a GRU, sharing the states of equal beginnings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...models.batch import Batch
from ...models.built.recurrent import Recurrent

ROWS = 2048
"""Most prefixes that take a step at once."""


@dataclass(frozen=True, eq=False)
class Prefixes:
    """Beginnings of one length.

    Attributes:
        keep: Which of the n words are kept; False after the beginning.
        count: How many.
        state: The GRU's state after the beginning.
    """

    keep: Bool[Tensor, "rows words"]
    count: Int[Tensor, " rows"]
    state: Float[Tensor, "rows state"]

    def pick(self, rows: Tensor) -> Prefixes:
        """Some of them."""
        return Prefixes(self.keep[rows], self.count[rows], self.state[rows])


@dataclass(frozen=True, eq=False)
class PrefixTree:
    """The GRU on one sentence with each word kept or replaced.

    A state follows from the state before it and one word, so that sets with the same beginning share its states: C(n + 1, k + 1)
    steps and few more for the C(n, k) sets of k words, instead of n each. The two words that may follow a state share its product
    with the recurrent weights, and what words add to the gates is computed once.

    Attributes:
        gates: What a word adds to reset, update and new gates (3 H), by position and whether it is kept.
        weight, bias: Of the state in the gates.
    """

    gates: Float[Tensor, "words two gates"]
    weight: Float[Tensor, "gates state"]
    bias: Float[Tensor, " gates"]

    @classmethod
    def of(cls, model: Recurrent, one: Batch, words: Tensor, fill: Tensor, places: Int[Tensor, " words"]) -> PrefixTree:
        """Of one instance.

        Args:
            model: Its network is position-wise below the GRU, and the GRU reads `places` alone.
            one: The instance, as a batch of one.
            words: Its word vectors (1, N, E).
            fill: What replaces a word.
            places: The positions that may be replaced.
        """
        replaced = words.clone()
        replaced[:, places] = fill
        hidden = [model.embed(x, replace(one, word_vectors=x, cache={}))[0, places] for x in (replaced, words)]
        of_word, of_state, word_bias, state_bias = model.network.gru.all_weights[0]
        return cls(torch.nn.functional.linear(torch.stack(hidden, 1), of_word, word_bias), of_state, state_bias)

    def leaves(self, size: int) -> Iterator[Prefixes]:
        """All sets of `size` words with the last state of each, in parts; depth first, so that few states are held."""
        n = len(self.gates)
        zeros = self.gates.new_zeros
        root = Prefixes(zeros(1, n, dtype=torch.bool), zeros(1, dtype=torch.long), zeros(1, self.weight.shape[1]))
        open_ = [(0, root)]
        while open_:
            at, now = open_.pop()
            if at == n:
                yield now
                continue
            longer = self._step(at, now, size)
            open_ += [(at + 1, longer.pick(rows)) for rows in torch.arange(len(longer.keep), device=now.keep.device).split(ROWS)]

    def _step(self, at: int, now: Prefixes, size: int) -> Prefixes:
        """Every beginning with its next word replaced, and kept, where sets of `size` can still come of it."""
        inner = torch.nn.functional.linear(now.state, self.weight, self.bias)
        made = []
        for kept, may in ((0, size - now.count < len(self.gates) - at), (1, now.count < size)):
            rows = may.nonzero()[:, 0]
            keep = now.keep[rows]
            keep[:, at] = bool(kept)
            made.append(Prefixes(keep, now.count[rows] + kept, _cell(self.gates[at, kept], inner[rows], now.state[rows])))
        return Prefixes(*(torch.cat([getattr(part, name) for part in made]) for name in ("keep", "count", "state")))


def _cell(word: Tensor, inner: Tensor, state: Tensor) -> Tensor:
    """A step of the GRU (Cho et al. 2014, as PyTorch has it): word and state have been multiplied by their weights."""
    reset, update, new = word.chunk(3, -1)
    reset_in, update_in, new_in = inner.chunk(3, -1)
    keep = torch.sigmoid(update + update_in)
    fresh = torch.tanh(new + torch.sigmoid(reset + reset_in) * new_in)
    return fresh + keep * (state - fresh)
