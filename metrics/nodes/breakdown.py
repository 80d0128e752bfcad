"""Score rows by condition and by lexical item."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from ...core.errors import UsageError
from ...tasks.instance import Instance
from ..summary import summarise

_BETWEEN = "\n"


def by_condition(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean, 95 % interval and count of every variant in every condition: columns variant, condition, value, low, high, count."""
    return _split(rows, "condition", lambda table: table["condition"])


def by_item(rows: pd.DataFrame, instances: Sequence[Instance], slot: str) -> pd.DataFrame:
    """Mean, 95 % interval and count of every variant for every lexical item of a slot.

    For one condition, give its rows alone. Columns variant, item, value, low, high, count.

    Args:
        rows: Score rows of any metric.
        instances: The task's instances, whose `truth` holds the items.
        slot: Name of the slot, such as `EVERB`.

    Raises:
        UsageError: An instance has no such slot, or a scored instance is not among `instances`.
    """
    items: dict[str, str] = {}
    for instance in instances:
        if slot not in instance.truth:
            raise UsageError(f"instance {instance.id!r} has no item for {slot!r}; it has {', '.join(instance.truth) or 'none'}.")
        items[instance.id] = str(instance.truth[slot])
    unknown = set(rows["instance"]) - set(items)
    if unknown:
        raise UsageError(f"{len(unknown)} scored instances are not among those given, first {min(unknown)!r}.")
    return _split(rows, "item", lambda table: table["instance"].map(items))


def _split(rows: pd.DataFrame, name: str, part: Callable[[pd.DataFrame], pd.Series]) -> pd.DataFrame:
    """Summarises the rows with each variant split into parts."""
    split = rows.assign(variant=rows["variant"].astype(str) + _BETWEEN + part(rows).astype(str))
    summaries = [(*a.variant.split(_BETWEEN), a.value, a.low, a.high, a.count) for a in summarise(split)]
    table = pd.DataFrame(summaries, columns=["variant", name, "value", "low", "high", "count"])
    return table.sort_values(["variant", name], kind="stable", ignore_index=True)
