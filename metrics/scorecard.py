"""The scorecard: the metrics that score methods where a plan names none, chosen by the views that the methods give."""

from __future__ import annotations

from collections.abc import Collection, Iterable

_WORDS = frozenset({"tokens", "mask"})
_NODES = frozenset({"nodes", "patterns", "flows", "edges", "mask"})
_HEADS = frozenset({"heads", "units", "edges", "circuit"})
_CIRCUITS = frozenset({"circuit"})
_ANY = _WORDS | _NODES | _HEADS

SCORECARD: dict[str, dict[str, frozenset[str]]] = {
    "faithfulness of words": {"comprehensiveness": _WORDS, "sufficiency": _WORDS, "loo_correlation": _WORDS},
    "faithfulness of nodes and heads": {
        "retention_curve": _NODES | _HEADS, "deletion_curve": _NODES | _HEADS, "ablated_accuracy": _NODES, "head_pruning": _HEADS,
    },
    "faithfulness of circuits": {"circuit_performance": _CIRCUITS, "circuit_distance": _CIRCUITS},
    "truth, where the task knows it": {"pointing": _WORDS, "ground_truth": _NODES | _WORDS},
    "promises": {"completeness_error": _WORDS, "repeatability": _ANY},
}  # fmt: skip
"""Metrics by group, each with the views of which it needs one."""

OPERATOR_PANEL = "ablated_accuracy"
"""The metric that is shown under every ablation operator, since verdicts depend on it."""
OPERATORS = ("mean", "resample", "mask", "cut")
"""What replaces ablated states in the panel, beside the metric's default."""
SHIFT = "ablation_shift"
"""The metric that says how far the states of reduced models lie from clean ones, beside the scores of these models."""
PLANTED = "planted/"
"""Tasks whose models have a path that is known: only there does `ground_truth` score anything."""


def metrics_for(views: Iterable[Collection[str]], tasks: Iterable[str]) -> tuple[str, ...]:
    """The metrics of the scorecard that score one of the methods or more, with the operator panel, and `SHIFT` beside ablations.

    Args:
        views: What each method gives.
        tasks: Names of the tasks.

    >>> metrics_for([{"heads"}], ["sva/obj"])
    ('retention_curve', 'deletion_curve', 'head_pruning', 'repeatability')
    """
    given = set().union(*views)
    planted = any(task.startswith(PLANTED) for task in tasks)
    every = {name: readable for group in SCORECARD.values() for name, readable in group.items()}
    names = [name for name, readable in every.items() if given & readable and (planted or name != "ground_truth")]
    panel = [f"{OPERATOR_PANEL}:operator={operator}" for operator in OPERATORS if OPERATOR_PANEL in names]
    return (*names, *panel, *([SHIFT] if given & _NODES else []))
