"""Masks of single instances by gradient descent, with one free logit for each word and one multiplier for each instance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from ...core.settings import Settings
from ...models.baseline import RemovedWord, removed_word
from ...models.batch import Batch
from ...models.flow.work import measuring
from ...models.interventions.states import blend
from ...models.layered import Layered
from ...models.outputs import divergence
from ...models.shapes import PerRow
from ..base import explanations
from ..centred_rmsprop import CentredRMSprop
from ..explanation import Explanation
from .lagrangian import Multipliers

Logits = Float[Tensor, "batch tokens"]
Penalty = Literal["l0", "log"]
Readout = Literal["threshold", "prefix"]
WIDEST = 10.0
"""Logits are clamped to [-10, 10], as in the code of De Cao et al. 2020."""
BLOCK = 50
"""Number of steps whose random numbers are drawn at once."""
LAST = 0.1
"""Share of the steps, at the end, from which convergence is reported."""


class MaskProblem:
    """The optimisation problem of a batch: mask words without changing the outputs on the whole input (`clean`).

    Args:
        model: The model.
        batch: The batch.
        baseline: What replaces a masked word.
    """

    @torch.no_grad()
    def __init__(self, model: Layered, batch: Batch, baseline: RemovedWord) -> None:
        self.model, self.batch, self.fill = model, batch, removed_word(model, batch, baseline)
        self.clean, self.words = model.outputs(batch), model.words(batch)
        # 1 where a word may be masked, 0 elsewhere
        self.free = (model.maskable(batch) & batch.attention_mask).to(torch.promote_types(model.dtype, torch.float32))

    def divergence(self, keep: Logits) -> PerRow:
        """KL(clean || masked) of every instance (nats), where gates blend the words with the vector of masked words."""
        gates = (keep * self.free + 1 - self.free).to(self.words.dtype)
        words = blend(self.words, gates, self.fill)
        outputs = self.model.outputs(replace(self.batch, word_vectors=words, cache={}))
        return divergence(outputs, self.clean).to(self.free.dtype)

    def mean(self, values: Logits) -> PerRow:
        """Mean over the words of an instance that may be masked; 0 where no word may be masked."""
        return (values * self.free).sum(1) / self.free.sum(1).clamp_min(1)


class MaskObjective(NamedTuple):
    """The numbers of a step, one for each instance.

    Attributes:
        loss: The loss that descent minimises over the logits.
        divergence: Divergence of the drawn masks (nats).
    """

    loss: PerRow
    divergence: PerRow


@dataclass(frozen=True)
class MaskSearch(Settings):
    """Settings, descent and explanation that `diffmask-single` and `reinforce-mask` share.

    Attributes:
        steps: Number of steps of the descent.
        margin: Divergence (nats) that masking may cost.
        penalty: What is kept small beside the divergence, averaged over the words of a sentence: `l0`, the probability that a
            word is kept, whose sum is the expected number of words kept (De Cao et al. 2020, equation 1); or `log`, its
            logarithm, as in their published code.
        readout: Which words the mask keeps: `threshold` leaves every word its probability, and a word counts as kept above 1/2;
            `prefix` ranks the words by their probability and keeps the fewest of the first ones, and no other word, that cost
            `margin` at most. The mask then has 0 and 1 alone.
        lr: Learning rate of the logits.
        lambda_lr: Learning rate of the multipliers.
        baseline: Word vector of masked words: zero, mask, pad.
    """

    steps: PositiveInt = 1000
    margin: PositiveFloat = 0.1
    penalty: Penalty = "l0"
    readout: Readout = "threshold"
    lr: PositiveFloat = 0.02
    lambda_lr: PositiveFloat = 0.3
    baseline: RemovedWord = "zero"

    def objective(
        self, problem: MaskProblem, logits: Logits, uniform: Logits, weight: PerRow, state: dict[str, Tensor]
    ) -> MaskObjective:
        """The loss at masks that are drawn from uniform numbers.

        Args:
            problem: The problem of the batch.
            logits: Logit of every word.
            uniform: Uniform random numbers.
            weight: Multiplier of each instance.
            state: Tensors that the method keeps from step to step.
        """
        raise NotImplementedError

    def kept(self, logits: Logits) -> Logits:
        """The probability of every word to be kept."""
        raise NotImplementedError

    def gate(self, logits: Logits) -> Logits | None:
        """The expected gate of every word, or None where it is the probability to be kept."""
        return None

    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """Optimises the masks: `tokens` is the probability of each word to be kept, and `mask`, at every depth, what is read out.

        `values` describe the end of the descent: `divergence` (nats) of drawn masks and the mean `change` of the probabilities
        over the last tenth of the steps; the multiplier `lambda`; `hard_divergence`, that of the words above 1/2 in the mask; and
        `kept`, the mean of the mask. Beside them stands the `margin`.
        """
        problem = MaskProblem(model, batch, self.baseline)
        logits, numbers = self._shared_descent(problem)
        with torch.no_grad():
            kept, gate = self.kept(logits), self.gate(logits)
            if self.readout == "prefix":
                mask, gate = smallest_prefix(problem, logits, self.margin), None
            else:
                mask = kept
            numbers["hard_divergence"] = problem.divergence((mask > 0.5).to(mask))
            numbers |= {"kept": problem.mean(mask), "margin": torch.full_like(mask[:, 0], self.margin, dtype=torch.float64)}
        free, depths = problem.free[:, None].bool(), (-1, model.n_layers + 2, -1)
        views = {"mask": mask} | ({} if gate is None else {"gate": gate})
        spread = {name: torch.where(free, view[:, None], 1.0).expand(depths) for name, view in views.items()}
        values = [{name: float(value[row]) for name, value in numbers.items()} for row in range(len(batch))]
        spread |= {"tokens": kept * problem.free, "fill": problem.fill.expand(len(batch), 1, -1)}
        return explanations(batch, patterns=None, values=values, **spread)

    def _shared_descent(self, problem: MaskProblem) -> tuple[Logits, dict[str, PerRow]]:
        """The descent, which both read-outs take from the batch's cache; `charges` has the shared work."""
        cache, key = problem.batch.cache, ("mask descent", replace(self, readout="threshold"), problem.batch.seeds)
        if key in cache:
            logits, numbers, work = cache[key]
            cache.setdefault("charges", []).append(work)
            return logits, dict(numbers)
        with measuring() as measured:
            logits, numbers = self._descend(problem)
        cache[key] = logits, dict(numbers), measured.work
        return logits, numbers

    def _descend(self, problem: MaskProblem) -> tuple[Logits, dict[str, PerRow]]:
        """Logits after all steps, and numbers about their convergence."""
        parameters = {"logits": torch.full_like(problem.free, 5.0).requires_grad_()}
        logits, size = parameters["logits"], len(problem.batch)
        descent = CentredRMSprop({"logits": self.lr})
        multipliers = Multipliers.start(size, rate=self.lambda_lr, like=problem.free)
        state: dict[str, Tensor] = {}
        total, last = problem.free.new_zeros(size), max(1, round(LAST * self.steps))
        before = self.kept(logits).detach()
        for step, uniform in enumerate(self._uniform(problem)):
            with torch.enable_grad():
                objective = self.objective(problem, logits, uniform, multipliers.value, state)
                (logits.grad,) = torch.autograd.grad(objective.loss.sum(), logits)
            descent.step(parameters)
            multipliers.ascend(objective.divergence - self.margin)
            with torch.no_grad():
                logits.nan_to_num_(0.0).clamp_(-WIDEST, WIDEST)
            if step == self.steps - last:
                before = self.kept(logits).detach()
            if step >= self.steps - last:
                total += objective.divergence.detach() / last
        logits = logits.detach()
        change = problem.mean((self.kept(logits) - before).abs())
        return logits, {"divergence": total, "lambda": multipliers.value, "change": change}

    def _uniform(self, problem: MaskProblem) -> Iterator[Logits]:
        """Uniform numbers (B, N) of every step; each instance draws from its own seed, so that batching does not matter."""
        generators, lengths = problem.batch.generators(), problem.batch.lengths
        for start in range(0, self.steps, BLOCK):
            count = min(BLOCK, self.steps - start)
            drawn = torch.full((count, *problem.free.shape), 0.5, dtype=torch.float64)
            for row, (generator, length) in enumerate(zip(generators, lengths, strict=True)):
                drawn[:, row, :length] = torch.rand(count, length, generator=generator, dtype=torch.float64)
            yield from drawn.to(problem.free)


@torch.no_grad()
def smallest_prefix(problem: MaskProblem, scores: Logits, margin: float) -> Logits:
    """The fewest words of a ranking, from its first on, that cost the margin at most when they are kept alone.

    All prefixes are tried, since the divergence need not fall with every further word.

    Args:
        problem: The instances.
        scores: Score of each word; larger ones come first, earlier words first on ties. Words that may not be masked have none.
        margin: Divergence (nats) that masking may cost.

    Returns:
        1 at the words of the prefix and 0 at all others. Where no shorter prefix is good, it has every word, which is the clean
        input.
    """
    sizes = problem.free.sum(1)
    rank = scores.masked_fill(problem.free == 0, -torch.inf).argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    count = sizes.clone()
    for size in reversed(range(int(sizes.max()))):
        good = (problem.divergence((rank < size).to(problem.free)) <= margin) & (size < sizes)
        count = torch.where(good, size, count)
    return (rank < count[:, None]).to(problem.free) * problem.free
