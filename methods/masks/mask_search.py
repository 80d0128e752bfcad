"""Masks of single instances, found by descent: one free logit a word and one multiplier an instance, nothing amortised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ...core.errors import UsageError
from ...models.baseline import RemovedWord, check_removed_word, removed_word
from ...models.batch import Batch
from ...models.interventions.states import blend
from ...models.layered import Layered
from ...models.outputs import divergence
from ...models.shapes import Outputs, PerRow
from ..base import explanations
from ..explanation import Explanation
from .centred_rmsprop import CentredRMSprop
from .lagrangian import Multipliers

Logits = Float[Tensor, "batch tokens"]
WIDEST = 10.0
"""Logits are held in [-10, 10], as in the code of De Cao et al. 2020."""
BLOCK = 50
"""Steps whose random numbers are drawn at once."""
LAST = 0.1
"""Share of the steps that what is reported of convergence is taken from."""


@dataclass(eq=False)
class MaskProblem:
    """What is asked of a batch: which words its outputs need.

    Attributes:
        model: The model.
        batch: The batch.
        clean: Its logits on the whole input.
        words: Word vectors.
        fill: What stands in for a masked word.
        free: 1 where a word may be masked, 0 elsewhere.
    """

    model: Layered
    batch: Batch
    clean: Outputs
    words: Tensor
    fill: Tensor
    free: Logits

    @classmethod
    @torch.no_grad()
    def of(cls, model: Layered, batch: Batch, baseline: RemovedWord) -> MaskProblem:
        """Runs the model on the whole input."""
        kind = torch.promote_types(model.dtype, torch.float32)
        free = (model.maskable(batch) & batch.attention_mask).to(kind)
        return cls(model, batch, model.outputs(batch), model.words(batch), removed_word(model, batch, baseline), free)

    def divergence(self, keep: Logits) -> PerRow:
        """KL(clean || masked) of every instance (nats), the words blended with what stands in."""
        gates = (keep * self.free + 1 - self.free).to(self.words.dtype)
        words = blend(self.words, gates, self.fill)
        outputs = self.model.outputs(replace(self.batch, word_vectors=words, cache={}))
        return divergence(outputs, self.clean).to(self.free.dtype)

    def mean(self, values: Logits) -> PerRow:
        """Mean over the words of an instance that may be masked; 0 where none may."""
        return (values * self.free).sum(1) / self.free.sum(1).clamp_min(1)


class MaskObjective(NamedTuple):
    """What a step measures, one number an instance.

    Attributes:
        loss: Whose gradient for the logits is followed.
        divergence: Of the masks drawn (nats).
    """

    loss: PerRow
    divergence: PerRow


@dataclass(frozen=True)
class MaskSearch:
    """What `diffmask-single` and `reinforce-mask` share: settings, descent, and what they report.

    Attributes:
        steps: Of descent.
        margin: Divergence (nats) that masking may cost.
        lr: Learning rate of the logits.
        lambda_lr: Of the multipliers.
        baseline: Word vector of masked words: zero, mask.
    """

    steps: int = 1000
    margin: float = 0.1
    lr: float = 0.02
    lambda_lr: float = 0.3
    baseline: RemovedWord = "zero"

    def __post_init__(self) -> None:
        for name in ("steps", "margin", "lr", "lambda_lr"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} must be above 0, got {getattr(self, name)}.")
        check_removed_word(self.baseline)

    def objective(
        self, problem: MaskProblem, logits: Logits, uniform: Logits, weight: PerRow, state: dict[str, Tensor]
    ) -> MaskObjective:
        """The loss at masks drawn from uniform numbers, each instance's multiplier being `weight`.

        `state` is kept from step to step.
        """
        raise NotImplementedError

    def kept(self, logits: Logits) -> Logits:
        """P(keep)."""
        raise NotImplementedError

    def gate(self, logits: Logits) -> Logits | None:
        """The expected gate, where it is not P(keep)."""
        return None

    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """P(keep) of every word, at every depth of `mask` and as `tokens`; `values` tell how the descent ended.

        `divergence` (nats) of drawn masks and the change of P(keep) a word, over the last tenth of the steps; the multiplier; and
        the divergence of the mask that keeps the words with P(keep) > 1/2.
        """
        problem = MaskProblem.of(model, batch, self.baseline)
        logits, ended = self._descend(problem)
        with torch.no_grad():
            kept, gate = self.kept(logits), self.gate(logits)
            ended["hard_divergence"] = problem.divergence((kept > 0.5).to(kept))
            ended["kept"] = problem.mean(kept)
        free, depths = problem.free[:, None].bool(), (-1, model.n_layers + 2, -1)
        views = {"mask": kept} | ({} if gate is None else {"gate": gate})
        spread = {name: torch.where(free, view[:, None], 1.0).expand(depths) for name, view in views.items()}
        values = [{name: float(value[row]) for name, value in ended.items()} for row in range(len(batch))]
        spread |= {"tokens": kept * problem.free, "fill": problem.fill.expand(len(batch), 1, -1)}
        return explanations(batch, patterns=None, values=values, **spread)

    def _descend(self, problem: MaskProblem) -> tuple[Logits, dict[str, PerRow]]:
        """Logits after all steps, and how they ended."""
        parameters = {"logits": torch.full_like(problem.free, 5.0).requires_grad_()}
        logits, size = parameters["logits"], len(problem.batch)
        descent = CentredRMSprop({"logits": self.lr})
        multipliers = Multipliers.start(size, rate=self.lambda_lr, like=problem.free)
        state: dict[str, Tensor] = {}
        total, last = problem.free.new_zeros(size), max(1, round(LAST * self.steps))
        before = self.kept(logits).detach()
        for step, uniform in enumerate(self._uniform(problem)):
            with torch.enable_grad():
                found = self.objective(problem, logits, uniform, multipliers.value, state)
                (logits.grad,) = torch.autograd.grad(found.loss.sum(), logits)
            descent.step(parameters)
            multipliers.ascend(found.divergence - self.margin)
            with torch.no_grad():
                logits.nan_to_num_(0.0).clamp_(-WIDEST, WIDEST)
            if step == self.steps - last:
                before = self.kept(logits).detach()
            if step >= self.steps - last:
                total += found.divergence.detach() / last
        logits = logits.detach()
        change = problem.mean((self.kept(logits) - before).abs())
        return logits, {"divergence": total, "lambda": multipliers.value, "change": change}

    def _uniform(self, problem: MaskProblem) -> Iterator[Logits]:
        """Uniform numbers (B, N) of every step, each instance's from its own seed, whatever it is batched with."""
        generators, lengths = problem.batch.generators(), problem.batch.lengths
        for start in range(0, self.steps, BLOCK):
            count = min(BLOCK, self.steps - start)
            drawn = torch.full((count, *problem.free.shape), 0.5, dtype=torch.float64)
            for row, (generator, length) in enumerate(zip(generators, lengths, strict=True)):
                drawn[:, row, :length] = torch.rand(count, length, generator=generator, dtype=torch.float64)
            yield from drawn.to(problem.free)
