"""The promises of a metric of scope `cells`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...core.errors import NotApplicable
from ...methods.explanation import Explanation
from ...metrics.scores import Aggregate, ExplainedCell
from ...tasks.instance import Instance
from .finding import Finding, require, run_checks
from .subject import digest


def pair_findings(
    plugin: Any, instances: Sequence[Instance], cases: Mapping[str, Mapping[str, Explanation]], tolerance: float
) -> tuple[list[Finding], list[str]]:
    """The findings on two cells, of every second instance or of equal ones, and the explanations that the metric applies to."""
    found, applied = list[Finding](), list[str]()
    for name, gold in cases.items():
        before = digest([*gold.values()])
        try:
            first = _compare(plugin, instances, gold)
        except NotApplicable as reason:
            found.append(Finding(f"{name}: applies", True, f"not applicable: {reason}"))
        except Exception as error:  # shown to the plug-in's author
            found.append(Finding(f"{name}: compares", False, f"{type(error).__name__}: {error}"))
        else:
            applied.append(name)
            checks = _checks(plugin, instances, gold, first, before, tolerance)
            found += [Finding(f"{name}: {f.check}", f.ok, f.detail) for f in run_checks(checks)]
    return found, applied


def _compare(
    plugin: Any, instances: Sequence[Instance], gold: Mapping[str, Explanation], backwards: bool = False
) -> tuple[Aggregate, ...]:
    cells = []
    halves = (instances, instances) if getattr(plugin, "across", "tasks") == "seeds" else (instances[::2], instances[1::2])
    for members in halves:
        order = members[::-1] if backwards else members
        names, conditions = tuple(i.id for i in order), tuple(i.condition for i in order)
        cells.append(ExplainedCell(names, conditions, [gold[name] for name in names]))
    return tuple(plugin.compare(*cells))


def _checks(
    plugin: Any,
    instances: Sequence[Instance],
    gold: Mapping[str, Explanation],
    first: Sequence[Aggregate],
    before: str,
    near: float,
) -> list[tuple[str, Callable[[], str | None]]]:
    values = {a.variant: a.value for a in first}

    def formed() -> None:
        require(bool(first) and all(isinstance(a, Aggregate) for a in first), "compare() must return Aggregates.")
        require(len(values) == len(first), "a variant is there twice.")
        unexplained = [a.variant for a in first if np.isnan(a.value) and not a.reason]
        require(not unexplained, f"{', '.join(unexplained)} are NaN without a reason.")

    def bounded() -> None:
        value, (low, high) = values.get(plugin.ranked, np.nan), plugin.bounds
        inside = np.isnan(value) or ((low is None or value >= low) and (high is None or value <= high))
        require(bool(inside), f"{value} is outside {plugin.bounds}.")

    def same(backwards: bool, tolerance: float) -> None:
        again = {a.variant: a.value for a in _compare(plugin, instances, gold, backwards)}
        require(again.keys() == values.keys(), f"the variants {list(values)} became {list(again)}.")
        for name, value in values.items():
            close = np.isclose(again[name], value, rtol=tolerance, atol=tolerance, equal_nan=True)
            require(bool(close), f"{name} was {value} and then {again[name]}.")

    return [
        ("aggregates of the right form", formed),
        ("values within the bounds", bounded),
        ("the ranked variant is there", lambda: require(plugin.ranked in values, f"{plugin.ranked!r} is not there.")),
        ("the same a second time", lambda: same(False, 0)),
        ("the same in any order", lambda: same(True, near)),
        ("explanations unchanged", lambda: require(digest([*gold.values()]) == before, "they were changed.")),
    ]
