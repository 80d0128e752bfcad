"""The data of the pages on which two methods are compared sentence by sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..comparison.task_boards import RankedTable, TaskBoard
from .formatting import short


def paired_scores(task_board: TaskBoard, browsed: Mapping[str, Any] | None) -> dict[str, Any]:
    """Every method's score of every instance, by metric, with the tested difference of each pair.

    Args:
        task_board: The tables of a task.
        browsed: The data of the instances whose explanations are shown (`InstanceBrowser.as_data`); None: there are none.

    Returns:
        `instances`: id and condition of each; of those that are shown also the tokens, and the word scores of each method that
        has some. `metrics`: of each table its name, unit and direction, the methods, their
        scores by instance (null where undefined), and of each pair of methods, in the order of `itertools.combinations`, the
        difference (first less second), the ends of its interval and its corrected p-value.
    """
    known = {
        name: condition
        for table in task_board.tables.values()
        for name, condition in zip(table.comparison.scores.instances, table.comparison.scores.conditions, strict=True)
    }
    shown = {} if browsed is None else {instance["id"]: instance for instance in browsed["instances"]}
    instances = [{"id": name, "condition": condition, **_words(shown.get(name))} for name, condition in sorted(known.items())]
    return {"instances": instances, "metrics": [_metric(name, table, list(known)) for name, table in task_board.tables.items()]}


def _words(shown: Mapping[str, Any] | None) -> dict[str, Any]:
    if shown is None:
        return {}
    return {"tokens": shown["tokens"], "words": {m["label"]: m["tokens"] for m in shown["methods"] if "tokens" in m}}


def _metric(name: str, table: RankedTable, known: list[str]) -> dict[str, Any]:
    comparison = table.comparison
    scores, methods = comparison.scores, [row.label for row in table.rows]
    place = {instance: column for column, instance in enumerate(scores.instances)}
    columns = [place.get(instance) for instance in sorted(known)]
    values = {method: scores.values[scores.methods.index(method)] for method in methods}
    pairs = []
    for index, one in enumerate(methods):
        for other in methods[index + 1 :]:
            pair = comparison.by_pair[frozenset((one, other))]
            pair = pair if pair.one == one else pair.swapped()
            pairs.append([short(x) for x in (pair.value, pair.low, pair.high, pair.p_holm)])
    return {
        "name": name, "unit": comparison.unit, "higher": scores.higher_is_better, "methods": methods, "pairs": pairs,
        "shared": int(scores.common.sum()),
        "scores": [[None if column is None else short(values[m][column], 8) for column in columns] for m in methods],
    }  # fmt: skip
