"""Example pictures of methods and metrics, drawn from the published board: one sentence, and one task."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from matplotlib.figure import Figure

from flowgauge.core.errors import NotApplicable
from flowgauge.display.explained_text import ExplainedText
from flowgauge.display.pictures import graph_of
from flowgauge.display.results import Results
from flowgauge.leaderboards.figures.source import CellExplanations, ExplanationSource
from flowgauge.leaderboards.figures.style import OPTIONS, fit_fonts, settings

BOARD = Path(__file__).resolve().parents[2] / "leaderboards" / "published" / "board"
MODEL, TASK = "agreement-bert", "sva/obj"
"""The model and the task whose four sentences with explanations, kept by the board, the pages show."""


@cache
def explained_cells() -> dict[str, CellExplanations]:
    """What each method says of the sentences of the task that the board keeps, by the method's name."""
    source = ExplanationSource(str(BOARD), task=TASK)
    (group,) = (group for group in source.groups if group.model == MODEL)
    return {
        record.method: source.explained(group, label) for label, record in group.by_label().items() if record.instances
    }  # fmt: skip


def method_pictures(name: str) -> Iterator[tuple[str, bytes]]:
    """The pictures of one method about the first sentence, with what each shows: words, then its graph if it gives one."""
    cell = explained_cells().get(name)
    if cell is None or not cell.gold:
        return
    id, explanation = next(iter(cell.gold.items()))
    sentence = cell.sentences[id]
    text = ExplainedText(
        model=MODEL, texts=(" ".join(sentence.tokens[1:-1]),), sentence=sentence, q=0.0, unit=cell.unit,
        question=f"Why {' '.join(sentence.answer)!r} rather than {' '.join(sentence.against)!r} in the gap?",
        explanations={cell.label: explanation},
    )  # fmt: skip
    yield "The words of one sentence, shaded by their scores", svg(text.plot("words"))
    try:
        yield "The same sentence, layer by layer", svg(graph_of(text, cell.label))
    except NotApplicable:
        return


@cache
def board_results() -> Results:
    """The board's cells of the task."""
    return Results(
        str(BOARD), tuple(record for record in ExplanationSource(str(BOARD), task=TASK).records if record.task == TASK)
    )


def metric_picture(name: str) -> bytes | None:
    """The means and intervals of all methods on one task by a metric, None where the board has no scores of it."""
    results = board_results()
    known = [metric for metric in results.metrics if metric.partition(":")[0] == name]
    return svg(results.plot(known[0])) if known else None


def svg(figure: Figure) -> bytes:
    """A figure as SVG; the same figure always gives the same bytes."""
    data = io.BytesIO()
    with settings():
        fit_fonts(figure)
        figure.savefig(data, format="svg", **OPTIONS[".svg"])
    return data.getvalue()
