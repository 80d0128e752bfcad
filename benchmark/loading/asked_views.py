"""Views that no metric of a run reads are not computed, where a setting of the method leaves them out (ADR 33)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...core.errors import UsageError
from ...core.registry import settings
from ...methods.explanation import VIEWS
from ...methods.registry import METHODS
from ..store.mending import spec_text
from .model_defaults import rebuilt

WORDS = frozenset({"tokens"})
"""What metrics that declare `tokens` read; any other may read every view, since views are derived from each other."""


def without_unread_views(method: Any, metrics: Sequence[Any]) -> Any:
    """A method that leaves out what no metric of a run reads, so that its key says what was computed.

    A Boolean setting that has the name of a view decides whether the method computes it. Where all metrics read words, it becomes
    false if it is true by default and the method scores words without it. What a user sets stays, and so does a method that was
    built in Python. Nothing is left out in a run without metrics, which stores explanations to be scored later, nor where a
    metric is matched to another method's budget, since it reads explanations of several methods.

    Args:
        method: The method.
        metrics: The metrics of the run.
    """
    given = getattr(method, "flowgauge_given", None)
    if given is None or not metrics or any(metric.reads not in WORDS or metric.reference for metric in metrics):
        return method
    for name, chosen in settings(method).items():
        if name in VIEWS and chosen is True and name not in given:
            smaller = rebuilt(method, {name: False})
            if smaller.gives < method.gives and WORDS & method.gives <= smaller.gives:
                method = smaller
    return method


def remedy(metric: Any, settings: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """How to get views that a metric reads and a cell was explained without, as a sentence; empty where it has all of them.

    Args:
        metric: The metric, which is not applicable to the cell.
        settings: Settings of the cell's method, as its key has them.
        asked: What the method was asked for by, as a plan names it: its name, and the settings that were given.

    >>> from types import SimpleNamespace
    >>> remedy(SimpleNamespace(reads="mask"), {"nodes": False}, {"name": "ib-attribution"})
    'The cell was explained without nodes: explain it with them by `flowgauge run` with --method ib-attribution:nodes=true.'
    """
    lacking = [name for name in VIEWS if settings.get(name) is False]
    if not lacking:
        return ""
    wanted = {**{name: value for name, value in asked.items() if name not in lacking}, **dict.fromkeys(lacking, True)}
    try:
        lost = METHODS.create(wanted).gives - METHODS.create({**wanted, **dict.fromkeys(lacking, False)}).gives
    except UsageError:  # a user's own method whose file is elsewhere now
        return ""
    if metric.reads not in lost and not (metric.reads == "nodes" and lost & {"flows", "patterns"}):
        return ""
    how = f"explain it with them by `flowgauge run` with --method {spec_text(wanted)}."
    return f"The cell was explained without {', '.join(lacking)}: {how}"
