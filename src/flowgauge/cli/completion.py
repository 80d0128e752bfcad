"""Names that the shell completes: of methods, metrics, tasks and models. Only the lists of names are loaded, and no torch."""

from __future__ import annotations

from collections.abc import Iterable


def complete_method(incomplete: str) -> list[str]:
    """Names of methods that begin with what was typed."""
    from ..methods.registry import METHODS

    return _beginning(incomplete, METHODS.entries())


def complete_metric(incomplete: str) -> list[str]:
    """Names of metrics that begin with what was typed."""
    from ..metrics.registry import METRICS

    return _beginning(incomplete, METRICS.entries())


def complete_task(incomplete: str) -> list[str]:
    """Names of tasks that begin with what was typed."""
    from ..tasks.registry import TASKS

    return _beginning(incomplete, TASKS.entries())


def complete_model(incomplete: str) -> list[str]:
    """Names of models that begin with what was typed, of those that come with the package or are built by it."""
    from ..models.registry import MODELS
    from ..models.zoo import SUMMARIES

    return _beginning(incomplete, [*SUMMARIES, *MODELS.entries()])


def complete_name(incomplete: str) -> list[str]:
    """Names of any kind that begin with what was typed."""
    every = (complete_method, complete_metric, complete_task, complete_model)
    return [name for complete in every for name in complete(incomplete)]


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
