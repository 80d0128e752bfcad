"""The toy task under every method (Fig. 3 of De Cao et al. 2020): how much each digit gets, as an input and as a hidden state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...benchmark.store.explanation_file import ExplainedSentence
from ...core.errors import UsageError
from ...methods.explanation import Explanation
from ...methods.views import level_scores
from ..stored.comparable_cells import ComparableCells
from .source import CellExplanations, Source, check_instances
from .style import FAINT, GREY, INK, LARGE, NORMAL, POSITIVE, SMALL, add_axes, add_text, new_figure, shortened

TASK = "toy/counting"
Level = Literal["words", "hidden"]
LEVELS: dict[Level, str] = {"words": "inputs", "hidden": "hidden states"}
LIKED_LENGTH = 6
"""Digits of the example that the paper shows."""
DIGIT, ROW, GAP = 0.34, 0.62, 0.22
"""Inches: a bar's place, a method's row, and what is free between rows."""
LEFT, BETWEEN, TOP, BELOW = 2.1, 0.45, 0.95, 0.62


@dataclass(frozen=True, eq=False)
class CountingExample:
    """One example and what every method says of it.

    Attributes:
        subtitle: Query and answer.
        digits: Of the sequence.
        matters: Which of them are digits of the query.
        bars: By method and level, shares of the digits; None where the method does not score them, or all are 0.
    """

    subtitle: str
    digits: tuple[str, ...]
    matters: Bool[np.ndarray, " digits"]
    bars: dict[str, dict[Level, Float[np.ndarray, " digits"] | None]]

    @property
    def largest(self) -> float:
        """The largest share of all."""
        return max((float(s.max()) for levels in self.bars.values() for s in levels.values() if s is not None), default=1.0)

    def even(self, level: Level) -> float:
        """What is right: an even share, of all inputs, since each must be read, or of the hidden states that matter."""
        count = len(self.digits) if level == "words" else int(self.matters.sum())
        return 1 / count if count else 0.0


def counting_cells(source: Source, group: ComparableCells) -> list[CellExplanations]:
    """The cells of a group that hold explanations: all, or those of the method asked for.

    Raises:
        UsageError: It is another task's, or there are none.
    """
    if group.task != TASK:
        raise UsageError(f"{group.task} is not {TASK}: only there are all methods drawn over the digits of one example.")
    named = None if source.method is None else set(source.labels(group))
    labels = [label for label, record in group.by_label().items() if record.instances and (named is None or label in named)]
    if not labels:
        raise UsageError(f"{TASK} of {group.model} has no explanations.")
    return [source.explained(group, label) for label in labels]


def choose(cells: Sequence[CellExplanations], wanted: Sequence[str] = ()) -> list[str]:
    """The instances asked for, else one that every cell has.

    That is the first with both digits of the query, rightly answered with `yes`, of 6 digits, as in the paper; where there is
    none, what comes nearest, in this order of importance.

    Raises:
        UsageError: An instance that no cell has, or no instance that all have.
    """
    everywhere = [name for name in cells[0].sentences if all(name in cell.sentences for cell in cells)]
    if wanted:
        check_instances(wanted, everywhere)
        return list(wanted)
    if not everywhere:
        raise UsageError(f"the methods explained no instance of {TASK} in common: run them on the same instances.")
    return [max(everywhere, key=lambda name: _liked(cells[0].sentences[name]))]


def _liked(sentence: ExplainedSentence) -> tuple[bool, bool, int]:
    query, digits = split(sentence)
    return set(query) <= set(digits), sentence.answer == ("yes",) and sentence.correct, -abs(len(digits) - LIKED_LENGTH)


def split(sentence: ExplainedSentence) -> tuple[list[str], list[str]]:
    """Tokens of the query and of the sequence."""
    tokens = list(zip(sentence.tokens, sentence.words, strict=True))
    query, digits = ([token for token, (segment, _) in tokens if segment == part] for part in (0, 1))
    return query, digits


def make_counting(cells: Sequence[CellExplanations], name: str) -> CountingExample:
    """Every method's shares on one example, of the first draw where there are several."""
    sentence = cells[0].sentences[name]
    query, digits = split(sentence)
    at = np.array([segment == 1 for segment, _ in sentence.words])
    bars = {cell.label: {level: _shares(cell.gold[name].each()[0], level, at) for level in LEVELS} for cell in cells}
    model = "right" if sentence.correct else "wrong"
    subtitle = f"more {query[0]} than {query[1]}?  {' '.join(digits)}:  {sentence.answer[0]}; the model is {model}"
    return CountingExample(subtitle, tuple(digits), np.isin(digits, query), bars)


def _shares(one: Explanation, level: Level, at: Bool[np.ndarray, " tokens"]) -> Float[np.ndarray, " digits"] | None:
    scores = level_scores(one, level)
    total = 0.0 if scores is None else float(scores[at].sum())
    return None if scores is None or not total > 0 else scores[at] / total


def counting_figure(one: CountingExample) -> Figure:
    """Methods below each other, inputs at the left and hidden states at the right; digits of the query are green."""
    width, rows = DIGIT * len(one.digits), len(one.bars)
    whole = max(LEFT + len(LEVELS) * (width + BETWEEN), 5.6)
    total = TOP + rows * (ROW + GAP) + BELOW
    figure = new_figure(whole, total)
    add_text(figure, 0.12, total - 0.12, f"{TASK}   share of each digit", fontsize=LARGE, color=INK, va="top")
    add_text(figure, 0.12, total - 0.38, one.subtitle, fontsize=SMALL, color=INK, va="top")
    for column, (level, title) in enumerate(LEVELS.items()):
        left = LEFT + column * (width + BETWEEN)
        add_text(figure, left, total - TOP + 0.12, title, fontsize=NORMAL, color=INK, va="bottom")
        for row, (label, bars) in enumerate(one.bars.items()):
            bottom = total - TOP - (row + 1) * ROW - row * GAP
            axes = add_axes(figure, left, bottom, width, ROW)
            _frame(axes, one, row == rows - 1)
            _draw(axes, one, bars[level], one.even(level), f"{label}-{level}")
            if column == 0:
                add_text(figure, LEFT - 0.32, bottom + ROW / 2, shortened(label, 26), fontsize=NORMAL, ha="right", va="center")
    note = "green: digits of the query; dashed: even shares of all inputs,\nand of the hidden states that matter"
    add_text(figure, 0.12, 0.1, note, fontsize=SMALL, color=GREY, va="bottom")
    return figure


def _frame(axes: Axes, one: CountingExample, last: bool) -> None:
    """From 0 to the largest share of all methods; the digits stand below the last row."""
    places = np.arange(len(one.digits))
    axes.set_xlim(-0.5, len(places) - 0.5)
    axes.set_ylim(0, one.largest)
    axes.set_yticks([0, one.largest], ["0", f"{one.largest:.2g}"], fontsize=SMALL)
    axes.set_xticks(places, one.digits if last else [""] * len(places), fontsize=NORMAL)
    axes.tick_params(length=0, pad=3)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    for label, matters in zip(axes.get_xticklabels(), one.matters, strict=True):
        label.set_fontweight("bold" if matters else "normal")
        label.set_color(INK if matters else GREY)


def _draw(axes: Axes, one: CountingExample, shares: Float[np.ndarray, " digits"] | None, even: float, name: str) -> None:
    """A method's bars."""
    if shares is None:
        axes.text(len(one.digits) / 2 - 0.5, one.largest / 2, "no scores", ha="center", va="center", fontsize=SMALL, color=GREY)
        return
    colours = [POSITIVE if matters else GREY for matters in one.matters]
    for place, bar in enumerate(axes.bar(range(len(shares)), shares, width=0.7, color=colours, zorder=2)):
        bar.set_gid(f"bar-{name}-{place}")
    axes.axhline(even, color=INK, lw=0.7, ls=(0, (3, 2)), zorder=3)
