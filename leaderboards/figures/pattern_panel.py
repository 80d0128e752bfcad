"""One sentence under one method: bars of the words' influence beside the layered graph, in the same rows."""

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
from .style import GREY, INK, LARGE, LEVELS, NORMAL, SMALL, add_axes, add_text, plain, shortened, tidy

BARS, LABELS, TOP, BOTTOM = 1.5, 1.05, 0.62, 0.85
"""Inches: width of the bars, width of the words, height above and below the rows."""
WORD = 13
"""Characters of a word that fit."""
LEVEL_NAMES = ("g", "I(π), embedding level", "I(π), attention level")


@dataclass(frozen=True, eq=False)
class Panel:
    """What is drawn of one sentence.

    Attributes:
        title: Method and instance.
        subtitle: What q is and what the model says.
        words: Text of each row.
        target: The row q reads.
        bars: One value a row for each level, by name.
        unit: Of bars and widths.
        kept: Rows whose pattern is drawn.
        strokes: The edges.
        n_layers: Of the model.
        signed: Whether colours mean sign.
        note: What is left out, and where widths are from.
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
        """Places of the nodes; deep models get narrower columns."""
        return Grid(self.n_layers, len(self.words), 0.95 if self.n_layers <= 12 else 0.8)

    @property
    def size(self) -> tuple[float, float]:
        """Inches it needs."""
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
    """What to draw of a sentence.

    Args:
        method: Its label.
        sentence: From the store.
        explanation: By the method.
        reference: Of `influence-patterns` for the same sentence: the words drawn and their sign, where the method has no sign.
        unit: Of q.
        share: Words with less of sum |g| are left out.

    Raises:
        NotApplicable: q reads several positions, or the method shows neither words nor paths.
    """
    if sentence.target is None:
        raise NotApplicable("q reads several positions, and a pattern ends in one.")
    size, one = len(sentence.tokens), explanation.each()[0]
    signed = one.tokens is not None or reference is not None
    totals = word_totals(reference if one.tokens is None and reference is not None else one, size)
    patterns, kept = word_patterns(explanation, totals, sentence.target), kept_words(totals, share)
    weights = totals[patterns.source] if signed and one.tokens is None else None
    chosen = np.isin(patterns.source, kept)
    drawn = strokes(patterns.select(chosen), None if weights is None else weights[chosen])
    return Panel(
        title=f"{method}   {sentence.id}",
        subtitle=_subtitle(sentence, one, reference, unit),
        words=sentence.tokens,
        target=sentence.target,
        bars=_bars(patterns, totals, size, weights is not None or not signed),
        unit=unit if signed else "product of attention",
        kept=kept,
        strokes=tuple(drawn),
        n_layers=patterns.positions.shape[1] - 1,
        signed=signed,
        note=_note(
            size - len(kept),
            share,
            signed,
            weights is not None or one.patterns is None,
            len(explanation.draws),
            one.tokens is None and reference is not None,
        ),
    )


def draw_panel(figure: Figure, panel: Panel, left: float, bottom: float) -> None:
    """Draws a panel with its lower left corner at a place in inches."""
    grid, base = panel.grid, bottom + BOTTOM
    top = base + grid.height
    add_text(
        figure, left + 0.1, top + 0.38, shortened(panel.title, int(9.5 * panel.size[0])), fontsize=LARGE, color=INK, va="bottom"
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
    rows, height = np.arange(len(panel.words)), panel.grid.height
    axes = add_axes(figure, left, bottom, BARS, height)
    thick = min(0.4, 0.72 / len(panel.bars))
    for number, (name, values) in enumerate(panel.bars.items()):
        place = rows + 0.5 + (number - (len(panel.bars) - 1) / 2) * thick
        axes.barh(place, values, height=thick * 0.92, color=LEVELS[number], label=name, zorder=2)
    axes.axvline(0, color=INK, lw=0.6, zorder=3)
    axes.set_ylim(len(rows), 0)
    axes.set_yticks(rows + 0.5, [plain(shortened(w, WORD)) for w in panel.words])
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
    """g, and each word's strongest pattern at both levels."""
    made = {LEVEL_NAMES[0]: totals}
    levels = () if only_words else ((LEVEL_NAMES[1], patterns.influence), (LEVEL_NAMES[2], patterns.head_influence))
    for name, influence in levels:
        if influence is None or np.array_equal(influence, patterns.total):
            continue
        made[name] = np.zeros(size)
        for source, value in zip(patterns.source, influence, strict=True):
            made[name][source] = max(made[name][source], value, key=abs)
    return made


def _subtitle(sentence: ExplainedSentence, one: Explanation, reference: Explanation | None, unit: str) -> str:
    q = {**(reference.values if reference else {}), **one.values}.get("q")
    said = "right" if sentence.correct else f"wrong: {' '.join(sentence.predicted)}"
    asked = (
        f"{' '.join(sentence.answer)} rather than {' '.join(sentence.against)}" if sentence.against else " ".join(sentence.answer)
    )
    value = "" if q is None else f", q = {q:.2f} {unit}"
    condition = f"{sentence.condition}, " if sentence.condition else ""
    return f"{condition}{asked}{value}, the model is {said}"


def _note(left_out: int, share: float, signed: bool, by_word: bool, draws: int, borrowed: bool) -> str:
    width, whole = ("product of attention", "the sum") if not signed else ("|g| of the word" if by_word else "|I(π)|", "Σ|g|")
    origin = f"; g by {PATTERNS}" if borrowed else ""
    first = f"; the first of {draws} draws" if draws > 1 else ""
    words = f"; {left_out} words under {share:.0%} of {whole} left out" if left_out else ""
    return f"width: {width}{origin}{first}{words}"
