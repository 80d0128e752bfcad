"""The promises of a metric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import numpy as np
import pandas as pd

from ...core.errors import PLUGIN_ERRORS, NotApplicable
from ...core.registry import Spec
from ...methods.explanation import Explanation
from ...methods.registry import METHODS
from ...metrics.base import ExplainedBatch, Scope
from ...metrics.registry import METRICS, READS
from ...metrics.scores import COLUMNS, Scores
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ...models.inputs.encode import relabel
from ...tasks.instance import Instance
from ...tasks.registry import load_task
from ..engine.explain import explain_batch, prepare
from .cell_metrics import pair_findings
from .declaration import declared, described, make, settings_read_back
from .finding import BrokenPromise, Finding, require, run_checks
from .random_explanations import made_up
from .subject import Subject, digest, subject

Checks = list[tuple[str, Callable[[], str | None]]]
EXPLAINERS = ("influence-patterns:samples=8", "attention", "random:draws=2")


@dataclass(frozen=True, eq=False)
class ExplainedSubject:
    """Every instance with its explanations, to be shown in batches of any make-up."""

    on: Subject
    gold: dict[str, Explanation]
    predicted: dict[str, Explanation]
    explain: Callable[[Batch], list[Explanation]] | None = None

    def shown(self, groups: Sequence[Sequence[Instance]]) -> list[ExplainedBatch]:
        """One batch a group."""
        found = []
        for group in groups:
            batch, names = self.on.batch(group), [i.id for i in group]
            gold, guided = (tuple(by[name] for name in names) for by in (self.gold, self.predicted))
            found.append(ExplainedBatch(batch, relabel(self.on.model, batch), tuple(group), gold, guided, self.explain))
        return found

    def digest(self) -> str:
        """Of every explanation."""
        return digest([*self.gold.values(), *self.predicted.values()])


def check_metric(plugin: Any, model: FlowModel | None = None, instances: Sequence[Instance] | None = None) -> list[Finding]:
    """Whether a metric keeps the promises of `metrics.base.Metric`.

    It is shown explanations of real methods and made-up ones that have every view, so that each `reads` is exercised.

    Args:
        plugin: A name with settings, a class or decorated function, or a metric object.
        model: What was explained; the embedded model in float64 if left out.
        instances: Sentences of different lengths; agreement sentences if left out.
    """
    made = make(METRICS, plugin, "score" if hasattr(plugin, "score") else "compare")
    checks: Checks = [
        ("declared", lambda: _declared(made.plugin)),
        ("described", lambda: described(made)),
        ("settings can be read back", lambda: settings_read_back(made)),
    ]
    found = run_checks(checks)
    if not found[0].ok:
        return found
    on = subject(model, instances)
    before = on.state()
    scored, applied = _score_cases(made.plugin, on)
    if not applied and instances is None:  # some metrics compare the same place in sentences of one template
        again, applied = _score_cases(made.plugin, subject(model, load_task("sva/obj").instances("test", 4, 0)))
        scored += again
    found += [*scored, Finding("applies to some explanation", bool(applied), f"applied to {', '.join(applied) or 'nothing'}")]
    return found + run_checks([("weights and random state unchanged", lambda: require(on.state() == before, "they changed."))])


def _score_cases(plugin: Any, on: Subject) -> tuple[list[Finding], list[str]]:
    """The findings on every kind of explanation, and the kinds that the metric applies to."""
    found, applied, cases = list[Finding](), list[str](), _cases(on, plugin)
    if plugin.scope == "cells":
        return pair_findings(plugin, on.instances, {name: case.gold for name, case in cases.items()}, on.tolerance)
    reference = cases[plugin.reference] if plugin.reference else None
    for name, case in cases.items():
        before = case.digest()
        try:
            scores = _score(plugin, on, case, reference, [on.instances])
        except NotApplicable as reason:
            found.append(Finding(f"{name}: applies", True, f"not applicable: {reason}"))
        except PLUGIN_ERRORS as error:  # shown to the plug-in's author
            found.append(Finding(f"{name}: scores", False, f"{type(error).__name__}: {error}"))
        else:
            applied.append(name)
            checks = _on_case(plugin, on, case, reference, scores, before)
            found += [Finding(f"{name}: {f.check}", f.ok, f.detail) for f in run_checks(checks)]
    return found, applied


def _declared(plugin: Any) -> None:
    def in_order(bounds: Any) -> bool:
        low, high = bounds
        return low is None or high is None or low <= high

    declared(
        plugin,
        name=lambda v: isinstance(v, str) and bool(v),
        version=lambda v: isinstance(v, int) and v >= 1,
        scope=lambda v: v in get_args(Scope),
        reads=lambda v: v in READS,
        higher_is_better=lambda v: v is None or isinstance(v, bool),
        bounds=in_order,
        unit=lambda v: isinstance(v, str) and bool(v),
        source=lambda v: isinstance(v, str),
        reference=lambda v: not v or Spec.parse(v).name in METHODS.entries(),
        **{"compare" if getattr(plugin, "scope", "") == "cells" else "score": callable},
    )


def _cases(on: Subject, plugin: Any) -> dict[str, ExplainedSubject]:
    cases = {"made-up": ExplainedSubject(on, *made_up(on))}
    for name in dict.fromkeys((*EXPLAINERS, *filter(None, [plugin.reference]))):
        asked = prepare(on.model, on.batch(), on.instances)
        method = METHODS.create(name)
        part = explain_batch(on.model, method, asked, 0)
        gold, guided = ({i.id: e for i, e in zip(on.instances, made, strict=True)} for made in (part.gold, part.predicted))
        cases[name] = ExplainedSubject(on, gold, guided, partial(method.explain, on.model))
    return cases


def _score(
    plugin: Any, on: Subject, case: ExplainedSubject, reference: ExplainedSubject | None, groups: Sequence[Sequence[Instance]]
) -> Scores:
    matched = None if reference is None else reference.shown(groups)
    scores = plugin.score(on.model, case.shown(groups), matched)
    if not isinstance(scores, Scores):
        raise BrokenPromise(f"score() must return Scores, got {type(scores).__name__}.")
    return scores


def _on_case(
    plugin: Any, on: Subject, case: ExplainedSubject, reference: ExplainedSubject | None, scores: Scores, before: str
) -> Checks:
    """What must hold of the scores of one kind of explanation, whose digest was `before`."""
    every = on.instances

    def same(groups: Sequence[Sequence[Instance]], tolerance: float) -> None:
        _demand_same(scores, _score(plugin, on, case, reference, groups), tolerance)

    return [
        ("rows of the right form", lambda: _formed(plugin, scores, every)),
        ("values within the bounds, NaN with a reason", lambda: _bounded(plugin, scores)),
        ("the ranked variant is there", lambda: _ranked(plugin, scores)),
        ("the same a second time", lambda: same([every], 0)),
        ("the same in batches of one", lambda: same([[i] for i in every], on.tolerance)),
        ("the same in any order", lambda: same([every[::-1]], on.tolerance)),
        ("explanations unchanged", lambda: require(case.digest() == before, "the explanations it was shown were changed.")),
    ]


def _formed(plugin: Any, scores: Scores, every: Sequence[Instance]) -> None:
    rows, known = scores.rows, {i.id for i in every}
    types = {name: str(rows[name].dtype) for name in COLUMNS}
    require(types == COLUMNS, f"the columns have the types {types}, expected {COLUMNS}: use frame().")
    repeated = rows.duplicated(["instance", "variant", "draw"])
    require(not repeated.any(), f"{int(repeated.sum())} rows are there twice, first {rows[repeated].head(1).to_dict('records')}.")
    scored = set(rows["instance"])
    require(scored <= known, f"it scored {sorted(scored - known)}, which it was not shown.")
    if plugin.scope == "instance":
        require(scored == known, f"it left out {sorted(known - scored)}; a score that is not defined is NaN with a reason.")
    else:
        require(bool(len(rows) or scores.aggregates), "it gave neither rows nor aggregates.")


def _named(plugin: Any, scores: Scores) -> str:
    """The ranked variant: the declared one, else the first."""
    names = [*scores.rows["variant"], *(a.variant for a in scores.aggregates)]
    return getattr(plugin, "ranked", "") or (str(names[0]) if names else "")


def _bounded(plugin: Any, scores: Scores) -> None:
    name, (low, high) = _named(plugin, scores), plugin.bounds
    rows = scores.rows
    missing = rows["value"].isna() & (rows["reason"].fillna("") == "")
    require(not missing.any(), f"{int(missing.sum())} values are NaN without a reason.")
    values = [*rows["value"][rows["variant"] == name], *(a.value for a in scores.aggregates if a.variant == name)]
    for value in values:
        if not np.isnan(value):
            require((low is None or value >= low) and (high is None or value <= high), f"{value} is outside {plugin.bounds}.")


def _ranked(plugin: Any, scores: Scores) -> None:
    name = _named(plugin, scores)
    known = {*scores.rows["variant"], *(a.variant for a in scores.aggregates)}
    require(name in known, f"the ranked variant {name!r} is not among {sorted(known)}.")


def _demand_same(one: Scores, two: Scores, tolerance: float) -> None:
    keys = ["instance", "variant", "draw"]
    left, right = (s.rows.set_index(keys)["value"].sort_index() for s in (one, two))
    require(left.index.equals(right.index), f"{len(left)} rows became {len(right)}, or others.")
    _demand_close(left, right, tolerance)
    means = [pd.Series({a.variant: a.value for a in s.aggregates}, dtype=float).sort_index() for s in (one, two)]
    require(means[0].index.equals(means[1].index), f"the aggregates {list(means[0].index)} became {list(means[1].index)}.")
    _demand_close(means[0], means[1], tolerance)


def _demand_close(left: pd.Series, right: pd.Series, tolerance: float) -> None:
    apart = (left.isna() != right.isna()) | ((left - right).abs() > tolerance * left.abs().clip(lower=1.0))
    if apart.any():
        name = apart.idxmax()
        raise BrokenPromise(f"{int(apart.sum())} values differ, first {name}: {left[name]} and then {right[name]}.")
