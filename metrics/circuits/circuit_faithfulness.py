"""What the model does when it is reduced to a circuit, over circuits of growing size: its area, and its distance to the whole.

f(C) = (q(C) - q(x')) / mean(q(x) - q(x')), where q(C) is q with the counterpart's values along every edge outside C, x the text
and x' its counterpart; the mean is over all instances, so that the mean of f is the published ratio of means. The circuit of p
percent has the floor(p/100 E) edges with the largest scores of the model's E edges.

Variants of `circuit_performance` (f, and its area) and of `circuit_distance` (|1 - f|, and its area), for each p:

    task/<p>, task/area            circuits of the task: edges ranked by their mean score over the other half of the instances
    instance/<p>, instance/area    each instance's own circuits
    random/<p>, random/area        edges in random order, as a control
    task/area/corpus               of `circuit_distance`: the area of |1 - mean f|, as published
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import PositiveInt

from ...core.errors import NotApplicable
from ...core.settings import Settings
from ...methods.explanation import Explanation
from ...methods.views import Select, circuit_scores
from ...models.circuits.interchange import circuit_values, largest_edges
from ...models.circuits.passes import counterpart_of, graph_of
from ...models.flow.flow_model import FlowModel
from ...models.outputs import value
from ..base import ExplainedBatch, Scores, frame, score_row
from ..heads.head_importance import halves
from ..registry import metric
from ..scores import Aggregate
from ..summary import summarise, summarise_sums

SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Shares of the edges that circuits have, as in Mueller et al. 2025."""
NO_EFFECT = (
    "on average the model prefers the answer no more on the texts than on their counterparts, so that there is nothing to keep."
)
Line = Literal["task", "instance", "random"]
Curves = Float[np.ndarray, "lines shares"]


@dataclass(frozen=True, kw_only=True)
class _Faithfulness(Settings):
    """The settings of both metrics, and the loop over batches.

    Attributes:
        select: How edges are ranked: by their scores (`signed`) or by the absolute values of these (`absolute`).
        random_draws: Random orders of the edges for each instance.
        seed: Of the halves and the random orders.
    """

    select: Select = "signed"
    random_draws: PositiveInt = 2
    seed: int = 0

    def score(self, model: FlowModel, explained: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """One score row for each instance, line, share and draw, and one for each area."""
        task = _TaskCircuits.of(explained, self.select, self.seed)
        effects = [_effects(model, batch) for batch in explained]
        by_name = {
            n: e for batch, of in zip(explained, effects, strict=True) for n, e in zip(batch.batch.names, of[0], strict=True)
        }
        whole = float(np.mean([by_name[name] for name in sorted(by_name)]))
        reason = "" if whole > 0 and np.isfinite(whole) else NO_EFFECT
        rows: list[dict[str, Any]] = []
        sums: list[tuple[Any, np.ndarray]] = []
        for batch, (_, empty) in zip(explained, effects, strict=True):
            for draw, line, row, curve in self._curves(model, batch, task):
                instance = batch.instances[row]
                faithful = (curve - empty[row]) / whole if not reason else np.full(len(SHARES), np.nan)
                rows += self._rows(instance, line, draw, faithful, reason)
                if line == "task" and draw == 0 and not reason:
                    sums.append((instance, faithful))
        table = frame(rows)
        return Scores(table, (*summarise(table), *self._corpus(sums)))

    def _curves(
        self, model: FlowModel, batch: ExplainedBatch, task: _TaskCircuits
    ) -> Iterator[tuple[int, Line, int, Float[np.ndarray, " shares"]]]:
        """q under every circuit: draw, line, row of the batch, and one value for each share."""
        graph = graph_of(model)
        counts = [int(share * graph.edges().sum()) for share in SHARES]
        names, lines = list[tuple[Line, int]](), list[torch.Tensor]()
        for draw in range(task.draws):
            scores = [task.of_row(batch.batch.names[row])[draw] for row in range(len(batch.batch))]
            own = [circuit_scores(explanation.each()[draw], self.select) for explanation in batch.gold]
            for line, ranked in (("task", scores), ("instance", own)):
                names.append((line, draw))  # type: ignore[arg-type]
                lines.append(torch.stack([largest_edges(graph, torch.from_numpy(one), counts) for one in ranked]))
        for draw in range(self.random_draws):
            names.append(("random", draw))
            rngs = [np.random.default_rng([self.seed, draw, seed]) for seed in batch.batch.seeds]
            lines.append(torch.stack([largest_edges(graph, torch.from_numpy(r.random(graph.shape)), counts) for r in rngs]))
        for (line, draw), kept in zip(names, lines, strict=True):
            values = circuit_values(model, batch.batch, kept.to(batch.batch.ids.device)).cpu().double().numpy()
            for row, curve in enumerate(values):
                yield draw, line, row, curve

    def _rows(self, instance: Any, line: Line, draw: int, faithful: np.ndarray, reason: str) -> Iterator[dict[str, Any]]:
        """The score rows of one instance and line."""
        measured = self.measure(faithful)
        for share, number in zip(SHARES, measured, strict=True):
            yield score_row(instance, f"{line}/{100 * share:g}", float(number), draw, reason)
        yield score_row(instance, f"{line}/area", area(measured), draw, reason)

    def measure(self, faithful: Float[np.ndarray, "*some shares"]) -> Float[np.ndarray, "*some shares"]:
        """What is measured of f."""
        return faithful

    def _corpus(self, sums: Sequence[tuple[Any, np.ndarray]]) -> tuple[Aggregate, ...]:
        """Aggregates of what is no mean over instances."""
        return ()


@metric(
    "circuit_performance",
    reads="circuit",
    needs={"transformer"},
    pools=True,
    ranked="task/area",
    higher_is_better=True,
    unit="share of the effect",
    source="Mueller et al. 2025, MIB: A Mechanistic Interpretability Benchmark, section 3 (integrated circuit performance ratio)",
    misleads="It rewards circuits that exceed the whole model: edges that work against the answer are left out, and f exceeds 1. "
    "Small circuits have most of the points but little of the area. How edges are ranked, signed or absolute, can reverse an "
    "order of methods (hannamw/MIB-circuit-track, issue 19).",
)
@dataclass(frozen=True)
class CircuitPerformance(_Faithfulness):
    """Area under faithfulness against the share of edges kept, from 0.1 % to all of them.

    CPR = integral of f(C_p) dp by trapezoids over p = .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, where C_p keeps the edges
    with the largest scores and every other edge carries what its writer wrote on the counterpart. f is 1 for the whole model and
    0 for the circuit without edges. Source: Mueller et al. 2025, section 3, whose circuits are of the task; here no instance is
    scored with a circuit that it took part in. Unbounded; higher is better; the whole model's is .999.
    """


@metric(
    "circuit_distance",
    reads="circuit",
    needs={"transformer"},
    pools=True,
    ranked="task/area",
    higher_is_better=False,
    bounds=(0.0, None),
    unit="share of the effect",
    source="Mueller et al. 2025, MIB: A Mechanistic Interpretability Benchmark, section 3 (integrated circuit-model distance)",
    misleads="A circuit that keeps what works for the answer and loses what works against it is as far from the model as one "
    "that loses the answer. Signed instead of absolute ranking moved a published value from .38 to .72 "
    "(hannamw/MIB-circuit-track, issue 19). The mean of distances is at least the distance of the mean, "
    "`task/area/corpus`.",
)
@dataclass(frozen=True)
class CircuitDistance(_Faithfulness):
    """Area between faithfulness and 1 against the share of edges kept, from 0.1 % to all of them.

    CMD = integral of |1 - f(C_p)| dp, with f, p and C_p as in `circuit_performance`, but edges are ranked by their absolute
    values. The area of each instance is averaged; `task/area/corpus` is the published |1 - mean f|. Source: Mueller et al. 2025,
    section 3. 0 or more; lower is better; 0: every circuit does what the whole model does.
    """

    select: Select = "absolute"

    def measure(self, faithful: Float[np.ndarray, "*some shares"]) -> Float[np.ndarray, "*some shares"]:
        """|1 - f|."""
        return np.abs(1 - faithful)

    def _corpus(self, sums: Sequence[tuple[Any, np.ndarray]]) -> tuple[Aggregate, ...]:
        if not sums:
            return ()
        features = np.stack([np.append(faithful, 1.0) for _, faithful in sums])
        return summarise_sums(
            ("task/area/corpus",), features, [i for i, _ in sums], partial(_corpus_area, self.measure), (0.0, None), needs=12
        )


def _corpus_area(measure: Any, sums: Float[np.ndarray, "*some features"]) -> Float[np.ndarray, "*some one"]:
    """The area of what is measured of the mean of f, from the sums of f and the number of instances."""
    measured = measure(sums[..., :-1] / sums[..., -1:])
    return np.apply_along_axis(area, -1, measured)[..., None]


def area(curve: Float[np.ndarray, " shares"]) -> float:
    """The area under a curve over `SHARES` by trapezoids.

    >>> round(area(np.ones(10)), 6)
    0.999
    """
    return float(np.trapezoid(curve, SHARES))


def _effects(model: FlowModel, batch: ExplainedBatch) -> tuple[Float[np.ndarray, " batch"], Float[np.ndarray, " batch"]]:
    """q(x) - q(x') and q(x') of every instance."""
    with torch.no_grad():
        whole, empty = (value(model.outputs(rows), batch.batch) for rows in (batch.batch, counterpart_of(batch.batch)))
    return (whole - empty).cpu().double().numpy(), empty.cpu().double().numpy()


@dataclass(frozen=True, eq=False)
class _TaskCircuits:
    """The mean scores by which the edges of each instance's task circuit are ranked.

    Attributes:
        half: The half of each instance, by its id.
        scores: Mean over the instances that are not in each half.
    """

    half: dict[str, int]
    scores: Float[np.ndarray, "halves draws writers readers"]

    @property
    def draws(self) -> int:
        """Draws of each explanation."""
        return self.scores.shape[1]

    @classmethod
    def of(cls, explained: Sequence[ExplainedBatch], select: Select, seed: int) -> _TaskCircuits:
        """From explanations of the gold answer.

        Raises:
            NotApplicable: They have no circuits, or different numbers of draws.
        """
        known = {i.id: (i, e) for batch in explained for i, e in zip(batch.instances, batch.gold, strict=True)}
        names = sorted(known)
        if len({len(known[name][1].each()) for name in names}) > 1:
            raise NotApplicable("instances have different numbers of draws, so that there is no circuit for each draw.")
        half = halves(names, [known[name][0].condition for name in names], seed)
        total = [_mean([known[n][1] for n, h in zip(names, half, strict=True) if h != scored]) for scored in (0, 1)]
        scores = np.stack(total)
        return cls(dict(zip(names, half.tolist(), strict=True)), np.abs(scores) if select == "absolute" else scores)

    def of_row(self, name: str) -> Float[np.ndarray, "draws writers readers"]:
        """The scores for an instance."""
        scores: np.ndarray = self.scores[self.half[name]]
        return scores


def _mean(explanations: Sequence[Explanation]) -> Float[np.ndarray, "draws writers readers"]:
    """The mean circuit of each draw, signs included."""
    total: np.ndarray = sum(np.stack([circuit_scores(draw, "signed") for draw in e.each()]) for e in explanations)  # type: ignore[assignment]
    return total / len(explanations)
