"""Views that no metric of a run reads are not computed, where a setting of the method leaves them out (ADR 33)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...core.registry import settings
from ...methods.explanation import VIEWS
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


def remedy(metric: Any, method: str, settings: Mapping[str, Any]) -> str:
    """How to get views that a metric reads and a cell was explained without, as a sentence; empty where it has all of them.

    Args:
        metric: The metric, which is not applicable to the cell.
        method: Name of the cell's method.
        settings: Settings of the method.

    >>> from types import SimpleNamespace
    >>> remedy(SimpleNamespace(reads="nodes"), "integrated-gradients", {"nodes": False})
    'The cell was explained without nodes: explain it with them by `flowgauge run` with --method integrated-gradients:nodes=true.'
    """
    lacking = [name for name in VIEWS if settings.get(name) is False]
    if not lacking or metric.reads not in {"nodes", *lacking}:
        return ""
    spec = f"{method}:{','.join(f'{name}=true' for name in lacking)}"
    return f"The cell was explained without {', '.join(lacking)}: explain it with them by `flowgauge run` with --method {spec}."
