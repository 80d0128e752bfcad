"""Cells that may stand in one table: same model, same instances, same question."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ...benchmark.store.key import canonical, question, short_hash
from ...benchmark.store.record import EXPLAINED, Record, Score
from ...metrics.scores import Aggregate
from .records import shown_method


@dataclass(frozen=True)
class ComparableCells:
    """Cells of one model on the same instances of one task.

    Attributes:
        model: As in the records; where one name stands for several checkpoints or dtypes, with the fingerprint and dtype.
        task: As in the records.
        labels: One a record: the method's name, with the settings in which it differs from others of that name.
        records: In the store's order.
        instances: How many were explained (the largest count of its cells).
        note: Settings of the question that are not the defaults, such as `limit 40`.
        shown_settings: Settings that labels of a method have, because they differ among all cells of the model: so a method has
            one label in every group, whatever further cells one of them has. Methods that are not named here have none.
    """

    model: str
    task: str
    labels: tuple[str, ...]
    records: tuple[Record, ...]
    instances: int
    note: str
    shown_settings: Mapping[str, set[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What no other group has and no further cell changes: model and task, with 12 hex digits of the whole question."""
        first = self.records[0]
        return f"{first.model}/{first.task} #{short_hash(question(first.key))}"

    def by_label(self) -> dict[str, Record]:
        """The records by the labels that tables give them, in the order of the records."""
        return dict(zip(self.labels, self.records, strict=True))

    def methods(self) -> tuple[str, ...]:
        """One label a record, the same for cells that differ in their seed alone."""
        return self._methods

    @cached_property
    def _methods(self) -> tuple[str, ...]:
        names = [label(shown_method(r), r.settings, self.shown_settings.get(r.method, set())) for r in self.records]
        kinds = [_version(record) for record in self.records]
        versions: dict[str, dict[str, list[Record]]] = {}
        for name, kind, record in zip(names, kinds, self.records, strict=True):
            versions.setdefault(name, {}).setdefault(kind, []).append(record)
        labels: dict[tuple[str, str], str] = {}
        for name, cells_of in versions.items():
            for kind, cells in cells_of.items():
                labels[name, kind] = name if len(cells_of) == 1 else _with_digits(name, cells[0])
        # Two cells of one seed in all that is shown are no seeds of one method: each stands alone.
        twins = {(name, kind) for name, cells_of in versions.items() for kind, cells in cells_of.items() if _has_twins(cells)}
        return tuple(
            _with_digits(name, record) if (name, kind) in twins else labels[name, kind]
            for name, kind, record in zip(names, kinds, self.records, strict=True)
        )

    def by_method(self) -> dict[str, tuple[Record, ...]]:
        """Records by the label of their method: those that differ in their seed alone stand together."""
        grouped: dict[str, list[Record]] = {}
        for name, record in zip(self.methods(), self.records, strict=True):
            grouped.setdefault(name, []).append(record)
        return {name: tuple(records) for name, records in grouped.items()}

    @cached_property
    def trained_once(self) -> dict[str, str]:
        """The note of `trained_once` on each method that needs it, by label."""
        notes = {name: trained_once(records) for name, records in self.by_method().items()}
        return {name: note for name, note in notes.items() if note}

    @cached_property
    def training_warnings(self) -> dict[str, str]:
        """The note of `training_warnings` on each method that needs it, by label."""
        notes = {name: training_warnings(records) for name, records in self.by_method().items()}
        return {name: note for name, note in notes.items() if note}

    def only(self, records: Sequence[Record]) -> ComparableCells:
        """The group of some of its records, in the order given."""
        return replace(self, labels=_labels(records), records=tuple(records))

    def of_method(self, name: str) -> Record | None:
        """The method's first cell, its default settings preferred where the label is the plain name; None where there is none."""
        of_name = [r for r in self.records if r.method == name]
        plain = [r for label, r in self.by_label().items() if label == name]
        return next(iter(plain or of_name), None)

    def first_aggregate(self, metric: str, variant: str) -> Aggregate | None:
        """The aggregate of the first cell that has a value: enough for variants that are the same for every method.

        Args:
            metric: Plain name or identity.
            variant: Of the metric, such as `chance`.
        """
        aggregates = (find_aggregate(record, metric, variant) for record in self.records)
        return next((aggregate for aggregate in aggregates if not isinstance(aggregate, str)), None)


def groups(records: Sequence[Record]) -> list[ComparableCells]:
    """Cells grouped by everything in their key but method and seed, in order of model, task and size.

    Args:
        records: Of a store or a board.
    """
    by_question: dict[str, list[Record]] = {}
    for record in records:
        by_question.setdefault(_question(record), []).append(record)
    checkpoints = {(r.model, *checkpoint(r)) for r in records}
    shared = {name for name, count in Counter(model for model, *_ in checkpoints).items() if count > 1}
    of_model: dict[str, list[Record]] = {}
    for record in records:
        of_model.setdefault(record.model, []).append(record)
    shown = {model: _differing_settings(cells) for model, cells in of_model.items()}
    grouped = [_group(members, members[0].model in shared, shown[members[0].model]) for members in by_question.values()]
    return sorted(grouped, key=lambda g: (g.model, g.task, -g.instances, g.note))


def trained_once(records: Sequence[Record]) -> str:
    """What is said of a trained method whose cells are of one seed: what its intervals do not cover. Empty of others.

    Args:
        records: Cells of the method that differ in their seed alone.
    """
    seeds = {r.seed for r in records if r.key.get("trained_on") and r.status in EXPLAINED} - {None}
    return f"trained once (seed {seeds.pop()}): the interval does not cover another training" if len(seeds) == 1 else ""


def training_warnings(records: Sequence[Record]) -> str:
    """What the trainings of a method say that a reader of its numbers has to know, with their seeds; empty where that is nothing.

    Args:
        records: Cells of the method that differ in their seed alone.
    """
    said = [(record.seed, "; ".join(record.training.warnings)) for record in records if record.training]
    if len(records) == 1:
        return next((text for _, text in said), "")
    return "; ".join(f"seed {seed}: {text}" for seed, text in said if text)


def note_lines(notes: Mapping[str, str]) -> list[str]:
    """Lines for below a table, such as `diffmask-hidden, diffmask-input: trained once (seed 0): ...`.

    Args:
        notes: By label; methods with one note stand in one line.
    """
    labels: dict[str, list[str]] = {}
    for name, note in notes.items():
        labels.setdefault(note, []).append(name)
    return [f"{', '.join(names)}: {note}." for note, names in labels.items()]


def method_labels(records: Iterable[Record], *, seeds: bool = True) -> tuple[str, ...]:
    """One label a record: its method, with the settings in which the records of that method differ.

    Args:
        records: Cells whose labels stand beside one another.
        seeds: Whether the seed counts as a setting; False: cells that differ in it alone share a label.

    Returns:
        Labels such as `random`, `random:seed=1` or `beam:k=2`, in the order of the records; another version of one of
        flowgauge's methods is called `random@9`.
    """
    described = [(shown_method(r), {**({"seed": r.seed} if seeds else {}), **r.settings}) for r in records]
    by_method: dict[str, list[dict[str, Any]]] = {}
    for method, settings in described:
        by_method.setdefault(method, []).append(settings)
    differing = {method: _differing(settings) for method, settings in by_method.items()}
    return tuple(label(method, settings, differing[method]) for method, settings in described)


def label(method: str, settings: dict[str, Any], shown: set[str]) -> str:
    """A method's name with some of its settings.

    Args:
        method: The name.
        settings: All of its settings.
        shown: Names of the settings that the label holds.

    >>> label("beam", {"k": 2, "rule": "x"}, {"k"}), label("beam", {"k": 2}, set())
    ('beam:k=2', 'beam')
    """
    texts = ",".join(f"{name}={value}" for name, value in settings.items() if name in shown)
    return f"{method}:{texts}" if texts else method


def checkpoint(record: Record) -> tuple[str, str]:
    """Fingerprint of the weights and dtype: what one model name may stand for several of."""
    return str(record.key.get("fingerprint", "")), str(record.key.get("dtype", ""))


def find_score(record: Record, metric: str) -> Score | None:
    """The record's score of a metric: of default settings before others, then of the latest version.

    Args:
        record: The cell.
        metric: Plain name or identity.
    """
    candidates = [s for s in record.scores.values() if metric in (s.name, s.metric)]
    return max(candidates, key=lambda s: (s.metric == f"{s.name}@{s.version}", s.version), default=None)


def find_aggregate(record: Record, metric: str, variant: str) -> Aggregate | str:
    """An aggregate with a value, or the reason why there is none.

    Args:
        record: The cell.
        metric: Plain name or identity.
        variant: Of the metric.
    """
    score = find_score(record, metric)
    if score is None or score.status != "done":
        return why_not_scored(record, score, metric)
    aggregate = score.aggregate(variant)
    if aggregate is None:
        return f"{metric} has no variant {variant}"
    return aggregate if aggregate.value == aggregate.value else aggregate.reason or "undefined for every instance"


def why_not_scored(record: Record, score: Score | None, metric: str) -> str:
    """Why a record has no finished score of a metric.

    Args:
        record: The cell.
        score: What the record has of the metric; None: nothing.
        metric: As the reader of the reason knows it.
    """
    if record.status in ("failed", "not-applicable"):
        return record.error or record.status
    return f"not scored with {metric}" if score is None else score.reason or score.status


def _question(record: Record) -> str:
    return json.dumps([record.model, record.task, question(record.key)], sort_keys=True, default=str)


def _differing_settings(records: Sequence[Record]) -> dict[str, set[str]]:
    """The settings in which the cells of each method differ, by its name."""
    by_method: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        by_method.setdefault(record.method, []).append(record.settings)
    return {method: names for method, settings in by_method.items() if (names := _differing(settings))}


def _group(members: Sequence[Record], shared: bool, shown: dict[str, set[str]]) -> ComparableCells:
    first = members[0]
    fingerprint, dtype = checkpoint(first)
    model = f"{first.model} ({' '.join(filter(None, (fingerprint[:6], dtype)))})" if shared else first.model
    return ComparableCells(
        model=model, task=first.task, labels=_labels(members), records=tuple(members),
        instances=max(r.instances for r in members), note=_note(first.key), shown_settings=shown,
    )  # fmt: skip


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
    """Labels with seeds; where two cells still share one, with the first digits of the cell too."""
    labels = method_labels(members)
    count = Counter(labels)
    pairs = zip(labels, members, strict=True)
    return tuple(text if count[text] == 1 else _with_digits(text, record) for text, record in pairs)


def _version(record: Record) -> str:
    """What the seed is no part of: the method with its source, and what it was trained on."""
    return canonical([record.key.get("method"), record.key.get("trained_on")])


def _has_twins(cells: Sequence[Record]) -> bool:
    return len({record.seed for record in cells}) < len(cells)


def _with_digits(text: str, record: Record) -> str:
    return f"{text} #{record.cell[:6]}"


def _differing(settings: Sequence[dict[str, Any]]) -> set[str]:
    """Names of the settings that have several values."""
    if len(settings) == 1:
        return set()
    names = dict.fromkeys(name for values in settings for name in values)
    return {name for name in names if len({str(values.get(name)) for values in settings}) > 1}
