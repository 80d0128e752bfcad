"""Runs a training of gates from its start or its last checkpoint to its end, and judges how it ended."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import numpy as np
from torch import Tensor

from ...core.errors import FlowgaugeError
from ...models.batch import Batch
from ...models.built.training import TrainingSession
from .gate_checks import Check, is_judged, unsettled
from .gate_examples import GateExamples
from .gate_training import GateTraining

log = logging.getLogger(__name__)
CHECKS, ROWS = 20, 100
"""Number of checks on the held-out instances, and number of rows of the training curve."""


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
    run.measure_margin(examples)
    kept = training.resume()
    if kept:
        run.restore(kept)
    while run.done < steps:
        run.step(examples)
        is_check = run.done % max(1, steps // CHECKS) == 0 or run.done == steps
        if is_check or run.done % max(1, steps // ROWS) == 0:
            _log(run, training, run.check(examples) if is_check else [])
        if is_check and run.done < steps:
            run.guard(examples)
        training.checkpoint(run.tensors())
    if run.failed or np.isnan(run.history[-1]).any():
        raise FlowgaugeError(_failure(run, run.history[-1]))
    converged, warnings = _verdict(run)
    for warning in warnings:
        log.warning("%s.", warning)
    training.conclude(converged, warnings, sum(run.restarts.values()), margin=run.margin)
    return run.best


def _verdict(run: GateTraining) -> tuple[bool | None, list[str]]:
    """Whether a training has converged, and what a reader of its numbers has to know."""
    warnings, limits = [], run.limits
    if loose := run.depths_where("is_loose"):
        warnings.append(
            f"no probes of depths {_listed(loose)} are within {limits.accepted:.3g} nats; "
            f"those within {limits.fallback:.3g} are used"
        )
    if unlike := run.depths_where("disagrees"):
        warnings.append(f"the probes used at depths {_listed(unlike)} keep fewer than {limits.agreement:.0%} of the predictions")
    if early := run.depths_where("is_early"):
        warnings.append(f"probes of the first half of the training are used at depths {_listed(early)}")
    if not is_judged(run.history):
        return None, [*warnings, "too few steps to judge whether the training has converged"]
    moving = list(unsettled(run.history, run.limits, run.margin))
    return not moving, [*warnings, *([f"the training has not converged: {'; '.join(moving)}"] if moving else [])]


def _listed(depths: Iterable[int]) -> str:
    return ", ".join(map(str, depths))


def _log(run: GateTraining, training: TrainingSession, checked: Check | Sequence[np.ndarray]) -> None:
    """Writes a row of the curve: means of the steps since the last row, multipliers, and the check if there was one."""
    row = dict(zip(("divergence", "agreement", "kept"), run.sums[:3] / run.sums[3], strict=True))
    row |= {f"lambda.{depth}": float(value) for depth, value in enumerate(run.multipliers.value)}
    row["restarts"] = sum(run.restarts.values())
    for depth, (lost, same, kept, _) in enumerate(checked):
        row |= {f"held.divergence.{depth}": lost, f"held.agreement.{depth}": same, f"held.kept.{depth}": kept}
    training.log(run.done, run.config.steps, **{name: float(value) for name, value in row.items()})
    run.sums = np.zeros(4)


def _failure(run: GateTraining, means: Check) -> str:
    """The text of the error of a training that failed."""
    diverged = [depth for depth, row in enumerate(means) if np.isnan(row).any()]
    if diverged:
        where = ", ".join(map(str, diverged))
        return (
            f"the training diverged: after {run.done} steps gates or vectors of depth {where} are NaN. Train with lower learning "
            "rates (lr, baseline_lr) or a longer warmup."
        )
    costs = ", ".join(f"{means[depth][0]:.3g} at depth {depth}" for depth in run.failed)
    _, same, kept, _ = np.mean(means, 0)
    return (
        f"after {run.done} steps masking costs {costs} (nats on held-out sentences), and never {run.limits.fallback:.3g} or less "
        f"in the second half of the training or with half of the states masked (margin {run.margin:.3g}); {same:.0%} of "
        f"predictions and {kept:.0%} of states are kept over all depths. Train for more steps, with slower gates (lr, warmup) or "
        "faster multipliers (lambda_lr), on more sentences (--fit-limit), or with a larger margin."
    )
