"""An explained text as HTML: for a notebook's cell, or a page of its own. No scripts, no outside files; light and dark."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from ..benchmark.store.atomic_files import write_file
from ..core.errors import UsageError
from .colours import is_faint
from .explained_text import ExplainedText
from .pictures import graphs, picture_bytes
from .results import Results
from .views import Strongest, head_table, node_table, signed, strongest_circuit_edges, strongest_edges


class ShadedCell(NamedTuple):
    """One score as a page shows it.

    Attributes:
        text: The word, or nothing.
        number: The score with its sign.
        strength: Its share of the largest, from 0 to 1.
        way: `for` the answer, `against` it, or `none` where it is too small to be shaded.
    """

    text: str
    number: str
    strength: float
    way: str


class ShadedGrid(NamedTuple):
    """Scores in rows and columns.

    Attributes:
        label: The method.
        columns: The head of each column.
        rows: The head and the cells of each row.
    """

    label: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[ShadedCell, ...]], ...]


@cache
def templates() -> Environment:
    """The templates of this room; every text that is put into them is escaped."""
    return Environment(
        loader=PackageLoader("flowgauge.display"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def explained_html(explained: ExplainedText, name: str = "") -> str:
    """An explained text as a part of a page.

    Args:
        explained: What is shown.
        name: Begins the identifiers within; empty: a new one each time, since a notebook may show the same thing twice.
    """
    drawn = {label: base64.b64encode(picture_bytes(figure, ".svg")).decode() for label, figure in graphs(explained).items()}
    parts: dict[str, Any] = {
        "words": [_shaded(explained, label) for label in explained.word_scores],
        "nodes": list(_node_grids(explained)),
        "heads": list(_head_grids(explained)),
        "edges": [(label, edges) for label in explained.explanations if (edges := _edges(explained, label))],
        "graphs": drawn,
    }
    tabs = [what for what, content in parts.items() if content]
    template = templates().get_template("explained.html")
    return template.render(explained=explained, name=name or f"flowgauge-{uuid4().hex[:8]}", tabs=tabs, **parts)


def results_html(results: Results, name: str = "") -> str:
    """The ranked tables of a run as a part of a page.

    Args:
        results: What is shown.
        name: Begins the identifiers within; empty: a new one each time.
    """
    tabs = [(metric, results.rankings(metric)) for metric in results.metrics]
    template = templates().get_template("results.html")
    return template.render(results=results, summary=repr(results), name=name or f"flowgauge-{uuid4().hex[:8]}", tabs=tabs)


def write_page(explained: ExplainedText, path: Path) -> None:
    """Writes a page of its own, under a temporary name that is then renamed.

    Raises:
        UsageError: The file cannot be written.
    """
    page = templates().get_template("page.html").render(
        title=" / ".join(explained.texts), content=explained_html(explained, "explained")
    )  # fmt: skip
    try:
        write_file(path, page.encode())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}; choose another file with --html.") from error


def _cell(text: str, score: float, largest: float) -> ShadedCell:
    share = score / largest if largest else 0.0
    way = "none" if is_faint(share) else "for" if share > 0 else "against"
    return ShadedCell(text, signed(score, largest), round(min(1.0, abs(share)), 3), way)


def _shaded(explained: ExplainedText, label: str) -> tuple[str, list[ShadedCell]]:
    scores = explained.word_scores[label]
    largest = float(np.abs(scores).max())
    return label, [_cell(w.text, float(score), largest) for w, score in zip(explained.words, scores, strict=True)]


def _grid(label: str, columns: tuple[str, ...], heads: list[str], scores: np.ndarray) -> ShadedGrid:
    largest = float(np.abs(scores).max())
    rows = [(head, tuple(_cell("", float(x), largest) for x in row)) for head, row in zip(heads, scores, strict=True)]
    return ShadedGrid(label, columns, tuple(rows))


def _node_grids(explained: ExplainedText) -> Iterator[ShadedGrid]:
    """Rows are layers, the last on top, as in the figures; columns are tokens."""
    for label, explanation in explained.explanations.items():
        nodes = node_table(explanation)
        if nodes is not None:
            names = [f"layer {depth}" if depth else "input" for depth in range(len(nodes))]
            yield _grid(label, explained.sentence.tokens, names[::-1], nodes[::-1])


def _head_grids(explained: ExplainedText) -> Iterator[ShadedGrid]:
    for label, explanation in explained.explanations.items():
        heads = head_table(explanation)
        if heads is not None:
            columns = tuple(f"head {head + 1}" for head in range(heads.shape[1]))
            yield _grid(label, columns, [f"layer {layer + 1}" for layer in range(len(heads))], heads)


def _edges(explained: ExplainedText, label: str) -> list[ShadedCell]:
    explanation = explained[label]
    edges: list[Strongest] = strongest_edges(explanation, explained.sentence.tokens) or strongest_circuit_edges(explanation)
    largest = max((abs(edge.score) for edge in edges), default=0.0)
    return [_cell(edge.name, edge.score, largest) for edge in edges]
