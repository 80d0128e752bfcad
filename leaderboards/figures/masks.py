"""Keep probabilities of a sentence and of two texts (figures 6, 7 of De Cao et al. 2020), and F1 against the share masked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...benchmark.store.explanation_file import ExplainedSentence
from ...core.errors import NotApplicable, UsageError
from ...methods.explanation import Explanation
from ...metrics.scores import count_in_words
from ...metrics.statistics.intervals import mean_intervals
from ...metrics.statistics.units import clusters_of
from ..stored.comparable_cells import ComparableCells
from ..tables.mask_frontier import F1, PUBLISHED, MaskFrontier, mask_frontiers
from . import style
from .attribution import answer_line
from .source import CellExplanations

CELL_WIDTH, CELL_HEIGHT, LEFT, TOP, LETTER = 0.34, 0.26, 0.62, 0.92, 0.075
"""Inches: width and height of a state, space left of the map and above it, and height of a letter below it."""
WORD = 12
"""The largest number of characters of a word below the map."""
TEXTS = {"squad": ("question", "passage"), "mnli": ("premise", "hypothesis"), "toy/counting": ("query", "sequence")}
"""What the two texts of a task are called; those of other tasks are called the first and the second text."""


def depth_names(depths: int) -> list[str]:
    """Labels of depths as in the paper: E for word vectors, then 1 for hidden[0] and so on.

    >>> depth_names(4)
    ['E', '1', '2', '3']
    """
    return ["E", *(str(depth) for depth in range(1, depths))]


def mask_view(explanation: Explanation) -> Float[np.ndarray, "depths tokens"]:
    """P(keep) of every state, the mean over draws.

    Raises:
        NotApplicable: The explanation has no mask.
    """
    masks = [draw.mask for draw in explanation.each() if draw.mask is not None]
    if not masks:
        raise NotApplicable(f"the method gives {', '.join(sorted(explanation.views))}; keep probabilities are read from a mask.")
    mean: np.ndarray = np.mean(masks, 0)
    return mean


def mask_figure(label: str, sentence: ExplainedSentence, explanation: Explanation) -> Figure:
    """Draws P(keep) of every state of a sentence: tokens as columns, depths as rows, the word vectors lowest.

    Raises:
        NotApplicable: The method gives no mask.
    """
    mask = mask_view(explanation)
    depths, tokens = mask.shape
    words = [style.with_ellipsis(word, WORD) for word in sentence.tokens]
    wide, below = max(tokens * CELL_WIDTH, 3.2), 0.2 + LETTER * max(map(len, words))
    figure = style.new_figure(LEFT + wide + 0.75, TOP + depths * CELL_HEIGHT + below)
    style.add_sentence_head(figure, f"{label}   {sentence.id}", answer_line(sentence, explanation))
    axes = style.add_axes(figure, LEFT, below, tokens * CELL_WIDTH, depths * CELL_HEIGHT)
    image = axes.imshow(mask, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest", origin="lower")
    axes.set_yticks(range(depths), depth_names(depths), fontsize=style.SMALL)
    axes.set_ylabel("depth", fontsize=style.NORMAL)
    axes.set_xticks(range(tokens), [style.plain(word) for word in words], fontsize=style.SMALL, rotation=90)
    axes.tick_params(length=0, pad=2, colors=style.INK)
    axes.spines[:].set(color=style.GREY, linewidth=0.6)
    bar = style.add_axes(figure, LEFT + tokens * CELL_WIDTH + 0.12, below, 0.1, depths * CELL_HEIGHT)
    figure.colorbar(image, cax=bar, ticks=[0, 0.5, 1]).outline.set_visible(False)
    bar.tick_params(labelsize=style.SMALL, length=0, colors=style.INK)
    bar.set_title("P(keep)", fontsize=style.SMALL, color=style.INK, loc="left")
    return figure


@dataclass(frozen=True, eq=False)
class MaskCurve:
    """The mean keep probability of a kind of tokens by depth, with its 95 % interval.

    Attributes:
        name: The kind of tokens.
        value, low, high: The mean and its interval at each depth.
        count: The number of instances that have such tokens.
        clusters: How many clusters these are in; None where each is by itself.
    """

    name: str
    value: Float[np.ndarray, " depths"]
    low: Float[np.ndarray, " depths"]
    high: Float[np.ndarray, " depths"]
    count: int
    clusters: int | None = None


def text_curves(explained: CellExplanations, task: str) -> list[MaskCurve]:
    """Curves of the first text, of the second text and of the special tokens.

    The tokens of an instance are averaged first, so that every instance counts the same.

    Args:
        explained: The explanations of one cell.
        task: The name of the task, from which the names of the texts follow.

    Raises:
        NotApplicable: The sentences have only one text, or the method gives no mask.
    """
    names = TEXTS.get(task.partition(":")[0], ("first text", "second text"))
    segments = {0: names[0], 1: names[1], -1: "special tokens"}
    means: dict[int, list[np.ndarray]] = {segment: [] for segment in segments}
    having: dict[int, list[ExplainedSentence]] = {segment: [] for segment in segments}
    for name, sentence in explained.sentences.items():
        mask, segment_of = mask_view(explained.gold[name]), np.array([segment for segment, _ in sentence.words])
        for segment, instance_means in means.items():
            if (segment_of == segment).any():
                instance_means.append(mask[:, segment_of == segment].mean(1))
                having[segment].append(sentence)
    if not means[1]:
        raise NotApplicable(f"the sentences of {task} have one text, and this figure compares two.")
    return [_curve(name, means[s], having[s]) for s, name in segments.items() if means[s]]


def _curve(name: str, means: Sequence[np.ndarray], sentences: Sequence[ExplainedSentence]) -> MaskCurve:
    """The mean of the instances' means, with its interval."""
    conditions, clusters = (np.array([getattr(s, of) for s in sentences], str) for of in ("condition", "cluster"))
    value, low, high = mean_intervals(np.stack(means, 1), conditions, clusters, (0.0, 1.0)).T
    return MaskCurve(name, value, low, high, len(means), clusters_of(clusters))


def texts_figure(title: str, panels: Sequence[tuple[str, Sequence[MaskCurve]]]) -> Figure:
    """Draws a panel for each method: how likely the tokens of either text are kept at each depth."""
    figure = style.new_figure(0.75 + len(panels) * 3.5 + 1.4, 3.75)
    for index, (label, curves) in enumerate(panels):
        axes = style.add_axes(figure, 0.75 + index * 3.5, 0.6, 3.0, 2.2)
        _draw(axes, curves)
        axes.set_title(label, fontsize=style.NORMAL, loc="left", color=style.INK)
        if index == 0:
            axes.set_ylabel("P(keep), mean over tokens", fontsize=style.NORMAL)
    width, height = figure.get_size_inches()
    handles, names = axes.get_legend_handles_labels()
    corner = ((0.75 + len(panels) * 3.5 - 0.35) / width, 1 - 0.95 / height)
    figure.legend(handles, names, loc="upper left", bbox_to_anchor=corner, fontsize=style.SMALL, frameon=False, handlelength=2.6)
    style.add_text(figure, 0.2, height - 0.34, title, fontsize=style.LARGE, color=style.INK, va="bottom")
    most = max((curve for _, curves in panels for curve in curves), key=lambda curve: curve.count)
    count = count_in_words(most.count, most.clusters)
    note = f"{count}; tokens are averaged within each instance first. Bands: 95 % intervals. E: word vectors."
    style.add_text(figure, 0.2, height - 0.55, note, fontsize=style.SMALL, color=style.GREY, va="bottom")
    return figure


def _draw(axes: Axes, curves: Sequence[MaskCurve]) -> None:
    """Draws curves with their intervals as bands."""
    style.tidy(axes)
    depths = np.arange(len(curves[0].value))
    for index, curve in enumerate(curves):
        colour, line, marker = style.METHODS[index], style.LINES[index], style.MARKERS[index]
        axes.plot(depths, curve.value, lw=1.6, ms=3.5, label=curve.name, color=colour, ls=line, marker=marker)
        axes.fill_between(depths, curve.low, curve.high, color=colour, alpha=0.15, lw=0)
    axes.set_xticks(depths, depth_names(len(depths)), fontsize=style.SMALL)
    axes.set_xlabel("depth", fontsize=style.NORMAL)
    axes.set_ylim(-0.02, 1.02)


def frontier_figure(group: ComparableCells, labels: Sequence[str] | None = None) -> Figure:
    """Draws macro-F1 against the share masked, one curve a method: a point is a margin, with the spread over seeds.

    Raises:
        UsageError: No method has scores by masked_f1 and share_masked at two margins.
    """
    shown = mask_frontiers(group, labels)
    if not shown:
        raise UsageError(
            f"no method of {group.task} has masks of two margins with scores by {F1[0]} and share_masked: run it with several, "
            "such as --method diffmask-hidden:margin=.05 --method diffmask-hidden:margin=.1."
        )
    figure = style.new_figure(9.4, 4.2)
    axes = style.add_axes(figure, 0.75, 0.6, 4.6, 2.75)
    for index, frontier in enumerate(shown):
        _draw_frontier(axes, frontier, index)
    axes.axhline(shown[0].whole, color=style.GREY, lw=0.8, ls=":")
    axes.text(1.01, shown[0].whole, "whole model", fontsize=style.SMALL, color=style.GREY, va="center")
    for share in PUBLISHED:
        axes.axvline(share, color=style.FAINT, lw=0.8, zorder=0)
        axes.text(share, 1.01, f"{share:.2f}", fontsize=style.SMALL, color=style.GREY, ha="center", va="bottom",
                  transform=axes.get_xaxis_transform())  # fmt: skip
    style.tidy(axes)
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of words or states masked, mean over depths", fontsize=style.NORMAL)
    axes.set_ylabel("macro-F1", fontsize=style.NORMAL)
    axes.legend(loc="upper left", bbox_to_anchor=(1.2, 1), borderaxespad=0, fontsize=style.SMALL, frameon=False, handlelength=3.2,
                title="method, and F1 read at each share", title_fontsize=style.SMALL, alignment="left")  # fmt: skip
    note = (
        f"{group.instances} instances. Points: margins, mean over seeds; bars: sd over seeds. "
        "Vertical lines: the shares of De Cao et al. 2020."
    )
    style.add_task_head(figure, f"F1 against share masked   {group.task}   {group.model}", note)
    return figure


def _draw_frontier(axes: Axes, frontier: MaskFrontier, index: int) -> None:
    colour, line = style.line_style(index)
    points = frontier.means()
    read = []
    for share in PUBLISHED:
        values = frontier.at(share)
        known = values[~np.isnan(values)]
        spread = f", sd {known.std(ddof=1):.3f}" if len(known) > 1 else ""
        counted = f" ({len(known)} of {len(values)} seeds{spread})"
        read.append(f"{share:.2f}: {known.mean():.3f}{counted}" if len(known) else f"{share:.2f}: -")
    bars = {"xerr": points["share_sd"].fillna(0), "yerr": points["f1_sd"].fillna(0)}
    axes.errorbar(points["share"], points["f1"], **bars, color=colour, ls=line, lw=1.6, marker=style.MARKERS[index % 7], ms=4,
                  elinewidth=0.8, label="\n".join([frontier.label, *read]))  # fmt: skip
    for margin, x, y in zip(points["margin"], points["share"], points["f1"], strict=True):
        axes.annotate(margin, (x, y), textcoords="offset points", xytext=(4, 4), fontsize=style.SMALL, color=colour)
