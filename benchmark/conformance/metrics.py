"""Checks the promises of a metric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import numpy as np
import pandas as pd

from ...core.errors import FlowgaugeError, NotApplicable
from ...core.foreign_code import foreign_code, source_file
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
from .declaration import require_declared, require_described, require_settings, under_test
from .finding import UNCHANGED, BrokenPromise, Finding, prefixed, require, run_checks
from .random_explanations import random_explanations
from .subject import Subject, digest, subject

Checks = list[tuple[str, Callable[[], str | None]]]
EXPLAINERS = ("influence-patterns:samples=8", "attention", "random:draws=2")


@dataclass(frozen=True, eq=False)
class ExplainedSubject:
    """Instances with their explanations, which are given to a metric in batches of any size and order.

    Attributes:
        sample: The model and the instances.
        gold: Explanations of the gold answers, by instance.
        predicted: Explanations of the predicted answers, by instance.
        explain: As of an `ExplainedBatch`; None where that is not possible.
    """

    sample: Subject
    gold: dict[str, Explanation]
    predicted: dict[str, Explanation]
    explain: Callable[..., list[Explanation]] | None = None

    def batches(self, groups: Sequence[Sequence[Instance]]) -> list[ExplainedBatch]:
        """One explained batch for each group of instances."""
        batches = []
        for group in groups:
            batch, names = self.sample.batch(group), [instance.id for instance in group]
            gold, predicted = (tuple(by_name[name] for name in names) for by_name in (self.gold, self.predicted))
            predicted_batch = relabel(self.sample.model, batch)
            batches.append(ExplainedBatch(batch, predicted_batch, tuple(group), gold, predicted, self.explain))
        return batches

    def digest(self) -> str:
        """Sha256, in hexadecimal, of every array of the explanations of gold and of predicted answers, in the order of instances.

        It differs before and after a metric that writes into an explanation it was shown.
        """
        return digest([*self.gold.values(), *self.predicted.values()])


def check_metric(plugin: Any, model: FlowModel | None = None, instances: Sequence[Instance] | None = None) -> list[Finding]:
    """Checks that a metric keeps the promises of `metrics.base.Metric`.

    It scores explanations of a few methods, and random ones that have every view that a metric can read.

    Args:
        plugin: A name with settings, a class or decorated function, or a metric object.
        model: The model that was explained; None: the embedded one in float64.
        instances: Sentences of different lengths; None: agreement sentences.

    Returns:
        One finding a promise, on each kind of explanation.
    """
    tested = under_test(METRICS, plugin, "score" if hasattr(plugin, "score") else "compare")
    checks: Checks = [
        ("declared", lambda: _require_declared(tested.plugin)),
        ("described", lambda: require_described(tested)),
        ("settings can be read back", lambda: require_settings(tested)),
    ]
    changed: list[str] = []
    findings = run_checks(checks, changed)
    if not findings[0].ok:
        return findings
    sample = subject(model, instances)
    scored, applied = _score_cases(tested.plugin, sample, changed)
    if not applied and instances is None:  # some metrics compare the same position in sentences of one template
        more, applied = _score_cases(tested.plugin, subject(model, load_task("sva/obj").instances("test", 4, 0)), changed)
        scored += more
    findings += scored
    findings.append(Finding("applies to some explanation", bool(applied), f"applied to {', '.join(applied) or 'nothing'}"))
    return findings + run_checks([(UNCHANGED, lambda: sample.require_unchanged(changed))])


def _score_cases(plugin: Any, sample: Subject, changed: list[str]) -> tuple[list[Finding], list[str]]:
    """The findings on every kind of explanation, and the kinds that the metric applies to."""
    findings, applied, cases = list[Finding](), list[str](), _cases(sample, plugin)
    if plugin.scope == "cells":
        return pair_findings(
            plugin, sample.instances, {name: case.gold for name, case in cases.items()}, sample.tolerance, changed
        )
    reference = cases[plugin.reference] if plugin.reference else None
    for name, case in cases.items():
        before = case.digest()
        try:
            with foreign_code("score", source_file(plugin) or "", changed):
                scores = _score(plugin, case, reference, [sample.instances])
        except NotApplicable as reason:
            findings.append(Finding(f"{name}: applies", True, f"not applicable: {reason}"))
        except FlowgaugeError as error:
            findings.append(Finding(f"{name}: scores", False, str(error)))
        else:
            applied.append(name)
            findings += prefixed(name, run_checks(_case_checks(plugin, case, reference, scores, before), changed))
    return findings, applied


def _require_declared(plugin: Any) -> None:
    def in_order(bounds: Any) -> bool:
        low, high = bounds
        return low is None or high is None or low <= high

    require_declared(
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


def _cases(sample: Subject, plugin: Any) -> dict[str, ExplainedSubject]:
    """Explanations by the name of what explained: random ones, a few methods, and the method of the metric's budget."""
    cases = {"random explanations": ExplainedSubject(sample, *random_explanations(sample))}
    for name in dict.fromkeys((*EXPLAINERS, *filter(None, [plugin.reference]))):
        method = METHODS.create(name)
        part = explain_batch(sample.model, method, prepare(sample.model, sample.batch(), sample.instances), 0)
        ids = [instance.id for instance in sample.instances]
        gold, predicted = (dict(zip(ids, explanations, strict=True)) for explanations in (part.gold, part.predicted))
        cases[name] = ExplainedSubject(sample, gold, predicted, partial(_explain_again, method, sample.model))
    return cases


def _explain_again(method: Any, model: FlowModel, batch: Batch, other: FlowModel | None = None) -> list[Explanation]:
    explanations: list[Explanation] = method.explain(other or model, batch)
    return explanations


def _score(
    plugin: Any, case: ExplainedSubject, reference: ExplainedSubject | None, groups: Sequence[Sequence[Instance]]
) -> Scores:
    reference_batches = None if reference is None else reference.batches(groups)
    scores = plugin.score(case.sample.model, case.batches(groups), reference_batches)
    if not isinstance(scores, Scores):
        raise BrokenPromise(f"score() must return Scores, got {type(scores).__name__}.")
    return scores


def _case_checks(plugin: Any, case: ExplainedSubject, reference: ExplainedSubject | None, scores: Scores, before: str) -> Checks:
    """What must hold of the scores of one kind of explanation, whose digest was `before`."""
    instances, tolerance = case.sample.instances, case.sample.tolerance

    def require_same(groups: Sequence[Sequence[Instance]], tolerance: float) -> None:
        _require_equal_scores(scores, _score(plugin, case, reference, groups), tolerance)

    return [
        ("rows of the right form", lambda: _require_form(plugin, scores, instances)),
        ("values within the bounds, NaN with a reason", lambda: _require_bounds(plugin, scores)),
        ("the ranked variant is there", lambda: _require_ranked(plugin, scores)),
        ("the same a second time", lambda: require_same([instances], 0)),
        ("the same in batches of one", lambda: require_same([[instance] for instance in instances], tolerance)),
        ("the same in any order", lambda: require_same([instances[::-1]], tolerance)),
        ("explanations unchanged", lambda: require(case.digest() == before, "the explanations it was shown were changed.")),
    ]


def _require_form(plugin: Any, scores: Scores, instances: Sequence[Instance]) -> None:
    rows, known = scores.rows, {instance.id for instance in instances}
    types = {name: str(rows[name].dtype) for name in COLUMNS}
    require(types == COLUMNS, f"the columns have the types {types}, expected {COLUMNS}: use frame().")
    repeated = rows.duplicated(["instance", "variant", "draw"])
    require(not repeated.any(), f"{int(repeated.sum())} rows are there twice, first {rows[repeated].head(1).to_dict('records')}.")
    scored = set(rows["instance"])
    require(scored <= known, f"it scored {sorted(scored - known)}, which are not among the instances that it was given.")
    if plugin.scope == "instance":
        require(scored == known, f"it left out {sorted(known - scored)}; a score that is not defined is NaN with a reason.")
    else:
        require(bool(len(rows) or scores.aggregates), "it gave neither rows nor aggregates.")


def _ranked(plugin: Any, scores: Scores) -> str:
    """The variant to rank by: the declared one, else the first."""
    names = [*scores.rows["variant"], *(a.variant for a in scores.aggregates)]
    return getattr(plugin, "ranked", "") or (str(names[0]) if names else "")


def _require_bounds(plugin: Any, scores: Scores) -> None:
    name, (low, high) = _ranked(plugin, scores), plugin.bounds
    rows = scores.rows
    missing = rows["value"].isna() & (rows["reason"].fillna("") == "")
    require(not missing.any(), f"{int(missing.sum())} values are NaN without a reason.")
    values = [*rows["value"][rows["variant"] == name], *(a.value for a in scores.aggregates if a.variant == name)]
    for value in values:
        if not np.isnan(value):
            require((low is None or value >= low) and (high is None or value <= high), f"{value} is outside {plugin.bounds}.")


def _require_ranked(plugin: Any, scores: Scores) -> None:
    name = _ranked(plugin, scores)
    known = {*scores.rows["variant"], *(a.variant for a in scores.aggregates)}
    require(name in known, f"the ranked variant {name!r} is not among {sorted(known)}.")


def _require_equal_scores(first: Scores, second: Scores, tolerance: float) -> None:
    keys = ["instance", "variant", "draw"]
    left, right = (scores.rows.set_index(keys)["value"].sort_index() for scores in (first, second))
    require(left.index.equals(right.index), f"{len(left)} rows became {len(right)}, or others.")
    _require_close(left, right, tolerance)
    means = [pd.Series({a.variant: a.value for a in scores.aggregates}, dtype=float).sort_index() for scores in (first, second)]
    require(means[0].index.equals(means[1].index), f"the aggregates {list(means[0].index)} became {list(means[1].index)}.")
    _require_close(means[0], means[1], tolerance)


def _require_close(left: pd.Series, right: pd.Series, tolerance: float) -> None:
    differs = (left.isna() != right.isna()) | ((left - right).abs() > tolerance * left.abs().clip(lower=1.0))
    if differs.any():
        name = differs.idxmax()
        raise BrokenPromise(f"{int(differs.sum())} values differ, first {name}: {left[name]} and then {right[name]}.")
