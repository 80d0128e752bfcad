"""Criteria that choose how a model is trained for ablation; none of them knows a method that explains.

`PYTHONPATH=scripts python -m agreement_models.criteria FOLDER`, with a folder or an embedded model's name, prints for each task

- the accuracy of the whole model, which has to be `LEAST_ACCURACY` or more;
- the accuracy of models reduced to random nodes, by the share of the nodes that each layer keeps: at no budget may it fall
  significantly below what it was at a smaller one;
- the expected calibration error of the reduced models, which is reported: how far the probability that they give to their
  prediction lies from the share of predictions that are right.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.stats import norm

from flowgauge.metrics.reduced_models.nodes import reduced_outputs
from flowgauge.models.batch import Batch
from flowgauge.models.flow.flow_model import FlowModel
from flowgauge.models.flow.graph import Subgraph
from flowgauge.models.inputs.encode import batches
from flowgauge.models.load import load_model
from flowgauge.models.outputs import value
from flowgauge.tasks.agreement import AgreementTask
from flowgauge.tasks.lexicon import templates

from .accuracy import Accuracy
from .command import run_command
from .recipe import Recipe

R = TypeVar("R", bound=Recipe)
LEAST_ACCURACY = 0.99
STEPS = 10
"""Budgets: 10 %, 20 %, ..., 100 % of the nodes of each layer."""
DRAWS = 2
"""Random rankings of the nodes of an instance."""
BINS = 10
LEVEL = 0.95


@dataclass(frozen=True)
class TaskCriteria:
    """What a model does on one task, whole and reduced to random nodes.

    Attributes:
        task: The task's name.
        count: Number of instances.
        accuracy: Of the whole model.
        curve: Accuracy of the reduced models at each budget.
        fall: The largest fall of the curve from one budget to any larger one; 0 where it never falls.
        band: The fall that is still within chance: half the width of a simultaneous 95 % interval of the difference over which
            it was found.
        rises: Whether no fall, of any pair of budgets, leaves its band.
        calibration_error: Expected calibration error of the reduced models, all budgets together; 0 to 1, lower is better.
    """

    task: str
    count: int
    accuracy: float
    curve: tuple[float, ...]
    fall: float
    band: float
    rises: bool
    calibration_error: float

    @property
    def met(self) -> bool:
        """Whether the whole model is right and the curve rises."""
        return self.accuracy >= LEAST_ACCURACY and self.rises


@torch.no_grad()
def judge_task(model: FlowModel, task: str, sentences: int, seed: int = 0) -> TaskCriteria:
    """The criteria on one task.

    Args:
        model: The model.
        task: An agreement task.
        sentences: Sentences of each condition.
        seed: Of the sentences and of the rankings.
    """
    rng = np.random.default_rng(seed)
    whole, differences = [], []
    for batch in batches(model, AgreementTask(task, sentences).instances("test", None, seed)).batches:
        whole.append(value(model.outputs(batch), batch).double().numpy())
        differences.append(_reduced_differences(model, batch, rng))
    reduced = np.concatenate(differences)
    correct = reduced > 0
    falls = falls_of(correct.mean(1))
    worst = max(falls, key=lambda fall: fall.size)
    return TaskCriteria(
        task, len(reduced), float((np.concatenate(whole) > 0).mean()), tuple(correct.mean((0, 1)).tolist()), max(worst.size, 0.0),
        worst.band, all(fall.size <= fall.band for fall in falls), calibration_error(_confidence(reduced), correct),
    )  # fmt: skip


def _reduced_differences(model: FlowModel, batch: Batch, rng: np.random.Generator) -> Float[np.ndarray, "instances draws steps"]:
    """q of every instance under every ranking and budget."""
    assert batch.target is not None
    kept = [
        Subgraph(nodes)
        for length, target in zip(batch.lengths, batch.target.tolist(), strict=True)
        for _ in range(DRAWS)
        for nodes in random_nodes(model.n_layers, length, target, rng)
    ]
    index = torch.arange(len(batch)).repeat_interleave(DRAWS * STEPS)
    rows = batch.rows(index)
    hidden = model.embed(model.words(batch), batch)[index]
    return value(reduced_outputs(model, rows, hidden, kept), rows).double().numpy().reshape(len(batch), DRAWS, STEPS)


def random_nodes(n_layers: int, n_tokens: int, target: int, rng: np.random.Generator) -> Bool[np.ndarray, "steps depths tokens"]:
    """The nodes kept at each budget by a random ranking of every depth; at the last, the target alone.

    Args:
        n_layers: L.
        n_tokens: N; a budget b keeps ceil(b N) of them.
        target: The position that q reads.
        rng: Draws the rankings.
    """
    rank = rng.permuted(np.tile(np.arange(n_tokens), (n_layers + 1, 1)), axis=1)
    counts = -(-np.arange(1, STEPS + 1) * n_tokens // STEPS)
    kept: np.ndarray = rank < counts[:, None, None]
    kept[:, -1] = np.arange(n_tokens) == target
    return kept


@dataclass(frozen=True)
class Fall:
    """How far accuracy falls from one budget to a larger one, and what of that is within chance."""

    size: float
    band: float


def falls_of(curves: Float[np.ndarray, "instances steps"]) -> list[Fall]:
    """The fall over every pair of budgets, in accuracy, with half the width of its simultaneous interval.

    The interval is the normal one of the paired difference, at a level that Bonferroni's correction sets for all pairs.

    Args:
        curves: The accuracy of each instance at each budget.

    >>> [(fall.size, round(fall.band, 2)) for fall in falls_of(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]))]
    [(0.3333333333333333, 0.65)]
    """
    pairs = list(combinations(range(curves.shape[1]), 2))
    quantile = norm.ppf(1 - (1 - LEVEL) / (2 * len(pairs)))
    differences = np.stack([curves[:, a] - curves[:, b] for a, b in pairs])
    bands = quantile * differences.std(1, ddof=1) / np.sqrt(len(curves))
    return [Fall(float(size), float(band)) for size, band in zip(differences.mean(1), bands, strict=True)]


def _confidence(differences: Float[np.ndarray, "*some"]) -> Float[np.ndarray, "*some"]:
    """The probability of the predicted one of the two words, given that it is one of them."""
    return 1 / (1 + np.exp(-np.abs(differences)))


def calibration_error(confidence: Float[np.ndarray, "*some"], correct: Bool[np.ndarray, "*some"]) -> float:
    """Expected calibration error: sum over bins of the share of predictions times |accuracy - mean confidence|.

    Ten bins of equal width between 1/2 and 1 (Guo et al. 2017, equation 3). In [0, 1]; lower is better.

    Args:
        confidence: Probability that is given to each prediction, of two outputs that compete.
        correct: Whether each prediction is right.

    >>> calibration_error(np.array([0.8, 0.8, 0.8, 0.8]), np.array([True, True, True, False]))
    0.05
    """
    bins = np.clip(((confidence - 0.5) * 2 * BINS).astype(int), 0, BINS - 1).ravel()
    gap = np.bincount(bins, (correct - confidence).ravel(), BINS)
    return round(float(np.abs(gap).sum() / confidence.size), 12)


def judge(model: FlowModel, sentences: int = 50, seed: int = 0) -> list[TaskCriteria]:
    """The criteria on every agreement task.

    Args:
        model: The model.
        sentences: Sentences of each condition.
        seed: Of the sentences and of the rankings.
    """
    return [judge_task(model, task, sentences, seed) for task in templates()]


def table(rows: Sequence[TaskCriteria]) -> str:
    """The criteria as a table in Markdown."""
    head = [
        "| task | sentences | whole | with random nodes, 10 % to 100 % | largest fall (band) | calibration error | met |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    return "\n".join(
        head
        + [
            f"| `{row.task}` | {row.count} | {row.accuracy:.3f} | {' '.join(f'{point:.2f}' for point in row.curve)} "
            f"| {row.fall:.3f} ({row.band:.3f}) | {row.calibration_error:.3f} | {'yes' if row.met else 'no'} |"
            for row in rows
        ]
    )


def run_command_with_criteria(
    purpose: str,
    recipe_class: type[R],
    train: Callable[[Path, R], object],
    measure: Callable[[Path], list[Accuracy]],
    card: Callable[[Mapping[str, object], Sequence[Accuracy], str], str],
    arguments: Sequence[str] | None,
) -> None:
    """The command line of the script of a model that is judged by the criteria (`run_command`).

    Args:
        purpose: What the script does, for its help.
        recipe_class: The recipe, whose steps and seed are options.
        train: Trains a model in a folder.
        measure: The accuracy of the model in a folder.
        card: The card of a recipe, an accuracy, and the table of the criteria.
        arguments: Of the command line; None: those of the process.
    """
    criteria: list[str] = []

    def measure_both(folder: Path) -> list[Accuracy]:
        criteria.append(table(judge(load_model(str(folder)))))
        return measure(folder)

    run_command(purpose, recipe_class, train, measure_both, lambda recipe, rows: card(recipe, rows, criteria[-1]), arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line: prints the criteria of a model on every task."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", help="an embedded model's name or a folder")
    parser.add_argument("--sentences", type=int, default=50, help="sentences of each condition")
    parser.add_argument("--seed", type=int, default=0, help="of the sentences and of the rankings")
    given = parser.parse_args(arguments)
    print(table(judge(load_model(given.model), given.sentences, given.seed)))


if __name__ == "__main__":
    main()
