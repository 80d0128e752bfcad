"""Cells that may stand in one table: same model, same instances, same question. No torch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...benchmark.store.key import question
from ...benchmark.store.record import Record, Score
from ...metrics.scores import Aggregate


@dataclass(frozen=True)
class ComparableCells:
    """Cells of one model on the same instances of one task.

    Attributes:
        model: As in the records; where one name stands for several checkpoints or dtypes, with what tells them apart.
        task: As in the records.
        labels: One a record: the method's name, with what tells it from the others of that name.
        records: In the store's order.
        instances: How many were explained (the largest count of its cells).
        note: What was asked for beside the defaults, such as `limit 40`.
    """

    model: str
    task: str
    labels: tuple[str, ...]
    records: tuple[Record, ...]
    instances: int
    note: str

    def by_label(self) -> dict[str, Record]:
        """Records by label, in order."""
        return dict(zip(self.labels, self.records, strict=True))

    def methods(self) -> tuple[str, ...]:
        """One label a record, the same for cells that differ in their seed alone."""
        return self._methods

    @cached_property
    def _methods(self) -> tuple[str, ...]:
        return _named([r.model_copy(update={"seed": None}) for r in self.records])

    def of_method(self, name: str) -> Record | None:
        """The method's first cell, its default settings preferred where the label is the plain name; None where there is none."""
        found = [r for r in self.records if r.method == name]
        plain = [r for label, r in self.by_label().items() if label == name]
        return next(iter(plain or found), None)


def groups(records: Sequence[Record]) -> list[ComparableCells]:
    """Cells grouped by everything in their key but method and seed, in order of model, task and size."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(_question(record), []).append(record)
    kinds = {(r.model, *_checkpoint(r)) for r in records}
    shared = {name for name, count in Counter(model for model, *_ in kinds).items() if count > 1}
    made = [_group(members, members[0].model in shared) for members in found.values()]
    return sorted(made, key=lambda g: (g.model, g.task, -g.instances, g.note))


def find_score(record: Record, metric: str) -> Score | None:
    """The record's score of a metric by identity, or by plain name: default settings before others, then the latest version."""
    found = [s for s in record.scores.values() if metric in (s.name, s.metric)]
    return max(found, key=lambda s: (s.metric == f"{s.name}@{s.version}", s.version), default=None)


def find_aggregate(record: Record, metric: str, variant: str) -> Aggregate | str:
    """An aggregate, or the reason why there is none (undefined values have one too)."""
    score = find_score(record, metric)
    if record.status in ("failed", "not-applicable"):
        return record.error or record.status
    if score is None:
        return f"not scored with {metric}"
    if score.status != "done":
        return score.reason or score.status
    found = score.aggregate(variant)
    if found is None:
        return f"{metric} has no variant {variant}"
    return found if found.value == found.value else found.reason or "undefined for every instance"


def _question(record: Record) -> str:
    return json.dumps([record.model, record.task, question(record.key)], sort_keys=True, default=str)


def _checkpoint(record: Record) -> tuple[str, str]:
    return str(record.key.get("fingerprint", ""))[:6], str(record.key.get("dtype", ""))


def _group(members: Sequence[Record], shared: bool) -> ComparableCells:
    first = members[0]
    model = f"{first.model} ({' '.join(filter(None, _checkpoint(first)))})" if shared else first.model
    return ComparableCells(
        model, first.task, _labels(members), tuple(members), max(r.instances for r in members), _note(first.key)
    )


def _note(key: dict[str, Any]) -> str:
    """What differs from a plain run on the whole test split."""
    task = key.get("task") or {}
    parts = []
    if task.get("split", "test") != "test":
        parts.append(f"split {task['split']}")
    if task.get("limit") is not None:
        parts.append(f"limit {task['limit']}")
    if task.get("sample_seed"):
        parts.append(f"sample seed {task['sample_seed']}")
    if key.get("max_tokens") is not None:
        parts.append(f"at most {key['max_tokens']} tokens")
    if key.get("dtype", "float32") != "float32":
        parts.append(str(key["dtype"]))
    return ", ".join(parts)


def _labels(members: Sequence[Record]) -> tuple[str, ...]:
    """Method names, with the settings that tell cells of one method apart, and at last the cell's own digits."""
    labels = _named(members)
    count = Counter(labels)
    pairs = zip(labels, members, strict=True)
    return tuple(label if count[label] == 1 else f"{label} #{record.cell[:6]}" for label, record in pairs)


def _named(members: Sequence[Record]) -> tuple[str, ...]:
    """Method names, with the settings (seed included) in which cells of one method differ."""
    of_method: dict[str, list[dict[str, Any]]] = {}
    for record in members:
        of_method.setdefault(record.method, []).append({"seed": record.seed, **record.settings})
    differs = {method: _differing(asked) for method, asked in of_method.items()}
    return tuple(_label(record, differs[record.method]) for record in members)


def _differing(asked: Sequence[dict[str, Any]]) -> set[str]:
    """Names of the settings that have several values."""
    if len(asked) == 1:
        return set()
    names = dict.fromkeys(name for one in asked for name in one)
    return {name for name in names if len({str(one.get(name)) for one in asked}) > 1}


def _label(record: Record, differs: set[str]) -> str:
    asked = {"seed": record.seed, **record.settings}
    named = ",".join(f"{name}={value}" for name, value in asked.items() if name in differs)
    return f"{record.method}:{named}" if named else record.method
