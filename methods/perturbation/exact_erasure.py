"""Exact erasure: the smallest sets of words from which the model still predicts what it predicts from all."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, combinations, islice

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...core.errors import NotApplicable, UsageError
from ...models.baseline import RemovedWord, check_removed_word, removed_word
from ...models.batch import Batch
from ...models.built.recurrent import Recurrent
from ...models.layered import Layered
from ...models.outputs import divergence, prediction
from ...models.shapes import Outputs
from ..base import explanations, method
from ..explanation import Explanation
from .prefix_tree import PrefixTree

ROWS = 512
"""Most masked sentences that run at once."""


@method(
    "exact-erasure",
    gives={"tokens", "mask"},
    source="De Cao et al. 2020, How do Decisions Emerge across Layers in Neural Models?, sections 2.1 and 4",
)
@dataclass(frozen=True)
class ExactErasure:
    """Smallest sets of words that, kept alone, keep the prediction, by exhaustive search (De Cao et al. 2020).

    All sets of 0, 1, 2, ... words are tried until one of that size gives the same prediction with every other word's vector
    replaced; positions stay. `sets` has every such set of the size (none is smaller); `mask` is, at every depth, the one whose
    outputs are closest to the clean ones (KL); `tokens` is the share of the sets that have the word. What the model does not let
    be masked is always kept and in no set. Source: De Cao et al. 2020, sections 2.1 and 4.

    Attributes:
        limit: The most positions to search over: the 25 words of the source with two special tokens.
        masks: The most sets to try for a sentence.
        baseline: Word vector of words that are not kept: zero, mask.
    """

    limit: int = 27
    masks: int = 2**20
    baseline: RemovedWord = "zero"

    def __post_init__(self) -> None:
        if self.limit < 1 or self.masks < 1:
            raise UsageError(f"limit and masks must be 1 or more, got {self.limit} and {self.masks}.")
        check_removed_word(self.baseline)

    @torch.no_grad()
    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """Sets, mask and tokens of every instance.

        Raises:
            NotApplicable: A sentence is beyond a limit; the text names it.
        """
        search = Search.of(model, batch, removed_word(model, batch, self.baseline))
        for row, size in enumerate(search.sizes):
            if size > self.limit:
                raise NotApplicable(
                    f"exact-erasure searches over {self.limit} positions at most, and {batch.names[row]!r} has {size}: leave "
                    f"longer sentences out (--max-tokens {self.limit}), or raise the setting limit."
                )
        found = search.run(self.masks)
        return [_explanation(model, one, row, search) for row, one in enumerate(found)]


@dataclass(eq=False)
class KeptWords:
    """The smallest sets found for one instance, and how far (nats) each leaves the outputs from the clean ones."""

    sets: list[Bool[np.ndarray, " padded"]] = field(default_factory=list)
    divergence: list[float] = field(default_factory=list)
    tried: int = 0

    def sorted(self) -> Bool[np.ndarray, "sets padded"]:
        """The sets, those with earlier words first, whatever order they were found in; the closest is `best`."""
        return np.array(self.sets)[self._order()]

    def best(self) -> int:
        """Number of the sorted set that is closest to the clean outputs; the first of those that are equal to 6 decimals."""
        return int(np.round(np.array(self.divergence)[self._order()], 6).argmin())

    def _order(self) -> np.ndarray:
        return np.lexsort(~np.array(self.sets).T[::-1])


@dataclass(eq=False)
class Search:
    """One search over a batch.

    Attributes:
        model: The model.
        batch: The batch.
        clean: Its logits on the whole input.
        predicted: Its prediction.
        words: Word vectors.
        fill: What stands in.
        free: Positions that may be masked.
    """

    model: Layered
    batch: Batch
    clean: Outputs
    predicted: Tensor
    words: Tensor
    fill: Float[Tensor, " word"]
    free: Bool[Tensor, "batch tokens"]

    @classmethod
    def of(cls, model: Layered, batch: Batch, fill: Tensor) -> Search:
        """Runs the model on the whole input."""
        clean = model.outputs(batch)
        free = model.maskable(batch) & batch.attention_mask
        return cls(model, batch, clean, prediction(clean, batch), model.words(batch), fill, free)

    @property
    def sizes(self) -> list[int]:
        """Positions that may be masked, by instance."""
        return [int(n) for n in self.free.sum(1)]

    def run(self, masks: int) -> list[KeptWords]:
        """The smallest sets of every instance.

        Raises:
            NotApplicable: More than `masks` sets would be tried for one.
        """
        found = [KeptWords() for _ in range(len(self.batch))]
        for size in range(max(self.sizes) + 1):
            rows = [row for row, kept in enumerate(found) if not kept.sets]
            for row in rows:
                found[row].tried += math.comb(self.sizes[row], size)
                if found[row].tried > masks:
                    raise NotApplicable(
                        f"exact-erasure tries {masks} sets a sentence at most; {self.batch.names[row]!r} keeps its prediction "
                        f"with no {size - 1} of its {self.sizes[row]} positions, and of {size} there are "
                        f"{math.comb(self.sizes[row], size)} sets: leave long sentences out (--max-tokens), or raise the setting "
                        "masks."
                    )
            whole = [row for row in rows if self.sizes[row] == size]
            for row in whole:  # all words are the clean input, whatever rounding says
                found[row].sets, found[row].divergence = [self.free[row].cpu().numpy()], [0.0]
            self._level([row for row in rows if row not in whole], size, found)
            if all(kept.sets for kept in found):
                break
        return found

    def _level(self, rows: list[int], size: int, found: list[KeptWords]) -> None:
        """Tries all sets of a size."""
        tried = self._by_prefix(rows, size) if isinstance(self.model, Recurrent) else self._at_once(rows, size)
        for row, keep, outputs in tried:
            some = self.batch.rows(row)
            right = (prediction(outputs, some) == self.predicted[row]).all(1)
            if not right.any():
                continue
            far = divergence(tuple(o[right] for o in outputs), tuple(o[row][right] for o in self.clean))
            for at, one, distance in zip(row[right].tolist(), keep[right].cpu().numpy(), far.tolist(), strict=True):
                found[at].sets.append(one)
                found[at].divergence.append(distance)

    def _at_once(self, rows: list[int], size: int) -> Iterator[tuple[Tensor, Tensor, Outputs]]:
        """Instance, set and outputs, many sets of many instances in one run."""
        every = chain.from_iterable(((row, at) for at in combinations(self._places(row), size)) for row in rows)
        while part := list(islice(every, ROWS)):
            row = torch.tensor([one for one, _ in part], device=self.words.device)
            keep = torch.zeros(len(part), self.words.shape[1], dtype=torch.bool, device=row.device)
            if size:
                keep.scatter_(1, torch.tensor([at for _, at in part], device=row.device), True)
            words = torch.where((keep | ~self.free[row])[..., None], self.words[row], self.fill)
            yield row, keep, self.model.outputs(replace(self.batch.rows(row), word_vectors=words))

    def _by_prefix(self, rows: list[int], size: int) -> Iterator[tuple[Tensor, Tensor, Outputs]]:
        """The same for a recurrent model, whose states after equal beginnings are computed once."""
        assert isinstance(self.model, Recurrent)
        for number in rows:
            index = torch.tensor([number], device=self.words.device)
            places = torch.tensor(self._places(number), device=self.words.device)
            tree = PrefixTree.of(self.model, self.batch.rows(index), self.words[index], self.fill, places)
            for leaves in tree.leaves(size):
                keep = torch.zeros(len(leaves.keep), self.words.shape[1], dtype=torch.bool, device=places.device)
                keep[:, places] = leaves.keep
                yield index.expand(len(keep)), keep, (self.model.network.logits(leaves.state),)

    def _places(self, row: int) -> list[int]:
        found: list[int] = self.free[row].nonzero()[:, 0].tolist()
        return found


def _explanation(model: Layered, kept: KeptWords, row: int, search: Search) -> Explanation:
    sets, best = kept.sorted(), kept.best()
    index = torch.tensor([row], device=search.words.device)
    one, free = search.batch.rows(index), search.free[row]
    mask = torch.from_numpy(sets[best]).to(free.device) | ~free
    (made,) = explanations(
        one,
        tokens=torch.from_numpy(sets.mean(0))[None],
        mask=mask.expand(1, model.n_layers + 2, -1),
        fill=search.fill[None, None],
        values=[{"size": float(sets[0].sum()), "sets": float(len(sets)), "tried": float(kept.tried)}],
    )
    return replace(made, sets=sets[:, : one.lengths[0]])
