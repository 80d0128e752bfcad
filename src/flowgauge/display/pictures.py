"""Pictures of an explained text: the words shaded by every method, and the graphs of methods that give one."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..benchmark.store.atomic_files import write_file
from ..core.errors import NotApplicable, UsageError
from ..leaderboards.figures.attribution import attribution_drawing, attribution_figure
from ..leaderboards.figures.circuit import circuit_drawing, circuit_figure
from ..leaderboards.figures.masks import mask_figure
from ..leaderboards.figures.pattern import pattern_figure
from ..leaderboards.figures.pattern_panel import make_panel
from ..leaderboards.figures.style import (
    GREY,
    INK,
    NEGATIVE,
    NORMAL,
    OPTIONS,
    POSITIVE,
    SMALL,
    UNSIGNED,
    add_axes,
    add_text,
    fit_fonts,
    new_figure,
    plain,
    settings,
    tidy,
    with_ellipsis,
)
from .colours import is_faint, shade
from .explained_text import ExplainedText
from .rankings import RankedMetric
from .views import Strongest, signed, strongest_of

LETTER, PAD, LINE, LABEL, HEAD, WIDTH = 0.085, 0.16, 0.5, 1.6, 0.5, 9.0
"""Inches: width of a letter, space around a word, height of a line, width of labels, height of the head, width of the figure."""
WORD = 24
"""The largest number of characters of a word."""


def words_figure(explained: ExplainedText) -> Figure:
    """Draws the text once a method, with its words shaded and their scores below; bars for methods that score no words."""
    lines = _wrapped([_word_width(word.text) for word in explained.words])
    tops = {label: len(lines) * LINE + 0.35 for label in explained.word_scores}
    others = {(label, what): entries for label in explained.wordless for what, entries in _listed(explained, label).items()}
    bars = {key: 0.2 * len(entries) + 0.55 for key, entries in others.items()}
    question = _folded(" ".join((explained.question, *explained.notes)))
    head = HEAD + 0.16 * (len(question) - 1)
    height = head + sum(tops.values()) + sum(bars.values()) + 0.1
    figure = new_figure(WIDTH, height)
    add_text(figure, 0.15, height - 0.15, "\n".join(question), fontsize=NORMAL, color=INK, va="top")
    y = height - head
    for label, high in tops.items():
        y -= high
        _draw_words(add_axes(figure, 0, y, WIDTH, high), explained, label, lines)
    for (label, what), entries in others.items():
        y -= bars[label, what]
        _draw_bars(figure, y, bars[label, what], f"{label}: strongest {what}", entries)
    return figure


def _listed(explained: ExplainedText, label: str) -> dict[str, list[Strongest]]:
    return strongest_of(explained[label], explained.sentence.tokens)


def _word_width(text: str) -> float:
    return max(5, len(with_ellipsis(text, WORD))) * LETTER + PAD


def _wrapped(widths: Sequence[float]) -> list[list[int]]:
    """Words in lines that are as wide as the figure leaves."""
    lines, used = list[list[int]](), float("inf")
    for index, width in enumerate(widths):
        if used + width > WIDTH - 0.3:
            lines.append([])
            used = 0.0
        lines[-1].append(index)
        used += width + 0.04
    return lines


def _folded(text: str, width: int = 125) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _draw_words(axes: Axes, explained: ExplainedText, label: str, lines: Sequence[Sequence[int]]) -> None:
    """Draws the lines of one method; the axes have the size of their part of the figure in inches."""
    scores = explained.word_scores[label]
    largest, high = float(np.abs(scores).max()), len(lines) * LINE + 0.35
    axes.set(xlim=(0, WIDTH), ylim=(0, high))
    axes.set_axis_off()
    axes.text(0.15, high - 0.05, plain(label), fontsize=NORMAL, fontweight="bold", color=INK, va="top")
    for row, line in enumerate(lines):
        x, y = 0.15, high - 0.3 - (row + 1) * LINE + 0.06
        for index in line:
            text, score = with_ellipsis(explained.words[index].text, WORD), float(scores[index])
            width, share = _word_width(text), score / largest if largest else 0.0
            colour = "white" if is_faint(share) else shade(share)
            axes.add_patch(Rectangle((x, y + 0.16), width, 0.24, facecolor=colour, edgecolor="#E5E5E5", linewidth=0.5))
            axes.text(x + width / 2, y + 0.28, plain(text), ha="center", va="center", fontsize=NORMAL, color="black")
            axes.text(x + width / 2, y + 0.08, signed(score, largest), ha="center", va="center", fontsize=SMALL - 1, color=GREY)
            x += width + 0.04


def _draw_bars(figure: Figure, bottom: float, high: float, title: str, entries: Sequence[Strongest]) -> None:
    """Draws the strongest nodes, heads or edges as bars with their numbers."""
    axes = add_axes(figure, 3.2, bottom + 0.2, WIDTH - 4.4, high - 0.55)
    values, rows = [entry.score for entry in entries], np.arange(len(entries))
    largest = max(map(abs, values)) or 1.0
    axes.barh(rows, values, height=0.7, color=[POSITIVE if value > 0 else NEGATIVE for value in values])
    axes.axvline(0, color=INK, lw=0.6)
    axes.set_yticks(rows, [plain(with_ellipsis(entry.name, 40)) for entry in entries], fontsize=SMALL)
    axes.set(ylim=(len(rows) - 0.5, -0.5), xticks=[], xlim=(min(0, *values) - 0.15 * largest, max(0, *values) + 0.15 * largest))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for row, value in enumerate(values):
        side = "left" if value >= 0 else "right"
        axes.text(value, row, f" {signed(value, largest)} ", ha=side, va="center", fontsize=SMALL, color=INK)
    add_text(figure, 0.15, bottom + high - 0.28, title, fontsize=NORMAL, fontweight="bold", color=INK, va="bottom")


def graph_of(explained: ExplainedText, label: str) -> Figure:
    """The pattern of one method, else its attribution graph, else its mask, else its circuit.

    Raises:
        NotApplicable: The method gives none of them; the text says why the first cannot be drawn.
    """
    sentence, explanation, refusals = explained.sentence, explained[label], list[NotApplicable]()
    for draw in (
        lambda: pattern_figure([make_panel(label, sentence, explanation, unit=explained.unit)]),
        lambda: attribution_figure(attribution_drawing(label, sentence, explanation)),
        lambda: mask_figure(label, sentence, explanation),
        lambda: circuit_figure(circuit_drawing(label, sentence, explanation)),
    ):
        try:
            with settings():
                return draw()
        except NotApplicable as refusal:
            refusals.append(refusal)
    raise refusals[0]


def graphs(explained: ExplainedText) -> dict[str, Figure]:
    """The graph of every method that gives one, by label."""
    drawn = {}
    for label in explained.explanations:
        try:
            drawn[label] = graph_of(explained, label)
        except NotApplicable:
            continue
    return drawn


def graph_figure(explained: ExplainedText) -> Figure:
    """The graph of the first method that gives one.

    Raises:
        NotApplicable: No method gives one.
    """
    for label in explained.explanations:
        try:
            return graph_of(explained, label)
        except NotApplicable as refusal:
            reason = refusal
    raise reason


PICTURES: Mapping[str, Callable[[ExplainedText], Figure]] = {"words": words_figure, "graph": graph_figure}
"""The pictures of an explained text."""


def ranking_figure(ranked: Sequence[RankedMetric]) -> Figure:
    """Draws the mean and 95 % interval of every method, a panel for each model and task, the best method on top."""
    heights = [0.24 * len(each.ranking.scores.methods) + 0.75 for each in ranked]
    figure = new_figure(7.0, sum(heights))
    y = sum(heights)
    for each, high in zip(ranked, heights, strict=True):
        y -= high
        names, means = each.ranking.scores.methods, each.ranking.means
        axes = add_axes(figure, 2.3, y + 0.4, 4.4, high - 0.75)
        rows = np.arange(len(names))
        bounds = np.nan_to_num(np.abs(means[:, 1:] - means[:, :1]))
        axes.errorbar(means[:, 0], rows, xerr=bounds.T, fmt="o", color=UNSIGNED, ms=4, lw=1.2, capsize=2)
        axes.set_yticks(rows, [plain(with_ellipsis(name, 34)) for name in names], fontsize=SMALL)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel(plain(f"{each.metric}, {each.ranking.variant}"), fontsize=SMALL, labelpad=2)
        axes.grid(axis="x", color=GREY, alpha=0.25, lw=0.5)
        tidy(axes)
        add_text(figure, 0.12, y + high - 0.28, with_ellipsis(each.where, 80), fontsize=NORMAL, color=INK, va="bottom")
    return figure


def picture_bytes(figure: Figure, ending: str) -> bytes:
    """A figure as a PNG or SVG file; the same figure always gives the same bytes.

    Args:
        figure: The figure.
        ending: `.png` or `.svg`.
    """
    data = io.BytesIO()
    with settings():
        fit_fonts(figure)
        figure.savefig(data, format=ending[1:], **OPTIONS[ending])
    return data.getvalue()


def write_picture(figure: Figure, path: Path) -> None:
    """Writes a figure under a temporary name and renames it.

    Args:
        figure: The figure.
        path: Ends in `.png` or `.svg`.

    Raises:
        UsageError: Another ending, or the file cannot be written.
    """
    ending = path.suffix.lower()
    if ending not in OPTIONS:
        raise UsageError(f"{path} must end in {' or '.join(OPTIONS)}.")
    try:
        write_file(path, picture_bytes(figure, ending))
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}; choose another file with --out.") from error
