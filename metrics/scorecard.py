"""The scorecard: the metrics that score methods where a plan names none, chosen by the views that the methods give."""

from __future__ import annotations

from collections.abc import Collection, Iterable

_WORDS = frozenset({"tokens", "mask"})
_NODES = frozenset({"nodes", "patterns", "flows", "edges", "mask"})
_HEADS = frozenset({"heads", "units", "edges"})

SCORECARD: dict[str, dict[str, frozenset[str]]] = {
    "faithfulness of words": {"comprehensiveness": _WORDS, "sufficiency": _WORDS, "loo_correlation": _WORDS},
    "faithfulness of nodes and heads": {
        "retention_curve": _NODES | _HEADS, "deletion_curve": _NODES | _HEADS, "ablated_accuracy": _NODES, "head_pruning": _HEADS,
    },
    "truth, where the task knows it": {"pointing": _WORDS, "ground_truth": _NODES | _WORDS},
    "promises": {"completeness_error": _WORDS},
}  # fmt: skip
"""Metrics by group, each with the views of which it needs one."""

PLANTED = "planted/"
"""Tasks whose models have a path that is known: only there does `ground_truth` score anything."""


def metrics_for(views: Iterable[Collection[str]], tasks: Iterable[str]) -> tuple[str, ...]:
    """The metrics of the scorecard that score one of the methods or more.

    Args:
        views: What each method gives.
        tasks: Names of the tasks.

    >>> metrics_for([{"heads"}], ["sva/obj"])
    ('retention_curve', 'deletion_curve', 'head_pruning')
    """
    given = set().union(*views)
    planted = any(task.startswith(PLANTED) for task in tasks)
    every = {name: readable for group in SCORECARD.values() for name, readable in group.items()}
    return tuple(name for name, readable in every.items() if given & readable and (planted or name != "ground_truth"))
