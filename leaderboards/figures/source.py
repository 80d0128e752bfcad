"""Explained sentences of a store, as figures need them. No torch."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ...benchmark.store.explanation_file import ExplainedSentence
from ...benchmark.store.record import Record
from ...benchmark.store.store import Store
from ...core.errors import NotApplicable, UnknownName, UsageError
from ...methods.explanation import Explanation
from ..stored.comparable_cells import ComparableCells, groups
from ..stored.records import stored_records
from ..tables.columns import PATTERNS

UNITS = {"logit_difference": "logits", "logit": "logits", "probability": "probability", "log_probability": "nats"}


@dataclass(frozen=True, eq=False)
class CellExplanations:
    """The explained sentences of one cell.

    Attributes:
        label: The method, with the settings that tell it from others of its name.
        record: The cell's record.
        sentences: By id, in stored order.
        gold: Explanations of the gold answer by id.
    """

    label: str
    record: Record
    sentences: Mapping[str, ExplainedSentence]
    gold: Mapping[str, Explanation]

    @property
    def unit(self) -> str:
        """Of q."""
        return unit_of(self.record)


def unit_of(record: Record) -> str:
    """The unit of q in a cell."""
    return UNITS.get((record.key.get("task") or {}).get("quantity", {}).get("form", ""), "units of q")


@dataclass(frozen=True)
class Source:
    """A store, narrowed to a model, task and method where they are named.

    Raises:
        UsageError: Nothing stored has that name, or nothing is stored at all.
    """

    url: str
    model: str | None = None
    task: str | None = None
    method: str | None = None
    _read: dict[str, CellExplanations] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for kind in ("model", "task"):
            wanted, known = getattr(self, kind), {getattr(record, kind) for record in self.records}
            if wanted is not None and wanted not in known:
                raise UnknownName(f"{kind} in this store", wanted, known)

    @cached_property
    def records(self) -> list[Record]:
        """Every record of the store."""
        return stored_records(self.url)

    @property
    def groups(self) -> list[ComparableCells]:
        """Of each model and task the run with most instances."""
        found: dict[tuple[str, str], ComparableCells] = {}
        for group in groups(self.records):
            if self.model in (None, group.model, group.records[0].model) and self.task in (None, group.task):
                found.setdefault((group.model, group.task), group)
        return list(found.values())

    def labels(self, group: ComparableCells, default: Sequence[str] = (PATTERNS,)) -> list[str]:
        """Labels of the cells asked for: those of the named method, else of the default ones, that hold explanations."""
        wanted = default if self.method is None else (self.method,)
        cells = {label: record for label, record in group.by_label().items() if record.instances}
        found = [label for label, record in cells.items() if label in wanted or record.method in wanted]
        if not found and self.method is not None:
            raise UnknownName(f"method with explanations on {group.task}", self.method, cells)
        if not found:
            raise UsageError(
                f"{group.task} of {group.model} has no explanations by {' or '.join(default)}; "
                f"choose one with --method: {', '.join(cells) or 'none is stored'}."
            )
        return found

    def explained(self, group: ComparableCells, label: str) -> CellExplanations:
        """A cell's sentences and explanations; read once."""
        record = group.by_label()[label]
        if record.cell not in self._read:
            sentences: dict[str, ExplainedSentence] = {}
            gold: dict[str, Explanation] = {}
            for part in Store(self.url).find(record).parts():
                for sentence, explanation in zip(part.sentences, part.gold, strict=True):
                    sentences[sentence.id], gold[sentence.id] = sentence, explanation
            if not sentences:
                raise UsageError(f"the explanations of {label} on {group.task} are missing or damaged: run its plan again.")
            self._read[record.cell] = CellExplanations(label, record, sentences, gold)
        return self._read[record.cell]

    def reference(self, group: ComparableCells) -> CellExplanations | None:
        """The group's `influence-patterns`, for the words and signs of methods that have none."""
        record = group.of_method(PATTERNS)
        if record is None or not record.instances:
            return None
        return self.explained(group, next(label for label, one in group.by_label().items() if one is record))


def check_instances(wanted: Sequence[str], known: Sequence[str]) -> None:
    """Whether all ids are known.

    Raises:
        UsageError: One is not, with near matches.
    """
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known[:3]
            raise UsageError(
                f"no instance is called {name!r} among the {len(known)} explained; there are such as {', '.join(near)}."
            )


def one_a_condition(explained: CellExplanations) -> list[str]:
    """The first rightly predicted sentence of each condition, else its first, in order of the conditions' names."""
    found: dict[str, str] = {}
    for sentence in sorted(explained.sentences.values(), key=lambda s: not s.correct):
        found.setdefault(sentence.condition, sentence.id)
    return [found[condition] for condition in sorted(found)]


def of_condition(explained: CellExplanations, condition: str | None) -> list[str]:
    """Ids of the sentences of a condition; all, for None.

    Raises:
        UsageError: No such condition.
        NotApplicable: Nothing is explained.
    """
    known = {s.condition for s in explained.sentences.values()}
    if not known:
        raise NotApplicable(f"{explained.label} has no explanations of {explained.record.task}.")
    if condition is not None and condition not in known:
        raise UnknownName(f"condition of {explained.record.task}", condition, known)
    return [id for id, s in explained.sentences.items() if condition in (None, s.condition)]
