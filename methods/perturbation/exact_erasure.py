"""Exact erasure (De Cao et al. 2020): the smallest sets of words that keep the model's output, or its prediction."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, combinations, islice
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from ...core.errors import NotApplicable
from ...core.settings import Settings
from ...models.baseline import RemovedWord, removed_word
from ...models.batch import Batch
from ...models.built.recurrent import Recurrent
from ...models.layered import Layered
from ...models.memory import rows_at_once
from ...models.outputs import divergence, prediction
from ...models.shapes import Outputs
from ..base import explanations, method
from ..explanation import Explanation
from .prefix_tree import PrefixTree

Criterion = Literal["divergence", "prediction"]
ROWS = 512
"""Largest number of masked sentences that run at once."""


@method(
    "exact-erasure",
    gives={"tokens", "mask"},
    version=2,
    source="De Cao et al. 2020, How do Decisions Emerge across Layers in Neural Models?, sections 2.1 and 4",
    misleads="Where the model gives the same output without any word, the smallest set is empty, which says nothing about the "
    "words; with criterion=prediction that is frequent, because an unsure model may keep its class by chance. That a word can be "
    "dropped does not mean that the model does not use it (De Cao et al. 2020 call this hindsight bias).",
)
@dataclass(frozen=True)
class ExactErasure(Settings):
    """Smallest sets of words that, kept alone, keep the output, by exhaustive search (De Cao et al. 2020).

    All sets of 0, 1, 2, ... words are tried until one of that size meets the criterion with every other word's vector replaced;
    positions stay. With `criterion=divergence` a set S is good if

        KL(clean || S alone) <= margin

    which is the constraint under which `diffmask-single` and `reinforce-mask` look for few words (De Cao et al. 2020, equation
    2); with `criterion=prediction`, if the largest output stays the largest. `sets` has all good sets of the smallest size;
    `mask` is, at every depth, the one whose outputs are closest to the clean ones (KL); `tokens` is the share of the sets that
    contain the word. Positions that the model does not allow to be masked are always kept and in no set. `values` has the `size`,
    the number of `sets`, that of the sets `tried`, and the `margin` (nats) where the criterion is the divergence. Source: De Cao
    et al. 2020, sections 2.1 and 4, which leave open whether "the same prediction" means the class or the distribution.

    Attributes:
        criterion: What a set must keep: the output up to a `divergence` of `margin`, or the `prediction` (the largest output).
        margin: Divergence (nats) that a set may cost; not read with `criterion=prediction`.
        limit: Largest number of positions to search over: the 25 words of the source with two special tokens.
        masks: Largest number of sets to try for a sentence.
        baseline: Word vector of words that are not kept: zero, mask, pad.
    """

    criterion: Criterion = "divergence"
    margin: PositiveFloat = 0.1
    limit: PositiveInt = 27
    masks: PositiveInt = 2**20
    baseline: RemovedWord = "zero"

    @torch.no_grad()
    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """Searches the smallest sets of every instance.

        Raises:
            NotApplicable: A sentence exceeds `limit` or `masks`; the text names it.
        """
        margin = self.margin if self.criterion == "divergence" else None
        search = Search(model, batch, removed_word(model, batch, self.baseline), margin)
        for row, size in enumerate(search.sizes):
            if size > self.limit:
                raise NotApplicable(
                    f"exact-erasure searches over {self.limit} positions at most, and {batch.names[row]!r} has {size}: leave "
                    f"longer sentences out (--max-tokens {self.limit}), or raise the setting limit."
                )
        return [_explanation(model, kept, row, search) for row, kept in enumerate(search.run(self.masks))]


@dataclass(eq=False)
class KeptWords:
    """The smallest sets of one instance, and the divergence (nats) of each set's outputs from the clean ones."""

    sets: list[Bool[np.ndarray, " padded"]] = field(default_factory=list)
    divergence: list[float] = field(default_factory=list)
    tried: int = 0

    def sorted(self) -> Bool[np.ndarray, "sets padded"]:
        """The sets, those with earlier words first, in whatever order they were found."""
        return np.array(self.sets)[self._order()]

    def best(self) -> int:
        """Index of the sorted set that is closest to the clean outputs; the first of those that are equal to 6 decimals."""
        return int(np.round(np.array(self.divergence)[self._order()], 6).argmin())

    def _order(self) -> np.ndarray:
        return np.lexsort(~np.array(self.sets).T[::-1])


class Search:
    """The search for the smallest sets of every instance of a batch; its start runs the model on the whole input.

    Args:
        model: The model.
        batch: The batch.
        fill: Vector of replaced words.
        margin: Divergence (nats) from the clean outputs that a set may cost; None: a set must keep the prediction instead.
    """

    def __init__(self, model: Layered, batch: Batch, fill: Float[Tensor, " word"], margin: float | None) -> None:
        self.model, self.batch, self.fill, self.margin = model, batch, fill, margin
        self.words, self.clean = model.words(batch), model.outputs(batch)
        self.predicted = prediction(self.clean, batch)
        self.free = model.maskable(batch) & batch.attention_mask  # positions that may be masked

    @property
    def sizes(self) -> list[int]:
        """Number of positions that may be masked, by instance."""
        return [int(n) for n in self.free.sum(1)]

    def run(self, masks: int) -> list[KeptWords]:
        """Finds the smallest sets of every instance.

        Args:
            masks: Largest number of sets to try for one instance.

        Returns:
            The sets of each instance, in order.

        Raises:
            NotApplicable: An instance has more sets to try.
        """
        results = [KeptWords() for _ in range(len(self.batch))]
        for size in range(max(self.sizes) + 1):
            rows = [row for row, kept in enumerate(results) if not kept.sets]
            for row in rows:
                results[row].tried += math.comb(self.sizes[row], size)
                if results[row].tried > masks:
                    kept = "its prediction" if self.margin is None else f"its output within {self.margin:.3g} nats"
                    raise NotApplicable(
                        f"exact-erasure tries {masks} sets a sentence at most; {self.batch.names[row]!r} keeps {kept} "
                        f"with no {size - 1} of its {self.sizes[row]} positions, and of {size} there are "
                        f"{math.comb(self.sizes[row], size)} sets: leave long sentences out (--max-tokens), or raise the setting "
                        "masks."
                    )
            whole = [row for row in rows if self.sizes[row] == size]
            for row in whole:  # the set of all words is the clean input itself, so that rounding cannot make it fail
                results[row].sets, results[row].divergence = [self.free[row].cpu().numpy()], [0.0]
            self._try_size([row for row in rows if row not in whole], size, results)
            if all(kept.sets for kept in results):
                break
        return results

    def _try_size(self, rows: list[int], size: int, results: list[KeptWords]) -> None:
        """Tries all sets of a size, and adds those that meet the criterion to the results."""
        trials = self._by_prefix(rows, size) if isinstance(self.model, Recurrent) else self._in_batches(rows, size)
        for row, keep, outputs in trials:
            distances = divergence(outputs, tuple(o[row] for o in self.clean))
            if self.margin is None:
                good = (prediction(outputs, self.batch.rows(row)) == self.predicted[row]).all(1)
            else:
                good = distances <= self.margin
            found = row[good].tolist(), keep[good].cpu().numpy(), distances[good].tolist()
            for index, words, distance in zip(*found, strict=True):
                results[index].sets.append(words)
                results[index].divergence.append(distance)

    def _in_batches(self, rows: list[int], size: int) -> Iterator[tuple[Tensor, Tensor, Outputs]]:
        """Instance, set and outputs of every set, many sets of many instances in one run."""
        pairs = chain.from_iterable(((row, words) for words in combinations(self._positions(row), size)) for row in rows)
        at_once = rows_at_once(self.model, self.words.shape[1], ROWS)
        while part := list(islice(pairs, at_once)):
            row = torch.tensor([index for index, _ in part], device=self.words.device)
            keep = torch.zeros(len(part), self.words.shape[1], dtype=torch.bool, device=row.device)
            if size:
                keep.scatter_(1, torch.tensor([words for _, words in part], device=row.device), True)
            words = torch.where((keep | ~self.free[row])[..., None], self.words[row], self.fill)
            yield row, keep, self.model.outputs(replace(self.batch.rows(row), word_vectors=words))

    def _by_prefix(self, rows: list[int], size: int) -> Iterator[tuple[Tensor, Tensor, Outputs]]:
        """Instance, set and outputs of every set under a recurrent model, whose states after equal beginnings are shared."""
        assert isinstance(self.model, Recurrent)
        for row in rows:
            index = torch.tensor([row], device=self.words.device)
            positions = torch.tensor(self._positions(row), device=self.words.device)
            tree = PrefixTree.of(self.model, self.batch.rows(index), self.words[index], self.fill, positions)
            for leaves in tree.leaves(size):
                keep = torch.zeros(len(leaves.keep), self.words.shape[1], dtype=torch.bool, device=positions.device)
                keep[:, positions] = leaves.keep
                yield index.expand(len(keep)), keep, (self.model.network.logits(leaves.state),)

    def _positions(self, row: int) -> list[int]:
        """Positions of an instance that may be masked."""
        positions: list[int] = self.free[row].nonzero()[:, 0].tolist()
        return positions


def _explanation(model: Layered, kept: KeptWords, row: int, search: Search) -> Explanation:
    sets, best = kept.sorted(), kept.best()
    index = torch.tensor([row], device=search.words.device)
    single, free = search.batch.rows(index), search.free[row]
    mask = torch.from_numpy(sets[best]).to(free.device) | ~free
    values = {"size": float(sets[0].sum()), "sets": float(len(sets)), "tried": float(kept.tried)}
    if search.margin is not None:
        values["margin"] = search.margin
    (explanation,) = explanations(
        single,
        tokens=torch.from_numpy(sets.mean(0))[None],
        mask=mask.expand(1, model.n_layers + 2, -1),
        fill=search.fill[None, None],
        values=[values],
    )
    return replace(explanation, sets=sets[:, : single.lengths[0]])
