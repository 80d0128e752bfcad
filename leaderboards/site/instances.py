"""The data of the pages of instances: each sentence with the word scores of every method, and drawings of examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from ...benchmark.store.explanation_file import ExplainedSentence
from ...benchmark.store.record import Record
from ...core.errors import FlowgaugeError, NotApplicable
from ...methods.explanation import Explanation
from ..figures.attribution import attribution_drawing, attribution_figure
from ..figures.masks import mask_figure
from ..figures.pattern import panels, pattern_figure
from ..figures.pattern_strokes import word_totals
from ..figures.source import CellExplanations, one_a_condition
from ..stored.comparable_cells import ComparableCells
from ..stored.score_table import read_scores
from ..submission.board_reader import BoardReader
from ..tables.columns import PATTERNS
from .formatting import short


@dataclass(frozen=True, eq=False)
class InstanceBrowser:
    """Some instances of a group with their explanations by every method.

    Attributes:
        group: The cells of one model and task.
        total: The number of instances in the group.
        sentences: The shown sentences by identifier.
        cells: The explanations of each method by label; of several seeds, those of the first.
        scores: The score of each instance by the ranked metric, by label and identifier.
        metric: The name of that metric; empty where there is none.
    """

    group: ComparableCells
    total: int
    sentences: Mapping[str, ExplainedSentence]
    cells: Mapping[str, CellExplanations]
    scores: Mapping[str, Mapping[str, float]]
    metric: str

    def as_data(self) -> dict[str, Any]:
        """The data that the page reads as JSON."""
        return {"metric": self.metric, "instances": [self._instance(s) for s in self.sentences.values()]}

    def _instance(self, sentence: ExplainedSentence) -> dict[str, Any]:
        """One sentence with every method's scores."""
        return {
            "id": sentence.id, "condition": sentence.condition, "tokens": sentence.tokens, "target": sentence.target,
            "answer": " ".join(sentence.answer), "against": " ".join(sentence.against),
            "predicted": " ".join(sentence.predicted), "correct": sentence.correct,
            "methods": [self._method(label, cell, sentence) for label, cell in self.cells.items()],
        }  # fmt: skip

    def _method(self, label: str, cell: CellExplanations, sentence: ExplainedSentence) -> dict[str, Any]:
        """The word scores of a sentence by one method, or the reason why there are none."""
        entry: dict[str, Any] = {
            "label": label,
            "method": cell.record.method,
            "score": self.scores.get(label, {}).get(sentence.id),
        }
        explanation = cell.gold.get(sentence.id)
        if explanation is None:
            return {**entry, "reason": "No explanation of this instance is stored."}
        try:
            totals = word_totals(explanation.each()[0], len(sentence.tokens))
        except NotApplicable as error:
            return {**entry, "reason": str(error)}
        return {**entry, "tokens": [short(x) for x in totals], "draw": bool(explanation.draws)}

    def example(self, label: str) -> Figure | None:
        """One sentence under a method, drawn as by `plot`.

        Returns:
            Its mask, its pattern or its attribution graph, whichever the method has first; None where it has none of them.
        """
        cell = self.cells.get(label)
        if cell is None or not cell.sentences:
            return None
        reference = next((member for member in self.cells.values() if member.record.method == PATTERNS), None)
        id = one_a_condition(cell)[0]
        sentence, explanation = cell.sentences[id], cell.gold[id]
        for draw in (
            lambda: mask_figure(label, sentence, explanation),
            lambda: pattern_figure(panels(cell, reference, [id])),
            lambda: attribution_figure(attribution_drawing(label, sentence, explanation)),
        ):
            with suppress(NotApplicable, ValueError):
                return draw()
        return None


def browse(reader: BoardReader, group: ComparableCells, metric: str, limit: int) -> InstanceBrowser:
    """Reads the first instances of each condition and the explanations of them by every method.

    Args:
        reader: The board that holds the cells.
        group: The cells of one model and task, on the same instances.
        metric: The metric whose score is shown with each explanation; empty for none.
        limit: The number of instances in all, balanced over conditions.
    """
    first: dict[str, Record] = {}
    for label, record in zip(group.methods(), group.records, strict=True):
        if record.instances:
            first.setdefault(label, record)
    known = _sentences(reader, list(first.values()))
    chosen = {id: known[id] for id in balanced([(s.id, s.condition) for s in known.values()], limit)}
    if not chosen:
        return InstanceBrowser(group, group.instances, {}, {}, {}, metric)
    cells = {label: _explained(reader, label, record, chosen) for label, record in first.items()}
    return InstanceBrowser(group, group.instances, chosen, cells, _scores(reader, group, metric), metric)


def balanced(named: Sequence[tuple[str, str]], limit: int) -> list[str]:
    """The first `limit` names when conditions take turns, in their original order.

    >>> balanced([("a", "S"), ("b", "S"), ("c", "P")], 2)
    ['a', 'c']
    """
    counts: dict[str, int] = {}
    turns = []
    for index, (_, condition) in enumerate(named):
        turns.append((counts.setdefault(condition, 0), index))
        counts[condition] += 1
    return [named[index][0] for index in sorted(index for _, index in sorted(turns)[:limit])]


def _sentences(reader: BoardReader, records: Sequence[Record]) -> dict[str, ExplainedSentence]:
    """The sentences of the first cell that stores any, by identifier."""
    for record in records:
        sentences = reader.find(record).sentences()
        if sentences:
            return dict(sorted(sentences.items()))
    return {}


def _explained(reader: BoardReader, label: str, record: Record, chosen: Mapping[str, ExplainedSentence]) -> CellExplanations:
    """The explanations of the chosen instances in a cell; damaged ones are left out, and parts without any are not read."""
    cell, gold = reader.find(record), dict[str, Explanation]()
    for id in chosen:
        try:
            if id in cell.index:
                gold[id] = cell.explanations([id])[0][0]
        except FlowgaugeError:
            continue
    return CellExplanations(label, record, {id: s for id, s in chosen.items() if id in gold}, gold)


def _scores(reader: BoardReader, group: ComparableCells, metric: str) -> dict[str, dict[str, float]]:
    """The defined scores of each instance by a metric, by label and identifier."""
    if not metric:
        return {}
    stored = read_scores(reader, group, metric)
    return {
        label: {id: score for id, x in zip(stored.instances, row, strict=True) if (score := short(x)) is not None}
        for label, row in zip(stored.table.methods, stored.table.values, strict=True)
    }
