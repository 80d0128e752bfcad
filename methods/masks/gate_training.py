"""Trains the gates of DiffMask: as few states kept as possible, while the outputs stay within a margin of the clean ones."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from ...core.errors import FlowgaugeError
from ...core.settings import Settings
from ...models.batch import Batch
from ...models.built.training import TrainingSession
from ...models.layered import Layered
from ...models.outputs import divergence, prediction
from ...models.shapes import PerRow
from ..centred_rmsprop import CentredRMSprop
from .gate_examples import CleanRun, GateExamples
from .gates import Gates, may_be_masked
from .lagrangian import Multipliers

log = logging.getLogger(__name__)
CHECKS, ROWS = 20, 100
"""Number of checks on the held-out instances, and number of rows of the training curve."""
HALF = 0.5
"""Largest share of states kept at which gates of the first half of the training may be chosen."""
TRAIN, CHECK = 1, 2
"""First number of the seed of the draws of training steps, and of checks."""


@dataclass(frozen=True)
class GateTrainingSettings(Settings):
    """Settings of the training of gates.

    Attributes:
        steps: Number of training steps, each of one depth that is drawn.
        batch: Sentences in each step, all from one batch of the train split: 64 at most.
        margin: Divergence (nats, mean over sentences) that masking may cost: .1 in the paper for classification, 1 for question
            answering, .05 for its toy task.
        accept: Divergence on held-out sentences, in margins, above which the training of a depth counts as failed. Of the probes
            below it, those that keep the fewest states are used, from the second half of the training if it has any.
        penalty: Mean over tokens of log P(z != 0) (`log`, the paper's code) or of P(z != 0) (`l0`, its text).
    """

    steps: PositiveInt = 8000
    batch: PositiveInt = 32
    margin: PositiveFloat = 0.1
    accept: PositiveFloat = 3.0
    penalty: Literal["log", "l0"] = "log"

    @property
    def limit(self) -> float:
        """Largest divergence (nats) on held-out instances at which parameters may be returned."""
        return self.accept * self.margin


class GateTrial(NamedTuple):
    """The effect of one draw of gates on instances.

    Attributes:
        divergence: KL divergence (nats) of the masked outputs from the clean ones.
        agreement: 1 where the prediction is the clean one, else 0.
        penalty: Mean penalty over tokens.
        kept: Share of tokens kept.
    """

    divergence: PerRow
    agreement: PerRow
    penalty: PerRow
    kept: PerRow

    def means(self) -> np.ndarray:
        """Means of divergence, agreement and kept over the instances."""
        return np.array([float(x.detach().mean()) for x in (self.divergence, self.agreement, self.kept)])


@dataclass(eq=False)
class GateTraining:
    """The state of one training. Its draws depend on seed and step alone, and its tensors are the checkpoint.

    Attributes:
        gates: The form of the gates.
        model: The explained model.
        config: The settings.
        seed: Seed of all draws.
        parameters: Parameters of the gates; those that require a gradient are trained.
        descent: Optimiser of the parameters.
        multipliers: One Lagrange multiplier for each depth.
        sums: Sums of divergence, agreement, kept and 1 over the steps since the last row of the curve.
        best: The parameters that the training returns.
        best_rank: Rank of the best parameters, by group of depths that are trained together; smaller is better. First whether
            they are of the first half of the training (only used where none of the second half are within the limit), then the
            share of states that they keep on held-out instances.
        done: Number of steps done.
    """

    gates: Gates
    model: Layered
    config: GateTrainingSettings
    seed: int
    parameters: dict[str, Tensor]
    descent: CentredRMSprop
    multipliers: Multipliers
    sums: np.ndarray = field(default_factory=lambda: np.zeros(4))
    best: dict[str, Tensor] = field(default_factory=dict)
    best_rank: dict[str, tuple[bool, float]] = field(default_factory=dict)
    done: int = 0

    @property
    def groups(self) -> dict[str, range]:
        """Depths that share parameters, by the part of the parameters' names: all depths for gates on words, else each alone."""
        depths = range(self.model.n_layers + 2)
        return {".": depths} if self.gates.at_words else {f".{depth}": depths[depth : depth + 1] for depth in depths}

    def of_group(self, group: str) -> dict[str, Tensor]:
        """The parameters of the depths of a group."""
        heads = ("probe.", "fill.") if group == "." else (f"probe{group}.", f"fill{group}.")
        return {name: t for name, t in self.parameters.items() if f"{name}.".startswith(heads)}

    def masked(self, clean: CleanRun, depth: int, *key: int) -> GateTrial:
        """Masks the states of a depth.

        Args:
            clean: Instances with their clean states.
            depth: The masked depth.
            key: Numbers that seed the draw of the gates, besides the seed.
        """
        votes, free = self.gates.votes(self.parameters, clean.states, depth), may_be_masked(self.model, clean.batch)
        keep = votes.sample(self._uniform(clean, len(votes.each), *key)) * free + 1 - free
        outputs = self.gates.outputs(self.model, clean.batch, clean.states, depth, keep, self.parameters)
        logs, count = votes.log_kept(), free.sum(1).clamp_min(1)
        kept = (logs.exp() * free).sum(1) / count
        penalty = (logs * free).sum(1) / count if self.config.penalty == "log" else kept
        same = (prediction(outputs, clean.batch) == prediction(clean.outputs, clean.batch)).all(1)
        return GateTrial(divergence(outputs, clean.outputs), same.to(kept.dtype), penalty, kept)

    def _uniform(self, clean: CleanRun, votes: int, *key: int) -> Tensor:
        generator = torch.Generator().manual_seed(int(np.random.default_rng([self.seed, *key]).integers(2**62)))
        rows, tokens = clean.batch.ids.shape
        like = self.parameters["probe.0.open"]
        return torch.rand(rows, votes, tokens, generator=generator, dtype=like.dtype).to(like.device)

    def step(self, examples: GateExamples) -> None:
        """One step of the gates of one depth, and of its multiplier.

        min over gates, max over lambda in [0, 200] of  lambda (mean KL - margin) + mean over sentences and tokens of
        log P(z != 0) (De Cao et al. 2020, section 2.3; the logarithm is in their code). The multiplier's step uses the divergence
        of the gates' step; the paper's code runs the model again for it.
        """
        generator = np.random.default_rng([self.seed, TRAIN, self.done])
        clean, depth = examples.draw(generator, self.config.batch), int(generator.integers(self.model.n_layers + 2))
        trial = self.masked(clean, depth, TRAIN, self.done, 1)
        excess = trial.divergence.mean() - self.config.margin
        (self.multipliers.value[depth] * excess + trial.penalty.mean()).backward()
        self.descent.step(self.parameters)
        self.multipliers.ascend(excess, depth)
        self.sums += np.append(trial.means(), 1)
        self.done += 1

    @torch.no_grad()
    def check(self, examples: GateExamples) -> list[np.ndarray]:
        """Measures the gates on the held-out instances, and keeps the parameters if they are the best so far.

        The best parameters of a group of depths are those that keep the fewest states, among those within the limit at each of
        its depths; those of the second half of the training come first. At the start all gates are open and the limit is met, so
        that parameters of the first half count only where at least half of the states are masked.

        Args:
            examples: The train instances.

        Returns:
            Divergence, agreement and kept for each depth. The same gates are drawn at every check.
        """
        means = []
        for depth in range(self.model.n_layers + 2):
            parts = [(self.masked(c, depth, CHECK, n).means(), len(c.batch)) for n, c in enumerate(examples.checks())]
            means.append(np.average([part for part, _ in parts], axis=0, weights=[size for _, size in parts]))
        early = 2 * self.done < self.config.steps
        for group, depths in self.groups.items():
            kept = float(np.mean([means[depth][2] for depth in depths]))
            met = all(means[depth][0] <= self.config.limit for depth in depths) and not (early and kept > HALF)
            if met and (early, kept) < self.best_rank.get(group, (True, math.inf)):
                self.best_rank[group] = early, kept
                self.best |= {name: t.detach().clone() for name, t in self.of_group(group).items()}
        return means

    @property
    def failed(self) -> list[int]:
        """Depths for which no parameters met the limit."""
        return [depth for group, depths in self.groups.items() if group not in self.best_rank for depth in depths]

    def tensors(self) -> dict[str, Tensor]:
        """The checkpoint: every tensor from which `restore` continues."""
        kept = {group: torch.tensor(rank, dtype=torch.float64) for group, rank in self.best_rank.items()}
        groups = {"now": self.parameters, "best": self.best, "kept": kept, "descent": self.descent.state}
        groups["lambda"] = self.multipliers.state()
        flat = {f"{group}/{name}": t for group, tensors in groups.items() for name, t in tensors.items()}
        return {**flat, "sums": torch.from_numpy(self.sums.copy()), "done": torch.tensor(self.done)}

    @torch.no_grad()
    def restore(self, kept: Mapping[str, Tensor]) -> None:
        """Continues from the tensors of a checkpoint."""
        groups: dict[str, dict[str, Tensor]] = {name: {} for name in ("now", "best", "kept", "descent", "lambda")}
        for name, tensor in kept.items():
            group, _, rest = name.partition("/")
            if rest:
                groups[group][rest] = tensor.to(self.model.device)
        for name, tensor in groups["now"].items():
            self.parameters[name].copy_(tensor)
        self.best, self.descent.state = groups["best"], groups["descent"]
        self.multipliers.restore(groups["lambda"])
        ranks = {group: rank.flatten().tolist() for group, rank in groups["kept"].items()}
        self.best_rank = {
            group: (rank[:-1] == [1.0], rank[-1]) for group, rank in ranks.items()
        }  # old checkpoints have the share alone
        self.sums, self.done = kept["sums"].cpu().numpy(), int(kept["done"])


def train(run: GateTraining, data: Sequence[Batch], training: TrainingSession) -> dict[str, Tensor]:
    """Trains to the end.

    Args:
        run: The training, at its start.
        data: Batches of the train split.
        training: Keeps checkpoints and the curve.

    Returns:
        The best parameters.

    Raises:
        FlowgaugeError: For some depth no parameters met the limit; the text says which settings to change.
    """
    examples, steps = GateExamples(run.model, data, run.seed), run.config.steps
    kept = training.resume()
    if kept:
        run.restore(kept)
    while run.done < steps:
        run.step(examples)
        is_check = run.done % max(1, steps // CHECKS) == 0 or run.done == steps
        if is_check or run.done % max(1, steps // ROWS) == 0:
            _log(run, training, run.check(examples) if is_check else [])
        training.checkpoint(run.tensors())
    early = any(first for first, _ in run.best_rank.values())
    if run.failed or early:
        means = run.check(examples)
        if run.failed or np.isnan(means).any():
            raise FlowgaugeError(_failure(run, means))
        log.warning(
            "masking costs more than %.3g nats all through the second half of the training; probes of the first half are used.",
            run.config.limit,
        )
    return run.best


def _log(run: GateTraining, training: TrainingSession, checked: Sequence[np.ndarray]) -> None:
    """Writes a row of the curve: means of the steps since the last row, multipliers, and the check if there was one."""
    row = dict(zip(("divergence", "agreement", "kept"), run.sums[:3] / run.sums[3], strict=True))
    row |= {f"lambda.{depth}": float(value) for depth, value in enumerate(run.multipliers.value)}
    for depth, (lost, same, kept) in enumerate(checked):
        row |= {f"held.divergence.{depth}": lost, f"held.agreement.{depth}": same, f"held.kept.{depth}": kept}
    training.log(run.done, run.config.steps, **{name: float(value) for name, value in row.items()})
    run.sums = np.zeros(4)


def _failure(run: GateTraining, means: Sequence[np.ndarray]) -> str:
    """The text of the error of a training that failed."""
    diverged = [depth for depth, row in enumerate(means) if np.isnan(row).any()]
    if diverged:
        where = ", ".join(map(str, diverged))
        return (
            f"the training diverged: after {run.done} steps gates or vectors of depth {where} are NaN. Train with lower learning "
            "rates (lr, baseline_lr) or a longer warmup."
        )
    costs = ", ".join(f"{means[depth][0]:.3g} at depth {depth}" for depth in run.failed)
    _, same, kept = np.mean(means, 0)
    return (
        f"after {run.done} steps masking costs {costs} (nats on held-out sentences), and never {run.config.limit:.3g} or less in "
        f"the second half of the training or with half of the states masked (margin {run.config.margin:.3g}); {same:.0%} of "
        f"predictions and {kept:.0%} of states are kept over all depths. Train for more steps, with slower gates (lr, warmup) or "
        "faster multipliers (lambda_lr), on more sentences (--fit-limit), or with a larger margin."
    )
