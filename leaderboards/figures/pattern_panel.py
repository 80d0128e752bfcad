"""The pattern of one sentence under one method: bars of the words' influence beside the layered graph, in the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from ...benchmark.store.explanation_file import ExplainedSentence
from ...core.errors import NotApplicable
from ...methods.explanation import Explanation
from ...models.flow.graph import Patterns
from ..tables.columns import PATTERNS
from .drawn_graph import Grid, add_legend, draw_graph
from .pattern_strokes import SHARE, Stroke, kept_words, strokes, word_patterns, word_totals
from .style import GREY, INK, LARGE, LEVELS, NORMAL, SMALL, add_axes, add_text, plain, tidy, with_ellipsis

BARS, LABELS, TOP, BOTTOM = 1.5, 1.05, 0.62, 0.85
"""Inches: width of the bars, width of the words, height above and below the rows."""
WORD = 13
"""The largest number of characters of a word that fits beside its row."""
LEVEL_NAMES = ("g", "I(π), embedding level", "I(π), attention level")


@dataclass(frozen=True, eq=False)
class Panel:
    """The pattern of one sentence, ready to be drawn.

    Attributes:
        title: Method and instance.
        subtitle: The explained answer, q, and what the model predicts.
        words: The text of each row.
        target: The row that q reads.
        bars: For each level, by name, one value for each row.
        unit: The unit of bars and widths.
        kept: The rows whose pattern is drawn.
        strokes: The edges to draw.
        n_layers: The number of the model's layers.
        signed: Whether colours mean sign.
        note: What the widths mean and what is left out.
    """

    title: str
    subtitle: str
    words: tuple[str, ...]
    target: int
    bars: Mapping[str, Float[np.ndarray, " tokens"]]
    unit: str
    kept: Int[np.ndarray, " words"]
    strokes: tuple[Stroke, ...]
    n_layers: int
    signed: bool
    note: str

    @property
    def grid(self) -> Grid:
        """Where the nodes stand; deep models get narrower columns."""
        return Grid(self.n_layers, len(self.words), 0.95 if self.n_layers <= 12 else 0.8)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in inches."""
        return LABELS + BARS + 0.15 + self.grid.width + 0.15, TOP + self.grid.height + BOTTOM


def make_panel(
    method: str,
    sentence: ExplainedSentence,
    explanation: Explanation,
    reference: Explanation | None = None,
    *,
    unit: str = "logits",
    share: float = SHARE,
) -> Panel:
    """Prepares the pattern of a sentence.

    Args:
        method: The method's label.
        sentence: The explained sentence.
        explanation: Its explanation by the method.
        reference: Its explanation by influence patterns. Where the method does not score words, the words that are drawn and
            their signs are taken from it.
        unit: The unit of q.
        share: Words with a smaller share of the sum of |g| are left out.

    Raises:
        NotApplicable: q reads several positions, or the method scores neither words nor paths.
    """
    if sentence.target is None:
        raise NotApplicable("q reads several positions, but a pattern ends in one.")
    size, first = len(sentence.tokens), explanation.each()[0]
    signed = first.tokens is not None or reference is not None
    borrowed = reference if first.tokens is None else None
    totals = word_totals(first if borrowed is None else borrowed, size)
    patterns, kept = word_patterns(explanation, totals, sentence.target), kept_words(totals, share)
    weights = totals[patterns.source] if signed and first.tokens is None else None
    chosen = np.isin(patterns.source, kept)
    drawn = strokes(patterns.select(chosen), None if weights is None else weights[chosen])
    return Panel(
        title=f"{method}   {sentence.id}",
        subtitle=_subtitle(sentence, first, reference, unit),
        words=sentence.tokens,
        target=sentence.target,
        bars=_bars(patterns, totals, size, weights is not None or not signed),
        unit=unit if signed else "product of attention",
        kept=kept,
        strokes=tuple(drawn),
        n_layers=patterns.positions.shape[1] - 1,
        signed=signed,
        note=_note(
            left_out=size - len(kept),
            share=share,
            signed=signed,
            by_word=weights is not None or first.patterns is None,
            draws=len(explanation.draws),
            borrowed=borrowed is not None,
        ),
    )


def draw_panel(figure: Figure, panel: Panel, left: float, bottom: float) -> None:
    """Draws a panel; `left` and `bottom` are the inches of its lower left corner."""
    grid, base = panel.grid, bottom + BOTTOM
    top = base + grid.height
    add_text(
        figure,
        left + 0.1,
        top + 0.38,
        with_ellipsis(panel.title, int(9.5 * panel.size[0])),
        fontsize=LARGE,
        color=INK,
        va="bottom",
    )
    add_text(figure, left + 0.1, top + 0.2, panel.subtitle, fontsize=SMALL, color=INK, va="bottom")
    _draw_bars(figure, panel, left + LABELS, base)
    start = left + LABELS + BARS + 0.15
    faint = set(range(len(panel.words))) - set(panel.kept.tolist())
    axes = add_axes(figure, start, base, grid.width, grid.height)
    draw_graph(axes, panel.strokes, grid, panel.target, signed=panel.signed, faint=faint)
    add_legend(axes, panel.strokes, panel.signed, 0.36)
    add_text(figure, start + 0.08, bottom + 0.1, panel.note, fontsize=SMALL, color=GREY, va="bottom")


def _draw_bars(figure: Figure, panel: Panel, left: float, bottom: float) -> None:
    """Draws the bars of all levels, word by word."""
    rows, height = np.arange(len(panel.words)), panel.grid.height
    axes = add_axes(figure, left, bottom, BARS, height)
    thick = min(0.4, 0.72 / len(panel.bars))
    for index, (name, values) in enumerate(panel.bars.items()):
        heights = rows + 0.5 + (index - (len(panel.bars) - 1) / 2) * thick
        axes.barh(heights, values, height=thick * 0.92, color=LEVELS[index], label=name, zorder=2)
    axes.axvline(0, color=INK, lw=0.6, zorder=3)
    axes.set_ylim(len(rows), 0)
    axes.set_yticks(rows + 0.5, [plain(with_ellipsis(w, WORD)) for w in panel.words])
    axes.locator_params(axis="x", nbins=4)
    tidy(axes)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0, labelsize=NORMAL)
    axes.grid(axis="x", color=GREY, alpha=0.25, lw=0.5)
    axes.set_xlabel(f"influence ({panel.unit})" if panel.signed else panel.unit, fontsize=SMALL, labelpad=2)
    for row, label in enumerate(axes.get_yticklabels()):
        label.set_color(INK if row in panel.kept or row == panel.target else GREY)
        label.set_fontweight("bold" if row == panel.target else "normal")
    if len(panel.bars) > 1:
        corner = (1, -0.36 / height)
        axes.legend(
            loc="upper right",
            bbox_to_anchor=corner,
            fontsize=SMALL,
            frameon=False,
            borderpad=0,
            handlelength=1,
            labelspacing=0.15,
        )


def _bars(patterns: Patterns, totals: np.ndarray, size: int, only_words: bool) -> dict[str, np.ndarray]:
    """Values of the bars: g, and the influence of each word's strongest pattern at both levels where it differs from g."""
    bars = {LEVEL_NAMES[0]: totals}
    levels = () if only_words else ((LEVEL_NAMES[1], patterns.influence), (LEVEL_NAMES[2], patterns.head_influence))
    for name, influence in levels:
        if influence is None or np.array_equal(influence, patterns.total):
            continue
        bars[name] = np.zeros(size)
        for source, value in zip(patterns.source, influence, strict=True):
            bars[name][source] = max(bars[name][source], value, key=abs)
    return bars


def _subtitle(sentence: ExplainedSentence, explanation: Explanation, reference: Explanation | None, unit: str) -> str:
    """The condition, the explained answer with q, and whether the model is right; else what the model predicts."""
    q = {**(reference.values if reference else {}), **explanation.values}.get("q")
    answer = " ".join(sentence.answer)
    if sentence.against:
        answer = f"{answer} rather than {' '.join(sentence.against)}"
    value = "" if q is None else f", q = {q:.2f} {unit}"
    condition = f"{sentence.condition}, " if sentence.condition else ""
    return f"{condition}{answer}{value}{sentence.verdict}"


def _note(*, left_out: int, share: float, signed: bool, by_word: bool, draws: int, borrowed: bool) -> str:
    """What the widths mean, where g is from, which draw is shown, and how many words are left out."""
    width, whole = ("product of attention", "the sum") if not signed else ("|g| of the word" if by_word else "|I(π)|", "Σ|g|")
    origin = f"; g is from {PATTERNS}" if borrowed else ""
    first = f"; first of {draws} draws" if draws > 1 else ""
    words = f"; {left_out} word{'s' if left_out > 1 else ''} below {share:.0%} of {whole} left out" if left_out else ""
    return f"Line width: {width}{origin}{first}{words}."
