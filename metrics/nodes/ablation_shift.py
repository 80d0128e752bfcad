"""How far the states of reduced models lie from the clean states of the same depth.

Variants, in spreads of clean states (see `AblationShift`):

    mean             over the budgets of `retention_curve` below 100 % (of `ablated_accuracy`: at its one budget)
    budget/<b>       with b % of the nodes of each layer kept (`of=retention_curve` alone)
    clean            the same distance of an instance's own clean states from those of other instances: what to compare with
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from ...core.errors import NotApplicable
from ...core.settings import Settings
from ...methods.views import Select
from ...models.batch import Batch, cell_seed
from ...models.flow.flow_model import FlowModel
from ...models.flow.graph import Subgraph
from ...models.interventions.ablation import ReplacedStates, StateReplacement, replaced_states
from ...models.interventions.states import clean_states
from ..base import ExplainedBatch, ExplainedDraw, Scores, frame, score_row
from ..reduced_models.nodes import SEVERAL_TARGETS, reduced_states
from ..registry import metric
from .node_budgets import kept_nodes, reference_budget
from .retention_curve import budget_masks

Of = Literal["retention_curve", "ablated_accuracy"]
NOTHING_KEPT = "nothing is kept above hidden[0], so that there is no state to compare."
ONE_INSTANCE = "there is no other instance whose states it could be compared with."
EVERY_STATE_EQUAL = "all clean states of a depth are equal, so that they have no spread."


class _Clean(NamedTuple):
    """Clean states of some instances at each depth 1..L; at L, of the targets alone, because nothing else is read there."""

    states: list[Float[Tensor, "states hidden"]]
    owners: list[list[str]]
    spreads: list[float]


@metric(
    "ablation_shift",
    reads="nodes",
    ranked="mean",
    higher_is_better=None,
    unit="spreads of clean states",
    bounds=(0.0, None),
    source="flowgauge; the question is that of Hooker et al. 2019 and of Hase, Xie and Bansal 2021, section 4",
    pools=True,
    misleads="A distance has no direction: states may lie near clean ones that mean something else, or far from them in "
    "directions that the model does not read. Read it beside the ablation score, not in its place.",
)
@dataclass(frozen=True)
class AblationShift(Settings):
    """Distance of a reduced model's kept states from the nearest clean state of the same depth, in spreads of clean states.

    For a reduced model with the kept nodes K at depths 1..L (hidden[0] is clean wherever it is kept):

        mean over (l, i) in K of  min over clean h in C_l + {h_l,i} of  |h'_l,i - h| / s_l
        s_l^2 = mean over h in C_l of |h - mean C_l|^2

    h' are the states of the reduced model, h_l,i is the clean state at the same place, and C_l are the clean states of depth l of
    up to `instances` scored instances (at L: of their targets). In [0, infinity); 0: every state is one that the whole model
    has. A value above `clean`, the distance of an instance's clean states from those of the others, says that the ablation takes
    the model further than another sentence would, so that its score may tell how the model bears missing states.

    Attributes:
        of: The metric whose subgraphs are measured: every budget below 100 % of `retention_curve`, or the matched budget of
            `ablated_accuracy` at the embedding level, guided by the prediction.
        steps: Number of budgets of `retention_curve`.
        select: As for `retention_curve`.
        operator: What replaces the states that are not kept, as for both metrics.
        seed: Of the choice of the instances that are resampled from, and of those that give clean states.
        instances: How many instances give clean states.
    """

    of: Of = "retention_curve"
    steps: Annotated[int, Field(ge=2)] = 10
    select: Select = "signed"
    operator: StateReplacement = "zero"
    seed: int = 0
    instances: Annotated[int, Field(ge=2)] = 64

    @property
    def reference(self) -> str | None:
        """The method that sets the budget of `ablated_accuracy`."""
        return "influence-patterns" if self.of == "ablated_accuracy" else None

    def score(self, model: FlowModel, explained: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """One score row for each instance, variant and draw.

        Raises:
            NotApplicable: q reads several positions, nodes cannot be ranked, or the reference is missing.
        """
        if self.reference is not None and reference is None:
            raise NotApplicable("a matched budget needs the explanations of influence-patterns for the same instances.")
        if any(batch.batch.target is None for batch in explained):
            raise NotApplicable(SEVERAL_TARGETS)
        replaced = replaced_states(model, (batch.batch for batch in explained), self.operator, self.seed)
        clean = self._clean(model, [batch.batch for batch in explained])
        rows: list[dict[str, Any]] = []
        for index, batch in enumerate(explained):
            rows += self._rows(model, batch, None if reference is None else reference[index], replaced(batch.batch), clean)
        return Scores(frame(rows))

    def _clean(self, model: FlowModel, batches: Sequence[Batch]) -> _Clean:
        """The clean states of some instances, which do not depend on batches or their order."""
        names = sorted((name for batch in batches for name in batch.names), key=lambda name: cell_seed(self.seed, name))
        chosen = {name: place for place, name in enumerate(names[: self.instances])}
        found: dict[str, list[Tensor]] = {}
        for batch in batches:
            for row, states in enumerate(_rows_of_states(model, batch)):
                if batch.names[row] in chosen:
                    found[batch.names[row]] = states
        order = sorted(found, key=chosen.__getitem__)
        states = [torch.cat([found[name][depth] for name in order]) for depth in range(model.n_layers)]
        owners = [[name for name in order for _ in found[name][depth]] for depth in range(model.n_layers)]
        return _Clean(states, owners, [_spread(each) for each in states])

    def _rows(
        self,
        model: FlowModel,
        explained: ExplainedBatch,
        reference: ExplainedBatch | None,
        replaced: ReplacedStates,
        clean: _Clean,
    ) -> Iterator[dict[str, Any]]:
        cases = list(explained.draws("predicted"))
        kept = [self._kept(model, case, reference) for case in cases]
        count = len(kept[0])
        row = [case.row for case in cases for _ in range(count)]
        shifts = _shifts(model, explained.batch, row, [Subgraph(nodes) for each in kept for nodes in each], replaced, clean)
        for case, values in zip(cases, shifts.reshape(-1, count), strict=True):
            undefined = replaced.undefined.get(case.row, "")
            known = np.full(count, np.nan) if undefined else values
            reason = undefined or _reason(known, clean)
            if self.of == "retention_curve":
                for step, value in enumerate(known.tolist(), 1):
                    why = reason if np.isnan(value) else ""
                    yield score_row(case.instance, f"budget/{100 * step / self.steps:g}", value, case.draw, why)
            yield score_row(case.instance, "mean", float(known.mean()), case.draw, reason)
        for instance, states in zip(explained.instances, _rows_of_states(model, explained.batch), strict=True):
            value, reason = _distance_to_others(instance.id, states, clean)
            yield score_row(instance, "clean", value, reason=reason)

    def _kept(
        self, model: FlowModel, case: ExplainedDraw, reference: ExplainedBatch | None
    ) -> Bool[np.ndarray, "budgets depths tokens"]:
        """The nodes of every reduced model of one draw."""
        if reference is None:
            return budget_masks(case.explanation, case.size, case.target, self.steps, keep=True, select=self.select)[:-1]
        by = reference_budget(reference.predicted[case.row], case.size, model.n_heads, case.target)
        return kept_nodes(case.explanation, by, "matched", by.words).nodes[None]


@torch.no_grad()
def _rows_of_states(model: FlowModel, batch: Batch) -> list[list[Float[Tensor, "tokens hidden"]]]:
    """The clean states of each instance at depths 1..L: of its real tokens, at L of its target alone."""
    assert batch.target is not None
    states = clean_states(model, batch)[2:]
    rows = []
    for row, (length, target) in enumerate(zip(batch.lengths, batch.target.tolist(), strict=True)):
        real = batch.attention_mask[row].nonzero()[:, 0]
        assert len(real) == length
        rows.append([*(each[row, real] for each in states[:-1]), states[-1][row, target : target + 1]])
    return rows


def _spread(states: Float[Tensor, "states hidden"]) -> float:
    """Root of the mean squared distance from the mean."""
    return float((states.double() - states.double().mean(0)).square().sum(1).mean().sqrt())


def _nearest(states: Float[Tensor, "some hidden"], clean: Float[Tensor, "states hidden"]) -> Float[Tensor, " some"]:
    """Distance of each state from the nearest clean one, by differences: |x|^2 + |y|^2 - 2 x y cancels where they are near."""
    return torch.cdist(states.double(), clean.double(), compute_mode="donot_use_mm_for_euclid_dist").min(1).values


@torch.no_grad()
def _shifts(
    model: FlowModel, batch: Batch, row: Sequence[int], kept: Sequence[Subgraph], replaced: ReplacedStates, clean: _Clean
) -> Float[np.ndarray, " subgraphs"]:
    """The shift of each reduced model; NaN where nothing is kept above hidden[0]."""
    whole = clean_states(model, batch)[2:]
    shifts = []
    for index, reduced in reduced_states(model, batch, row, kept, replaced):
        total = torch.zeros(len(index), dtype=torch.float64, device=batch.ids.device)
        count = torch.zeros_like(total)
        instances = torch.tensor([row[n] for n in index], device=batch.ids.device)
        for depth, (states, own, near, spread) in enumerate(zip(reduced[1:], whole, clean.states, clean.spreads, strict=True), 1):
            left = torch.zeros(states.shape[:2], dtype=torch.bool, device=states.device)
            for place, n in enumerate(index):
                nodes = torch.from_numpy(kept[n].nodes[depth])
                left[place, : len(nodes)] = nodes
            at, here = states[left], own[instances][left]
            distance = torch.minimum(_nearest(at, near), (at.double() - here.double()).norm(dim=1)) / (spread or float("nan"))
            total.index_add_(0, left.nonzero()[:, 0], distance)
            count += left.sum(1)
        shifts.append((total / count).cpu().numpy())
    return np.concatenate(shifts)


def _reason(values: Float[np.ndarray, " budgets"], clean: _Clean) -> str:
    """Why a shift is undefined; empty where it is not."""
    if not np.isnan(values).any():
        return ""
    return NOTHING_KEPT if all(clean.spreads) else EVERY_STATE_EQUAL


def _distance_to_others(name: str, states: Sequence[Tensor], clean: _Clean) -> tuple[float, str]:
    """Mean distance of an instance's clean states from the nearest of the other instances, or NaN and why."""
    distances = []
    for own, near, owners, spread in zip(states, clean.states, clean.owners, clean.spreads, strict=True):
        others = near[[owner != name for owner in owners]]
        if not len(others):
            return np.nan, ONE_INSTANCE
        if not spread:
            return np.nan, EVERY_STATE_EQUAL
        distances.append(_nearest(own, others) / spread)
    return float(torch.cat(distances).mean()), ""
