"""Checks the promises of a metric that compares cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...core.errors import FlowgaugeError, NotApplicable
from ...core.foreign_code import foreign_code, source_file
from ...methods.explanation import Explanation
from ...metrics.scores import Aggregate, ExplainedCell
from ...tasks.instance import Instance
from .finding import Finding, prefixed, require, run_checks
from .subject import digest


def pair_findings(
    plugin: Any,
    instances: Sequence[Instance],
    cases: Mapping[str, Mapping[str, Explanation]],
    tolerance: float,
    changed: list[str],
) -> tuple[list[Finding], list[str]]:
    """Checks a metric on pairs of cells: of the same instances if it compares seeds, else each of every second instance.

    Args:
        plugin: The metric.
        instances: The explained instances.
        cases: Explanations by instance, by the name of what explained them.
        tolerance: The largest relative difference between scores that should be equal.
        changed: Takes the names of settings of the process that the metric left changed.

    Returns:
        The findings, and the names of the explanations that the metric applies to.
    """
    findings, applied = list[Finding](), list[str]()
    for name, gold in cases.items():
        before = digest([*gold.values()])
        try:
            with foreign_code("compare", source_file(plugin) or "", changed):
                aggregates = _compare(plugin, instances, gold)
        except NotApplicable as reason:
            findings.append(Finding(f"{name}: applies", True, f"not applicable: {reason}"))
        except FlowgaugeError as error:
            findings.append(Finding(f"{name}: compares", False, str(error)))
        else:
            applied.append(name)
            findings += prefixed(name, run_checks(_checks(plugin, instances, gold, aggregates, before, tolerance), changed))
    return findings, applied


def _compare(
    plugin: Any, instances: Sequence[Instance], gold: Mapping[str, Explanation], backwards: bool = False
) -> tuple[Aggregate, ...]:
    cells = []
    halves = (instances, instances) if getattr(plugin, "across", "tasks") == "seeds" else (instances[::2], instances[1::2])
    for members in halves:
        order = members[::-1] if backwards else members
        names, conditions = tuple(i.id for i in order), tuple(i.condition for i in order)
        clusters = tuple(i.cluster for i in order)
        cells.append(ExplainedCell(names, conditions, [gold[name] for name in names], clusters))
    return tuple(plugin.compare(*cells))


def _checks(
    plugin: Any,
    instances: Sequence[Instance],
    gold: Mapping[str, Explanation],
    aggregates: Sequence[Aggregate],
    before: str,
    tolerance: float,
) -> list[tuple[str, Callable[[], str | None]]]:
    """What must hold of the aggregates of one kind of explanation, whose digest was `before`."""
    values = {a.variant: a.value for a in aggregates}

    def require_form() -> None:
        require(bool(aggregates) and all(isinstance(a, Aggregate) for a in aggregates), "compare() must return Aggregates.")
        require(len(values) == len(aggregates), "a variant is there twice.")
        unexplained = [a.variant for a in aggregates if np.isnan(a.value) and not a.reason]
        require(not unexplained, f"{', '.join(unexplained)} are NaN without a reason.")

    def require_bounds() -> None:
        value, (low, high) = values.get(plugin.ranked, np.nan), plugin.bounds
        inside = np.isnan(value) or ((low is None or value >= low) and (high is None or value <= high))
        require(bool(inside), f"{value} is outside {plugin.bounds}.")

    def require_same(backwards: bool, tolerance: float) -> None:
        repeated = {a.variant: a.value for a in _compare(plugin, instances, gold, backwards)}
        require(repeated.keys() == values.keys(), f"the variants {list(values)} became {list(repeated)}.")
        for name, value in values.items():
            close = np.isclose(repeated[name], value, rtol=tolerance, atol=tolerance, equal_nan=True)
            require(bool(close), f"{name} was {value} and then {repeated[name]}.")

    return [
        ("aggregates of the right form", require_form),
        ("values within the bounds", require_bounds),
        ("the ranked variant is there", lambda: require(plugin.ranked in values, f"{plugin.ranked!r} is not there.")),
        ("the same a second time", lambda: require_same(False, 0)),
        ("the same in any order", lambda: require_same(True, tolerance)),
        ("explanations unchanged", lambda: require(digest([*gold.values()]) == before, "they were changed.")),
    ]
