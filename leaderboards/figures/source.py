"""Reads the explained sentences of a store for figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ...benchmark.store.explanation_file import ExplainedSentence
from ...benchmark.store.record import Record, Score
from ...benchmark.store.store import Store
from ...core.errors import NotApplicable, UnknownName, UsageError
from ...methods.explanation import Explanation
from ..stored.comparable_cells import ComparableCells, find_score, groups
from ..stored.records import stored_records
from ..tables.columns import PATTERNS

UNITS = {"logit_difference": "logits", "logit": "logits", "probability": "probability", "log_probability": "nats"}


@dataclass(frozen=True, eq=False)
class CellExplanations:
    """The explained sentences of one cell and their explanations.

    Attributes:
        label: The method, with the settings that distinguish it from others of its name.
        record: The cell's record.
        sentences: The sentences by identifier, in stored order.
        gold: Explanations of the gold answer by identifier.
    """

    label: str
    record: Record
    sentences: Mapping[str, ExplainedSentence]
    gold: Mapping[str, Explanation]

    @property
    def unit(self) -> str:
        """The unit of the explained quantity q."""
        return unit_of(self.record)


def unit_of(record: Record) -> str:
    """The unit of the explained quantity q in a cell: logits, probability, nats, or `units of q`."""
    return UNITS.get((record.key.get("task") or {}).get("quantity", {}).get("form", ""), "units of q")


@dataclass(frozen=True)
class ExplanationSource:
    """A store as figures read it, limited to one model, task or method where these are named.

    Attributes:
        url: A folder or fsspec URL of results.
        model: The name of a model, or None for all.
        task: The name of a task, or None for all.
        method: The name of a method or its label in the tables, or None for the default methods of each figure.

    Raises:
        UsageError: The store is empty, or nothing in it has the given name.
    """

    url: str
    model: str | None = None
    task: str | None = None
    method: str | None = None
    _read: dict[str, CellExplanations] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for kind in ("model", "task"):
            name, known = getattr(self, kind), {getattr(record, kind) for record in self.records}
            if name is not None and name not in known:
                raise UnknownName(f"{kind} in this store", name, known)

    @cached_property
    def records(self) -> list[Record]:
        """Every record of the store."""
        return stored_records(self.url)

    @property
    def groups(self) -> list[ComparableCells]:
        """The group with the most instances for each model and task."""
        largest: dict[tuple[str, str], ComparableCells] = {}
        for group in groups(self.records):
            if self.model in (None, group.model, group.records[0].model) and self.task in (None, group.task):
                largest.setdefault((group.model, group.task), group)
        return list(largest.values())

    def labels(self, group: ComparableCells, default: Sequence[str] = (PATTERNS,)) -> list[str]:
        """Labels of the cells with explanations by the source's method, or by the default methods where it names none.

        Args:
            group: The cells of one model and task.
            default: Methods or labels that are used where the source names no method.

        Raises:
            UsageError: There are no such explanations; the message lists the labels that can be chosen.
        """
        methods = default if self.method is None else (self.method,)
        cells = {label: record for label, record in group.by_label().items() if record.instances}
        labels = [label for label, record in cells.items() if label in methods or record.method in methods]
        if not labels and self.method is not None:
            raise UnknownName(f"method with explanations on {group.task}", self.method, cells)
        if not labels:
            raise UsageError(
                f"{group.task} of {group.model} has no explanations by {' or '.join(default)}; "
                f"choose one with --method: {', '.join(cells) or 'none is stored'}."
            )
        return labels

    def explained(self, group: ComparableCells, label: str) -> CellExplanations:
        """The sentences and explanations of the cell with a label; each cell is read once.

        Raises:
            UsageError: The explanations are missing or damaged.
        """
        record = group.by_label()[label]
        if record.cell not in self._read:
            sentences: dict[str, ExplainedSentence] = {}
            gold: dict[str, Explanation] = {}
            cell = Store(self.url).find(record)
            for part in cell.parts():
                for sentence, explanation in zip(part.sentences, part.gold, strict=True):
                    sentences[sentence.id], gold[sentence.id] = sentence, explanation
            if not sentences:
                raise UsageError(f"the explanations of {label} on {group.task} are missing. {cell.remedy}")
            self._read[record.cell] = CellExplanations(label, record, sentences, gold)
        return self._read[record.cell]

    def reference(self, group: ComparableCells) -> CellExplanations | None:
        """The group's explanations by influence patterns, for the words and signs of methods that have none of their own."""
        record = group.of_method(PATTERNS)
        if record is None or not record.instances:
            return None
        return self.explained(group, next(label for label, member in group.by_label().items() if member is record))


def scored_cells(group: ComparableCells, metric: str, labels: Sequence[str] | None = None) -> Iterator[tuple[str, Record, Score]]:
    """The cells with a finished score by a metric, in order of their labels; `labels` limits which are read."""
    for label, record in sorted(group.by_label().items()):
        score = find_score(record, metric)
        if score is not None and score.status == "done" and (labels is None or label in labels):
            yield label, record, score


def no_scores(cells: str, metric: str, unit: str = "") -> UsageError:
    """The error of a figure for whose metric, and perhaps unit, no cell of a task or method (`cells`) has scores."""
    scores = f"scores of {unit}" if unit else "scores"
    return UsageError(f"no cell of {cells} has {scores} by {metric}; add them with `flowgauge score STORE --metric {metric}`.")


def check_instances(ids: Sequence[str], known: Sequence[str]) -> None:
    """Checks that every identifier of an instance is known.

    Raises:
        UsageError: An identifier is unknown; the message names near matches.
    """
    for id in ids:
        if id not in known:
            raise UnknownName(f"instance among the {len(known)} explained", id, known)


def one_a_condition(explained: CellExplanations) -> list[str]:
    """Identifiers of one sentence of each condition, in order of the conditions' names.

    That is the first sentence that the model predicts correctly, or the first of all where it predicts none correctly.
    """
    chosen: dict[str, str] = {}
    for sentence in sorted(explained.sentences.values(), key=lambda s: not s.correct):
        chosen.setdefault(sentence.condition, sentence.id)
    return [chosen[condition] for condition in sorted(chosen)]


def of_condition(explained: CellExplanations, condition: str | None) -> list[str]:
    """Identifiers of the sentences of a condition, or of all sentences where the condition is None.

    Raises:
        UsageError: The task has no such condition.
        NotApplicable: The cell holds no explanations.
    """
    known = {s.condition for s in explained.sentences.values()}
    if not known:
        raise NotApplicable(f"{explained.label} has no explanations of {explained.record.task}.")
    if condition is not None and condition not in known:
        raise UnknownName(f"condition of {explained.record.task}", condition, known)
    return [id for id, s in explained.sentences.items() if condition in (None, s.condition)]
