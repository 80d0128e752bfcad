"""Trains the gates of DiffMask: as few states kept as possible, while the output stays within a margin of the clean one."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...core.errors import FlowgaugeError
from ...models.batch import Batch
from ...models.built.training import TrainingSession
from ...models.interventions.states import clean_states
from ...models.layered import Layered
from ...models.outputs import divergence, prediction
from ...models.shapes import Outputs, PerRow
from .centred_rmsprop import CentredRMSprop
from .gates import Gates, may_be_masked
from .lagrangian import Multipliers

log = logging.getLogger(__name__)
CACHE = 2**30
"""Bytes of clean states kept for the whole training; beyond that they are computed anew at every step."""
HELD, HELD_SHARE = 64, 0.1
"""Train instances held out to choose the checkpoint: a tenth, at most 64."""
CHECKS, ROWS = 20, 100
"""Times the held-out instances are looked at, and rows of the curve."""
HALF = 0.5
"""Share of states kept, at most, from which on gates count as closing."""
FIRST, TRAIN, CHECK = 0, 1, 2
"""What a random number is drawn for."""


@dataclass(frozen=True)
class GateTrainingConfig:
    """How gates are trained.

    Attributes:
        steps: How long.
        batch: Instances a step.
        margin: Divergence (nats) that masking may cost.
        limit: Divergence on held-out instances over which parameters are not handed out.
        penalty: What is made small: the mean of log P(z != 0) or of P(z != 0).
    """

    steps: int
    batch: int
    margin: float
    limit: float
    penalty: Literal["log", "l0"]


@dataclass(frozen=True, eq=False)
class CleanRun:
    """Instances with what the model does on them unmasked.

    Attributes:
        batch: The instances.
        states: By depth.
        outputs: Logits.
    """

    batch: Batch
    states: tuple[Tensor, ...]
    outputs: Outputs

    @classmethod
    @torch.no_grad()
    def of(cls, model: Layered, batch: Batch) -> CleanRun:
        """Runs the model once."""
        states = clean_states(model, batch)
        return cls(batch, tuple(states), model.readout(states[-1], batch))

    def rows(self, index: Tensor) -> CleanRun:
        """Some of them."""
        batch = self.batch.rows(index)
        states, outputs = (tuple(t[index] for t in tensors) for tensors in (self.states, self.outputs))
        return CleanRun(batch, states, outputs)


class GateTrial(NamedTuple):
    """What masking does to instances, one entry each: divergence (nats), prediction kept, mean penalty, share of tokens kept."""

    divergence: PerRow
    agreement: PerRow
    penalty: PerRow
    kept: PerRow

    def means(self) -> np.ndarray:
        """Means of divergence, agreement and kept."""
        return np.array([float(x.detach().mean()) for x in (self.divergence, self.agreement, self.kept)])


@dataclass(eq=False)
class GateExamples:
    """Train instances, some held out, with their clean states where these fit.

    Attributes:
        model: The model.
        data: Batches.
        held: Rows of each batch that are held out.
        used: The others; all rows where there are too few to hold any out.
        cached: The clean runs of whole batches, or empty.
    """

    model: Layered
    data: Sequence[Batch]
    held: list[np.ndarray]
    used: list[np.ndarray]
    cached: list[CleanRun] = field(default_factory=list)

    @classmethod
    def of(cls, model: Layered, data: Sequence[Batch], seed: int) -> GateExamples:
        """Holds some out and runs the model on what fits."""
        sizes = [len(batch) for batch in data]
        total = sum(sizes)
        count = 0 if total < 2 else min(HELD, max(1, round(HELD_SHARE * total)))
        chosen = np.zeros(total, bool)
        chosen[np.random.default_rng([seed, FIRST]).permutation(total)[:count]] = True
        parts = np.split(chosen, np.cumsum(sizes)[:-1])
        held, used = [np.flatnonzero(p) for p in parts], [np.flatnonzero(~p) for p in parts]
        made = cls(model, data, held if count else used, used)
        tokens = sum(batch.ids.numel() for batch in data)
        if tokens * model.width * (model.n_layers + 2) * torch.finfo(model.dtype).bits // 8 <= CACHE:
            made.cached = [CleanRun.of(model, batch) for batch in data]
        return made

    def get(self, number: int, rows: np.ndarray) -> CleanRun:
        """Rows of a batch."""
        index = torch.from_numpy(rows).to(self.data[number].ids.device)
        return self.cached[number].rows(index) if self.cached else CleanRun.of(self.model, self.data[number].rows(index))

    def draw(self, generator: np.random.Generator, size: int) -> CleanRun:
        """At most `size` train rows of one batch, a batch as likely as it is large."""
        weights = np.array([len(rows) for rows in self.used], float)
        number = int(generator.choice(len(weights), p=weights / weights.sum()))
        rows = self.used[number]
        return self.get(number, generator.choice(rows, min(size, len(rows)), replace=False))

    def checks(self) -> Iterator[CleanRun]:
        """The held-out rows."""
        return (self.get(number, rows) for number, rows in enumerate(self.held) if len(rows))


@dataclass(eq=False)
class GateTraining:
    """One training. What it draws follows from seed and step alone; its tensors are what a checkpoint holds.

    Attributes:
        gates: What is trained.
        model: What is explained.
        recipe: How.
        seed: Of what is drawn.
        parameters: Of the gates; those that require a gradient are trained.
        descent: Their optimiser.
        multipliers: One a depth.
        sums: Of divergence, agreement, kept and 1 over the steps since the last row of the curve.
        best: The parameters that are handed out.
        best_rank: By group of depths that are trained together, whether they are of the first half of the training, which are
            handed out where none of the second half may be; and the share of states that they keep on held-out instances.
        done: Steps.
    """

    gates: Gates
    model: Layered
    recipe: GateTrainingConfig
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
        """Depths that share parameters, by the name that these contain: all, for gates on words; else each alone."""
        depths = range(self.model.n_layers + 2)
        return {".": depths} if self.gates.at_words else {f".{depth}": depths[depth : depth + 1] for depth in depths}

    def of_group(self, group: str) -> dict[str, Tensor]:
        """Parameters of the depths of a group."""
        heads = ("probe.", "fill.") if group == "." else (f"probe{group}.", f"fill{group}.")
        return {name: t for name, t in self.parameters.items() if f"{name}.".startswith(heads)}

    def masked(self, clean: CleanRun, depth: int, *key: int) -> GateTrial:
        """Masks the states of a depth with gates drawn for `key`."""
        votes, free = self.gates.votes(self.parameters, clean.states, depth), may_be_masked(self.model, clean.batch)
        keep = votes.sample(self._uniform(clean, len(votes.each), *key)) * free + 1 - free
        outputs = self.gates.outputs(self.model, clean.batch, clean.states, depth, keep, self.parameters)
        logs, count = votes.log_kept(), free.sum(1).clamp_min(1)
        kept = (logs.exp() * free).sum(1) / count
        penalty = (logs * free).sum(1) / count if self.recipe.penalty == "log" else kept
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
        log P(z != 0) (De Cao et al. 2020, section 2.3; the logarithm is in their code). The multiplier takes the divergence that
        the gates' step has measured; the paper's code runs the model again for it.
        """
        generator = np.random.default_rng([self.seed, TRAIN, self.done])
        clean, depth = examples.draw(generator, self.recipe.batch), int(generator.integers(self.model.n_layers + 2))
        tried = self.masked(clean, depth, TRAIN, self.done, 1)
        excess = tried.divergence.mean() - self.recipe.margin
        (self.multipliers.value[depth] * excess + tried.penalty.mean()).backward()
        self.descent.step(self.parameters)
        self.multipliers.ascend(excess, depth)
        self.sums += np.append(tried.means(), 1)
        self.done += 1

    @torch.no_grad()
    def check(self, examples: GateExamples) -> list[np.ndarray]:
        """Divergence, agreement and kept on held-out instances, one row a depth; the same gates are drawn every time.

        Of a group of depths the parameters that keep least, among those within the limit at each of its depths, become its best.
        Those of the second half of the training come first. At its start all is open, and any constraint is met; so those of the
        first half count from where half of the states are masked on.
        """
        found = []
        for depth in range(self.model.n_layers + 2):
            each = [(self.masked(c, depth, CHECK, n).means(), len(c.batch)) for n, c in enumerate(examples.checks())]
            found.append(np.average([means for means, _ in each], axis=0, weights=[size for _, size in each]))
        early = 2 * self.done < self.recipe.steps
        for group, depths in self.groups.items():
            kept = float(np.mean([found[depth][2] for depth in depths]))
            met = all(found[depth][0] <= self.recipe.limit for depth in depths) and not (early and kept > HALF)
            if met and (early, kept) < self.best_rank.get(group, (True, math.inf)):
                self.best_rank[group] = early, kept
                self.best |= {name: t.detach().clone() for name, t in self.of_group(group).items()}
        return found

    @property
    def failed(self) -> list[int]:
        """Depths without parameters that met the limit."""
        return [depth for group, depths in self.groups.items() if group not in self.best_rank for depth in depths]

    def tensors(self) -> dict[str, Tensor]:
        """All that is needed to go on from here."""
        kept = {group: torch.tensor(rank, dtype=torch.float64) for group, rank in self.best_rank.items()}
        groups = {"now": self.parameters, "best": self.best, "kept": kept, "descent": self.descent.state}
        groups["lambda"] = self.multipliers.state()
        flat = {f"{group}/{name}": t for group, tensors in groups.items() for name, t in tensors.items()}
        return {**flat, "sums": torch.from_numpy(self.sums.copy()), "done": torch.tensor(self.done)}

    @torch.no_grad()
    def restore(self, kept: Mapping[str, Tensor]) -> None:
        """Goes on from `tensors()`."""
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
        self.best_rank = {group: (rank[:-1] == [1.0], rank[-1]) for group, rank in ranks.items()}  # once there was but the share
        self.sums, self.done = kept["sums"].cpu().numpy(), int(kept["done"])


def train(run: GateTraining, data: Sequence[Batch], training: TrainingSession) -> dict[str, Tensor]:
    """Trains to the end and returns the best parameters.

    Raises:
        FlowgaugeError: Masking some depth never cost as little as the limit.
    """
    examples, steps = GateExamples.of(run.model, data, run.seed), run.recipe.steps
    kept = training.resume()
    if kept:
        run.restore(kept)
    while run.done < steps:
        run.step(examples)
        checked = run.done % max(1, steps // CHECKS) == 0 or run.done == steps
        if checked or run.done % max(1, steps // ROWS) == 0:
            _log(run, training, run.check(examples) if checked else [])
        training.checkpoint(run.tensors())
    early = any(first for first, _ in run.best_rank.values())
    if run.failed or early:
        found = run.check(examples)
        if run.failed or np.isnan(found).any():
            raise FlowgaugeError(_failure(run, found))
        log.warning(
            "masking costs more than %.3g nats all through the second half of the training; probes of the first half are used.",
            run.recipe.limit,
        )
    return run.best


def _log(run: GateTraining, training: TrainingSession, found: Sequence[np.ndarray]) -> None:
    lost, same, kept = run.sums[:3] / run.sums[3]
    numbers = {"divergence": lost, "agreement": same, "kept": kept}
    numbers |= {f"lambda.{depth}": float(value) for depth, value in enumerate(run.multipliers.value)}
    for depth, (lost, same, kept) in enumerate(found):
        numbers |= {f"held.divergence.{depth}": lost, f"held.agreement.{depth}": same, f"held.kept.{depth}": kept}
    training.log(run.done, run.recipe.steps, **{name: float(number) for name, number in numbers.items()})
    run.sums = np.zeros(4)


def _failure(run: GateTraining, found: Sequence[np.ndarray]) -> str:
    lost = [depth for depth, numbers in enumerate(found) if np.isnan(numbers).any()]
    if lost:
        where = ", ".join(map(str, lost))
        return (
            f"the training diverged: after {run.done} steps gates or vectors of depth {where} are no numbers. Train more slowly "
            "(lr, baseline_lr, warmup)."
        )
    costs = ", ".join(f"{found[depth][0]:.3g} at depth {depth}" for depth in run.failed)
    _, same, kept = np.mean(found, 0)
    return (
        f"after {run.done} steps masking costs {costs} (nats on held-out sentences), and never {run.recipe.limit:.3g} or less in "
        f"the second half of the training or with half of the states masked (margin {run.recipe.margin:.3g}); {same:.0%} of "
        f"predictions and {kept:.0%} of states are kept over all depths. Train for more steps, with slower gates (lr, warmup) or "
        "faster multipliers (lambda_lr), on more sentences (--fit-limit), or with a larger margin."
    )
