"""Trains the gates of DiffMask: as few states kept as possible, while the outputs stay within a margin of the clean ones."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from ...core.errors import UsageError
from ...core.settings import Settings
from ...models.layered import Layered
from ...models.outputs import divergence, least_flip, prediction
from ...models.shapes import PerRow
from ..centred_rmsprop import CentredRMSprop
from .gate_checks import Check, Limits, Rank, is_stuck_open, rises
from .gate_examples import CleanRun, GateExamples
from .gates import Gates, may_be_masked
from .lagrangian import MOST, Multipliers

log = logging.getLogger(__name__)
FLIPS = "flips:"
"""How a margin begins that is a share of the predictions."""
SLOWER = 2.0
"""What learning rates are divided by where a training goes back to earlier parameters."""
TRAIN, CHECK = 1, 2
"""First number of the seed of the draws of training steps, and of checks."""


@dataclass(frozen=True)
class GateTrainingSettings(Settings):
    """Settings of the training of gates.

    Attributes:
        steps: Number of training steps, each of one depth that is drawn.
        batch: Sentences in each step, drawn from the whole train split.
        margin: Divergence (nats, mean over sentences) that masking may cost: .1 in the paper for classification, 1 for question
            answering, .05 for its toy task. `flips:.05` takes it from the model: the mean, over the 5 % of held-out predictions
            that are the easiest to change, of the least divergence that changes them.
        accept: Divergence on held-out sentences, in margins, within which the probes are chosen that keep the fewest states. It
            is a mean over the depths that are trained together.
        agree: Share of predictions on held-out sentences that have to stay as they are, as in the paper's code; where none of the
            probes within `accept` keep so many, the record has a warning.
        fallback: Divergence in margins, at each depth, up to which probes are chosen where none are within `accept`; the record
            then has a warning. Above it a training counts as failed.
        penalty: Mean over tokens of P(z != 0) (`l0`; the paper, equation 1) or of log P(z != 0) (`log`; the released code). The
            logarithm goes on pulling at gates that are shut, from which no gradient of the divergence comes back, so that they
            may close for good.
    """

    steps: PositiveInt = 8000
    batch: PositiveInt = 32
    margin: PositiveFloat | Annotated[str, Field(pattern=r"^flips:(0?\.\d*[1-9]\d*|1(\.0*)?)$")] = 0.1
    accept: PositiveFloat = 1.0
    agree: Annotated[float, Field(ge=0, le=1)] = 0.75
    fallback: PositiveFloat = 3.0
    penalty: Literal["log", "l0"] = "log"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fallback < self.accept:
            raise UsageError(f"fallback must be at least accept ({self.accept:g} margins), got {self.fallback:g}.")


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
        margin: The divergence that masking may cost (nats); NaN until `measure_margin` where the settings name a share.
        sums: Sums of divergence, agreement, kept and 1 over the steps since the last row of the curve.
        history: The checks so far.
        best: The parameters that the training returns.
        best_rank: Their rank, by group of depths that are trained together.
        feasible: The last parameters at which a check found the constraint met; at the start, when all gates are open, the first.
        restarts: How often each group of depths went back to its feasible parameters.
        done: Number of steps done.
    """

    gates: Gates
    model: Layered
    config: GateTrainingSettings
    seed: int
    parameters: dict[str, Tensor]
    descent: CentredRMSprop
    multipliers: Multipliers
    margin: float = math.nan
    sums: np.ndarray = field(default_factory=lambda: np.zeros(4))
    history: list[Check] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_rank: dict[str, Rank] = field(default_factory=dict)
    feasible: dict[str, Tensor] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    done: int = 0

    def __post_init__(self) -> None:
        self.start = _copies(self.parameters)
        self.feasible = dict(self.start)
        self.restarts = dict.fromkeys(self.groups, 0)
        if not isinstance(self.config.margin, str):
            self.margin = self.config.margin

    @property
    def limits(self) -> Limits:
        """What held-out instances must show of the parameters that the training returns."""
        return Limits(self.config.accept * self.margin, self.config.agree, self.config.fallback * self.margin)

    def measure_margin(self, examples: GateExamples) -> None:
        """Reads a margin that the settings give as a share of the predictions, from the clean outputs of held-out instances.

        Raises:
            UsageError: The model cannot decide between two classes there, so that the margin would be 0.
        """
        if isinstance(self.config.margin, str):
            costs = torch.cat([least_flip(run.outputs, run.batch) for run in examples.checks()]).sort().values
            count = max(1, round(float(self.config.margin.removeprefix(FLIPS)) * len(costs)))
            self.margin = float(costs[:count].mean())
            if not self.margin > 0:
                raise UsageError(f"margin={self.config.margin} is 0 nats, because classes tie: give a larger share, or nats.")

    @property
    def groups(self) -> dict[str, range]:
        """Depths that share parameters, by the part of the parameters' names: all depths for gates on words, else each alone."""
        depths = range(self.model.n_layers + 2)
        return {".": depths} if self.gates.at_words else {f".{depth}": depths[depth : depth + 1] for depth in depths}

    def of_group(self, group: str) -> dict[str, Tensor]:
        """The parameters of the depths of a group."""
        heads = ("probe.", "fill.") if group == "." else (f"probe{group}.", f"fill{group}.")
        return {name: t for name, t in self.parameters.items() if f"{name}.".startswith(heads)}

    def now(self, group: str) -> dict[str, Tensor]:
        """Copies of the parameters of the depths of a group."""
        return _copies(self.of_group(group))

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

        min over gates, max over lambda in [0, 200] of  lambda (mean KL - margin) + mean over sentences and tokens of P(z != 0),
        or of its logarithm (De Cao et al. 2020, section 2.3; the logarithm is in their code). The multiplier's step uses the
        divergence of the gates' step; the paper's code runs the model again for it.
        """
        generator = np.random.default_rng([self.seed, TRAIN, self.done])
        clean, depth = examples.draw(generator, self.config.batch), int(generator.integers(self.model.n_layers + 2))
        trial = self.masked(clean, depth, TRAIN, self.done, 1)
        excess = trial.divergence.mean() - self.margin
        (self.multipliers.value[depth] * excess + trial.penalty.mean()).backward()
        self.descent.step(self.parameters)
        self.multipliers.ascend(excess, depth)
        self.sums += np.append(trial.means(), 1)
        self.done += 1

    @torch.no_grad()
    def measure(self, examples: GateExamples) -> Check:
        """Divergence, agreement, kept and multiplier of each depth on held-out instances; every call draws the same gates."""
        means = []
        for depth in range(self.model.n_layers + 2):
            parts = [(self.masked(c, depth, CHECK, n).means(), len(c.batch)) for n, c in enumerate(examples.checks())]
            mean = np.average([part for part, _ in parts], axis=0, weights=[size for _, size in parts])
            means.append([*mean, float(self.multipliers.value[depth])])
        return np.array(means)

    def check(self, examples: GateExamples) -> Check:
        """Measures the gates on the held-out instances, and keeps the parameters of each group that are the best so far.

        Returns:
            The check, a row for each depth.
        """
        rows, is_early = self.measure(examples), 2 * self.done < self.config.steps
        self.history.append(rows)
        for group, depths in self.groups.items():
            rank = self.limits.rank(rows[depths.start : depths.stop], is_early)
            if rank is not None and (group not in self.best_rank or rank < self.best_rank[group]):
                self.best_rank[group] = rank
                self.best |= self.now(group)
            if self.limits.meets(rows[depths.start : depths.stop]):
                self.feasible |= self.now(group)
        return rows

    def guard(self, examples: GateExamples) -> None:
        """Takes every group of depths whose gates cannot move any more back to parameters from which they can.

        Shut for good, and back to the last feasible parameters: a depth masks almost everything and violates the constraint, or
        its multiplier has risen over two checks although the largest multiplier could not make the divergence weigh more than the
        penalty in the gradient of the probes. Open for good, and back to the start: `is_stuck_open` at each depth. Means of the
        optimiser and multipliers start anew, and learning rates are halved.

        Args:
            examples: The train instances.
        """
        for group, depths in self.groups.items():
            if any(self._is_shut(examples, group, depth) for depth in depths):
                self._go_back(group, self.feasible)
            elif all(is_stuck_open(self.history, depth) for depth in depths):
                self._go_back(group, self.start)

    def _is_shut(self, examples: GateExamples, group: str, depth: int) -> bool:
        row = self.history[-1][depth]
        if self.limits.has_collapsed(row):
            return True
        return rises(self.history, depth) and not self.limits.meets(row[None]) and self._is_dead(examples, group, depth)

    def _is_dead(self, examples: GateExamples, group: str, depth: int) -> bool:
        """Whether the gradient of the divergence on held-out instances is too small for any multiplier."""
        probes = [t for name, t in self.of_group(group).items() if name.startswith("probe.")]
        sums = [[torch.zeros_like(t) for t in probes] for _ in range(2)]
        for n, clean in enumerate(examples.checks()):
            trial = self.masked(clean, depth, CHECK, n)
            for total, value in zip(sums, (trial.divergence.sum(), trial.penalty.sum()), strict=True):
                grads = torch.autograd.grad(value, probes, retain_graph=True, allow_unused=True)
                for t, grad in zip(total, grads, strict=True):
                    t += 0 if grad is None else grad
        divergence_size, penalty_size = (math.sqrt(sum(float((t**2).sum()) for t in total)) for total in sums)
        return MOST * divergence_size < penalty_size

    @torch.no_grad()
    def _go_back(self, group: str, earlier: Mapping[str, Tensor]) -> None:
        names = self.of_group(group)
        for name, tensor in names.items():
            tensor.copy_(earlier[name])
        depths = self.groups[group]
        self.descent.restart(names, SLOWER)
        self.multipliers.restart(slice(depths.start, depths.stop))
        self.restarts[group] += 1
        log.info("after %d steps depths %s went back to earlier parameters.", self.done, list(depths))

    @property
    def failed(self) -> list[int]:
        """Depths for which no parameters met the fallback limit."""
        return [depth for group, depths in self.groups.items() if group not in self.best_rank for depth in depths]

    def depths_where(self, is_so: str) -> list[int]:
        """Depths whose best parameters have a flag of `Rank`."""
        return [d for group, depths in self.groups.items() if getattr(self.best_rank.get(group), is_so, False) for d in depths]

    def tensors(self) -> dict[str, Tensor]:
        """The checkpoint: every tensor from which `restore` continues."""
        groups: dict[str, Mapping[str, Tensor]] = {"now": self.parameters, "best": self.best, "feasible": self.feasible}
        groups |= {"descent": self.descent.state, "lambda": self.multipliers.state()}
        groups["rank"] = {group: torch.tensor(rank, dtype=torch.float64) for group, rank in self.best_rank.items()}
        groups["restarts"] = {group: torch.tensor(count) for group, count in self.restarts.items()}
        flat = {f"{group}/{name}": t for group, tensors in groups.items() for name, t in tensors.items()}
        flat |= {"history": torch.tensor(np.array(self.history))} if self.history else {}
        return {**flat, "sums": torch.from_numpy(self.sums.copy()), "done": torch.tensor(self.done)}

    @torch.no_grad()
    def restore(self, kept: Mapping[str, Tensor]) -> None:
        """Continues from the tensors of a checkpoint."""
        groups: dict[str, dict[str, Tensor]] = {
            name: {} for name in ("now", "best", "feasible", "descent", "lambda", "rank", "restarts")
        }
        for name, tensor in kept.items():
            group, _, rest = name.partition("/")
            if rest:
                groups[group][rest] = tensor.to(self.model.device)
        for name, tensor in groups["now"].items():
            self.parameters[name].copy_(tensor)
        for group, count in groups["restarts"].items():
            self.restarts[group] = int(count)
            self.descent.restart(self.of_group(group), SLOWER ** int(count))
        self.best, self.feasible, self.descent.state = groups["best"], groups["feasible"], groups["descent"]
        self.multipliers.restore(groups["lambda"])
        ranks = {group: rank.tolist() for group, rank in groups["rank"].items()}
        self.best_rank = {
            group: Rank(bool(loose), bool(unlike), bool(early), kept) for group, (loose, unlike, early, kept) in ranks.items()
        }
        self.history = list(kept["history"].cpu().numpy()) if "history" in kept else []
        self.sums, self.done = kept["sums"].cpu().numpy(), int(kept["done"])


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: t.detach().clone() for name, t in tensors.items()}
