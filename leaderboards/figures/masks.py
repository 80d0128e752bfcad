"""Keep probabilities: of one sentence by depth and token, and of two texts by depth (De Cao et al. 2020, figures 6 and 7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...benchmark.store.explanation_file import ExplainedSentence
from ...core.errors import NotApplicable
from ...methods.explanation import Explanation
from ...metrics.bootstrap import condition_groups, interval, mean_of_sums
from .attribution import says
from .source import CellExplanations
from .style import (
    GREY,
    INK,
    LARGE,
    LINES,
    MARKERS,
    METHODS,
    NORMAL,
    SMALL,
    add_axes,
    add_text,
    new_figure,
    plain,
    shortened,
    tidy,
)

CELL_WIDTH, CELL_HEIGHT, LEFT, TOP, LETTER = 0.34, 0.26, 0.62, 0.92, 0.075
"""Inches: of a state, left of the map, above it, and of a letter below it."""
WORD = 12
TEXTS = {"squad": ("question", "passage"), "mnli": ("premise", "hypothesis"), "toy/counting": ("query", "sequence")}
"""What the two texts of a task are; others are the first and the second."""


def depth_names(depths: int) -> list[str]:
    """E for word vectors, then 1 for hidden[0] and so on, as the paper labels them.

    >>> depth_names(4)
    ['E', '1', '2', '3']
    """
    return ["E", *(str(depth) for depth in range(1, depths))]


def mask_view(explanation: Explanation) -> Float[np.ndarray, "depths tokens"]:
    """P(keep), the mean over draws.

    Raises:
        NotApplicable: It has none.
    """
    masks = [one.mask for one in explanation.each() if one.mask is not None]
    if not masks:
        raise NotApplicable(f"the method gives {', '.join(sorted(explanation.views))}; keep probabilities are read from a mask.")
    found: np.ndarray = np.mean(masks, 0)
    return found


def mask_figure(label: str, sentence: ExplainedSentence, explanation: Explanation) -> Figure:
    """P(keep) of every state of a sentence: tokens as columns, depths as rows, the word vectors below.

    Raises:
        NotApplicable: The method gives no mask.
    """
    mask = mask_view(explanation)
    depths, tokens = mask.shape
    words = [shortened(word, WORD) for word in sentence.tokens]
    wide, below = max(tokens * CELL_WIDTH, 3.2), 0.2 + LETTER * max(map(len, words))
    figure = new_figure(LEFT + wide + 0.75, TOP + depths * CELL_HEIGHT + below)
    width, height = (float(x) for x in figure.get_size_inches())
    title = shortened(f"{label}   {sentence.id}", int(9.5 * width))
    add_text(figure, 0.12, height - 0.12, title, fontsize=LARGE, color=INK, va="top")
    add_text(figure, 0.12, height - 0.36, says(sentence, explanation), fontsize=SMALL, color=INK, va="top")
    axes = add_axes(figure, LEFT, below, tokens * CELL_WIDTH, depths * CELL_HEIGHT)
    image = axes.imshow(mask, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest", origin="lower")
    axes.set_yticks(range(depths), depth_names(depths), fontsize=SMALL)
    axes.set_ylabel("depth", fontsize=NORMAL)
    axes.set_xticks(range(tokens), [plain(word) for word in words], fontsize=SMALL, rotation=90)
    axes.tick_params(length=0, pad=2, colors=INK)
    for spine in axes.spines.values():
        spine.set_color(GREY)
        spine.set_linewidth(0.6)
    bar = add_axes(figure, LEFT + tokens * CELL_WIDTH + 0.12, below, 0.1, depths * CELL_HEIGHT)
    figure.colorbar(image, cax=bar, ticks=[0, 0.5, 1]).outline.set_visible(False)
    bar.tick_params(labelsize=SMALL, length=0, colors=INK)
    bar.set_title("P(keep)", fontsize=SMALL, color=INK, loc="left")
    return figure


@dataclass(frozen=True, eq=False)
class MaskCurve:
    """Mean keep probability of some tokens by depth, with its 95 % interval.

    Attributes:
        name: Which tokens.
        value, low, high: By depth.
        count: Instances that have such tokens.
    """

    name: str
    value: Float[np.ndarray, " depths"]
    low: Float[np.ndarray, " depths"]
    high: Float[np.ndarray, " depths"]
    count: int


def text_curves(explained: CellExplanations, task: str) -> list[MaskCurve]:
    """Curves of the first text, the second and the special tokens; means of an instance first.

    Raises:
        NotApplicable: Sentences of one text, or a method without masks.
    """
    names = TEXTS.get(task.partition(":")[0], ("first text", "second text"))
    segments = {0: names[0], 1: names[1], -1: "special tokens"}
    means: dict[int, list[np.ndarray]] = {segment: [] for segment in segments}
    conditions: dict[int, list[str]] = {segment: [] for segment in segments}
    for name, sentence in explained.sentences.items():
        mask, of = mask_view(explained.gold[name]), np.array([segment for segment, _ in sentence.words])
        for segment, found in means.items():
            if (of == segment).any():
                found.append(mask[:, of == segment].mean(1))
                conditions[segment].append(sentence.condition)
    if not means[1]:
        raise NotApplicable(f"the sentences of {task} have one text, and two are held against each other.")
    return [_curve(name, means[s], conditions[s]) for s, name in segments.items() if means[s]]


def _curve(name: str, means: Sequence[np.ndarray], conditions: Sequence[str]) -> MaskCurve:
    features = np.c_[np.stack(means), np.ones(len(means))]
    return MaskCurve(name, *interval(features, condition_groups(np.array(conditions)), mean_of_sums), len(means))


def texts_figure(title: str, panels: Sequence[tuple[str, Sequence[MaskCurve]]]) -> Figure:
    """A panel a method: how long the tokens of either text are kept."""
    figure = new_figure(0.75 + len(panels) * 3.5 + 1.4, 3.75)
    for number, (label, curves) in enumerate(panels):
        axes = add_axes(figure, 0.75 + number * 3.5, 0.6, 3.0, 2.2)
        _draw(axes, curves)
        axes.set_title(label, fontsize=NORMAL, loc="left", color=INK)
        if number == 0:
            axes.set_ylabel("P(keep), mean over tokens", fontsize=NORMAL)
    width, height = figure.get_size_inches()
    handles, names = axes.get_legend_handles_labels()
    place = ((0.75 + len(panels) * 3.5 - 0.35) / width, 1 - 0.95 / height)
    figure.legend(handles, names, loc="upper left", bbox_to_anchor=place, fontsize=SMALL, frameon=False, handlelength=2.6)
    add_text(figure, 0.2, height - 0.34, title, fontsize=LARGE, color=INK, va="bottom")
    most = max(curve.count for _, curves in panels for curve in curves)
    note = f"{most} instances, means of an instance first; bands are 95 % intervals; E: word vectors"
    add_text(figure, 0.2, height - 0.55, note, fontsize=SMALL, color=GREY, va="bottom")
    return figure


def _draw(axes: Axes, curves: Sequence[MaskCurve]) -> None:
    tidy(axes)
    depths = np.arange(len(curves[0].value))
    for number, curve in enumerate(curves):
        colour = METHODS[number]
        axes.plot(depths, curve.value, lw=1.6, ms=3.5, label=curve.name, color=colour, ls=LINES[number], marker=MARKERS[number])
        axes.fill_between(depths, curve.low, curve.high, color=colour, alpha=0.15, lw=0)
    axes.set_xticks(depths, depth_names(len(depths)), fontsize=SMALL)
    axes.set_xlabel("depth", fontsize=NORMAL)
    axes.set_ylim(-0.02, 1.02)
