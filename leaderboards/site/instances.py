"""What the browser of instances shows: each sentence with every method's word scores, and the drawings of examples. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ...benchmark.store.explanation_file import DamagedPart, ExplainedSentence
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


@dataclass(frozen=True, eq=False)
class InstanceBrowser:
    """Some explained instances of a group under every method.

    Attributes:
        group: The cells.
        total: Instances there are.
        sentences: Those shown, by id.
        cells: The explanations of each method, first seed; by label.
        scores: Of each instance by the ranked metric, by label and id.
        metric: Its name, empty where there is none.
    """

    group: ComparableCells
    total: int
    sentences: Mapping[str, ExplainedSentence]
    cells: Mapping[str, CellExplanations]
    scores: Mapping[str, Mapping[str, float]]
    metric: str

    def as_data(self) -> dict[str, Any]:
        """What the page reads."""
        return {"metric": self.metric, "instances": [self._instance(s) for s in self.sentences.values()]}

    def _instance(self, sentence: ExplainedSentence) -> dict[str, Any]:
        return {
            "id": sentence.id, "condition": sentence.condition, "tokens": sentence.tokens, "target": sentence.target,
            "answer": " ".join(sentence.answer), "against": " ".join(sentence.against),
            "predicted": " ".join(sentence.predicted), "correct": sentence.correct,
            "methods": [self._method(label, cell, sentence) for label, cell in self.cells.items()],
        }  # fmt: skip

    def _method(self, label: str, cell: CellExplanations, sentence: ExplainedSentence) -> dict[str, Any]:
        found: dict[str, Any] = {
            "label": label,
            "method": cell.record.method,
            "score": self.scores.get(label, {}).get(sentence.id),
        }
        explanation = cell.gold.get(sentence.id)
        if explanation is None:
            return {**found, "reason": "no explanation of this instance is stored"}
        try:
            totals = word_totals(explanation.each()[0], len(sentence.tokens))
        except NotApplicable as error:
            return {**found, "reason": str(error)}
        return {**found, "tokens": [_short(x) for x in totals], "draw": bool(explanation.draws)}

    def example(self, label: str) -> Figure | None:
        """One sentence under a method, drawn as `plot` does; None where it can be drawn in no way."""
        cell = self.cells.get(label)
        if cell is None or not cell.sentences:
            return None
        reference = next((one for one in self.cells.values() if one.record.method == PATTERNS), None)
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


def _short(value: float) -> float:
    """Four significant digits.

    >>> _short(0.123456)
    0.1235
    """
    return float(f"{value:.4g}")


def browse(shelf: BoardReader, group: ComparableCells, metric: str, limit: int) -> InstanceBrowser:
    """The first instances of each condition, and every method's explanations of them.

    Args:
        shelf: Where the cells are.
        group: Cells of one model on the same instances.
        metric: Whose score is shown with each; empty: none.
        limit: Instances in all, balanced over conditions.
    """
    first: dict[str, Record] = {}
    for label, record in zip(group.methods(), group.records, strict=True):
        if record.instances:
            first.setdefault(label, record)
    known = _sentences(shelf, list(first.values()))
    chosen = {id: known[id] for id in balanced([(s.id, s.condition) for s in known.values()], limit)}
    if not chosen:
        return InstanceBrowser(group, group.instances, {}, {}, {}, metric)
    cells = {label: _explained(shelf, label, record, chosen) for label, record in first.items()}
    return InstanceBrowser(group, group.instances, chosen, cells, _scores(shelf, group, metric), metric)


def balanced(named: Sequence[tuple[str, str]], limit: int) -> list[str]:
    """The first names of each condition in turn, in their own order.

    >>> balanced([("a", "S"), ("b", "S"), ("c", "P")], 2)
    ['a', 'c']
    """
    places: dict[str, int] = {}
    turns = []
    for number, (_, condition) in enumerate(named):
        turns.append((places.setdefault(condition, 0), number))
        places[condition] += 1
    return [named[number][0] for number in sorted(number for _, number in sorted(turns)[:limit])]


def _sentences(shelf: BoardReader, records: Sequence[Record]) -> dict[str, ExplainedSentence]:
    """Those of the first cell that has any."""
    for record in records:
        found = shelf.find(record).sentences()
        if found:
            return dict(sorted(found.items()))
    return {}


def _explained(shelf: BoardReader, label: str, record: Record, chosen: Mapping[str, ExplainedSentence]) -> CellExplanations:
    """A cell's explanations of the chosen instances; parts without any are not read."""
    cell, gold = shelf.find(record), dict[str, Explanation]()
    for id in chosen:
        try:
            if id in cell.index:
                gold[id] = cell.explanations([id])[0][0]
        except (DamagedPart, FlowgaugeError):
            continue
    return CellExplanations(label, record, {id: s for id, s in chosen.items() if id in gold}, gold)


def _scores(shelf: BoardReader, group: ComparableCells, metric: str) -> dict[str, dict[str, float]]:
    if not metric:
        return {}
    found = read_scores(shelf, group, metric)
    return {
        label: {id: _short(x) for id, x in zip(found.instances, row, strict=True) if not np.isnan(x)}
        for label, row in zip(found.table.methods, found.table.values, strict=True)
    }
