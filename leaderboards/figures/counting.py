"""The toy task under every method (Fig. 3 of De Cao et al. 2020): the share of each digit, as an input and as a hidden state."""

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
from .source import CellExplanations, ExplanationSource, check_instances
from .style import FAINT, GREY, INK, LARGE, NORMAL, POSITIVE, SMALL, add_axes, add_text, new_figure, with_ellipsis

TASK = "toy/counting"
Level = Literal["words", "hidden"]
LEVELS: dict[Level, str] = {"words": "inputs", "hidden": "hidden states"}
PAPER_LENGTH = 6
"""The number of digits of the example that the paper shows."""
DIGIT, ROW, GAP = 0.34, 0.62, 0.22
"""Inches: width of a digit, height of a method's row, and space between rows."""
LEFT, BETWEEN, TOP, BELOW = 2.1, 0.45, 0.95, 0.62
"""Inches: space left of the bars, between the two columns, above the first row and below the last."""


@dataclass(frozen=True, eq=False)
class CountingExample:
    """One example of the toy task with the shares of its digits under every method.

    Attributes:
        subtitle: The query, the sequence, the answer, and whether the model is right.
        digits: The digits of the sequence.
        matters: Whether each of them is a digit of the query.
        bars: Shares of the digits by method and level; None where the method does not score them, or scores all with 0.
    """

    subtitle: str
    digits: tuple[str, ...]
    matters: Bool[np.ndarray, " digits"]
    bars: dict[str, dict[Level, Float[np.ndarray, " digits"] | None]]

    @property
    def largest(self) -> float:
        """The largest share of any digit under any method."""
        known = [shares for levels in self.bars.values() for shares in levels.values() if shares is not None]
        return max((float(shares.max()) for shares in known), default=1.0)

    def even_share(self, level: Level) -> float:
        """The correct share: even over all inputs, since each must be read, or even over the hidden states that matter."""
        count = len(self.digits) if level == "words" else int(self.matters.sum())
        return 1 / count if count else 0.0


def counting_cells(source: ExplanationSource, group: ComparableCells) -> list[CellExplanations]:
    """The cells of a group that hold explanations: of the source's method, or of all methods where it names none.

    Raises:
        UsageError: The group is of another task, or none of its cells holds explanations.
    """
    if group.task != TASK:
        raise UsageError(
            f"{group.task} is not {TASK}: this figure draws the digits of one example of {TASK}; choose it with --task."
        )
    named = None if source.method is None else set(source.labels(group))
    labels = [label for label, record in group.by_label().items() if record.instances and (named is None or label in named)]
    if not labels:
        raise UsageError(f"{TASK} of {group.model} has no stored explanations: run methods on it first.")
    return [source.explained(group, label) for label in labels]


def choose_examples(cells: Sequence[CellExplanations], ids: Sequence[str] = ()) -> list[str]:
    """The given instances, or else a single one that every cell explains.

    That is the first instance that is like the paper's example: both digits of the query occur, the model correctly answers
    `yes`, and the sequence has 6 digits. Where no instance meets all three, the earlier requirements count more.

    Args:
        cells: The explanations of every method.
        ids: Identifiers of instances, or none.

    Raises:
        UsageError: Some cell lacks a given instance, or there is no instance that all cells explain.
    """
    everywhere = [id for id in cells[0].sentences if all(id in cell.sentences for cell in cells)]
    if ids:
        check_instances(ids, everywhere)
        return list(ids)
    if not everywhere:
        raise UsageError(f"the methods explained no instance of {TASK} in common: run them on the same instances.")
    return [max(everywhere, key=lambda id: _likeness(cells[0].sentences[id]))]


def _likeness(sentence: ExplainedSentence) -> tuple[bool, bool, int]:
    """How much a sentence is like the paper's example, for `max`."""
    query, digits = query_and_digits(sentence)
    return set(query) <= set(digits), sentence.answer == ("yes",) and bool(sentence.correct), -abs(len(digits) - PAPER_LENGTH)


def query_and_digits(sentence: ExplainedSentence) -> tuple[list[str], list[str]]:
    """The tokens of the query and the tokens of the sequence."""
    tokens = list(zip(sentence.tokens, sentence.words, strict=True))
    query, digits = ([token for token, (segment, _) in tokens if segment == part] for part in (0, 1))
    return query, digits


def counting_example(cells: Sequence[CellExplanations], id: str) -> CountingExample:
    """Computes every method's shares on one instance; of several draws, the first is read."""
    sentence = cells[0].sentences[id]
    query, digits = query_and_digits(sentence)
    in_sequence = np.array([segment == 1 for segment, _ in sentence.words])
    bars = {cell.label: {level: _shares(cell.gold[id].each()[0], level, in_sequence) for level in LEVELS} for cell in cells}
    subtitle = f"More {query[0]} than {query[1]}?  {' '.join(digits)}:  {sentence.answer[0]}{sentence.verdict}"
    return CountingExample(subtitle, tuple(digits), np.isin(digits, query), bars)


def _shares(
    explanation: Explanation, level: Level, in_sequence: Bool[np.ndarray, " tokens"]
) -> Float[np.ndarray, " digits"] | None:
    """Scores of the sequence's digits, divided by their sum; None where there are none or the sum is not positive."""
    scores = level_scores(explanation, level)
    total = 0.0 if scores is None else float(scores[in_sequence].sum())
    return None if scores is None or not total > 0 else scores[in_sequence] / total


def counting_figure(example: CountingExample) -> Figure:
    """Draws methods below each other, inputs at the left and hidden states at the right; digits of the query are green."""
    width, rows = DIGIT * len(example.digits), len(example.bars)
    whole = max(LEFT + len(LEVELS) * (width + BETWEEN), 5.6)
    total = TOP + rows * (ROW + GAP) + BELOW
    figure = new_figure(whole, total)
    add_text(figure, 0.12, total - 0.12, f"{TASK}   Share of each digit", fontsize=LARGE, color=INK, va="top")
    add_text(figure, 0.12, total - 0.38, example.subtitle, fontsize=SMALL, color=INK, va="top")
    for column, (level, title) in enumerate(LEVELS.items()):
        left = LEFT + column * (width + BETWEEN)
        add_text(figure, left, total - TOP + 0.12, title, fontsize=NORMAL, color=INK, va="bottom")
        for row, (label, bars) in enumerate(example.bars.items()):
            bottom = total - TOP - (row + 1) * ROW - row * GAP
            axes = add_axes(figure, left, bottom, width, ROW)
            _frame(axes, example, last=row == rows - 1)
            _draw(axes, example, bars[level], example.even_share(level), f"{label}-{level}")
            if column == 0:
                add_text(
                    figure, LEFT - 0.32, bottom + ROW / 2, with_ellipsis(label, 26), fontsize=NORMAL, ha="right", va="center"
                )
    note = "Green: digits of the query. Dashed: even shares of all inputs,\nand of the hidden states of the query's digits."
    add_text(figure, 0.12, 0.1, note, fontsize=SMALL, color=GREY, va="bottom")
    return figure


def _frame(axes: Axes, example: CountingExample, *, last: bool) -> None:
    """Sets up axes from 0 to the largest share of all methods; the digits stand below the last row."""
    largest, n_digits = example.largest, len(example.digits)
    axes.set_xlim(-0.5, n_digits - 0.5)
    axes.set_ylim(0, largest)
    axes.set_yticks([0, largest], ["0", f"{largest:.2g}"], fontsize=SMALL)
    axes.set_xticks(range(n_digits), example.digits if last else [""] * n_digits, fontsize=NORMAL)
    axes.tick_params(length=0, pad=3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    for label, matters in zip(axes.get_xticklabels(), example.matters, strict=True):
        label.set_fontweight("bold" if matters else "normal")
        label.set_color(INK if matters else GREY)


def _draw(axes: Axes, example: CountingExample, shares: Float[np.ndarray, " digits"] | None, even: float, name: str) -> None:
    """Draws the bars of a method at one level, or the words `no scores`."""
    if shares is None:
        centre = (len(example.digits) / 2 - 0.5, example.largest / 2)
        axes.text(*centre, "no scores", ha="center", va="center", fontsize=SMALL, color=GREY)
        return
    colours = [POSITIVE if matters else GREY for matters in example.matters]
    for index, bar in enumerate(axes.bar(range(len(shares)), shares, width=0.7, color=colours, zorder=2)):
        bar.set_gid(f"bar-{name}-{index}")
    axes.axhline(even, color=INK, lw=0.7, ls=(0, (3, 2)), zorder=3)
