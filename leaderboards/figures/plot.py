"""`plot`: draws the figures of a store by name, as PNG and SVG, without pyplot and its global state."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from matplotlib.figure import Figure

from ...benchmark.store.store import Store
from ...core.errors import FlowgaugeError, UnknownName, UsageError
from ..stored.comparable_cells import ComparableCells
from ..tables.columns import PATTERNS
from .aggregate import LEAST, aggregate_figure, superpose
from .attribution import attribution_drawing, attribution_figure
from .circuit import circuit_drawing, circuit_figure
from .counting import choose_examples, counting_cells, counting_example, counting_figure
from .curves import CURVES, UNITS, curve_figure
from .depth_kept import depth_figure
from .entropy import entropy_figure
from .heads import ATTENTION, head_overview, heads_figure
from .masks import MaskCurve, frontier_figure, mask_figure, text_curves, texts_figure
from .pattern import gallery_pages, panels, pattern_figure
from .pattern_strokes import SHARE
from .pruning import layer_pruning_figure, pruning_figure
from .receptive_field import receptive_figure
from .source import CellExplanations, ExplanationSource, check_instances, one_a_condition, unit_of
from .style import save, settings

ATTRIBUTION = "attattr"
"""The method whose attribution graphs and heads are drawn by default."""
CIRCUIT = "eap-ig"
"""The method whose circuits are drawn by default."""
MASKS = ("diffmask-input", "diffmask-hidden")
"""The methods whose masks are drawn by default."""
T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FigureOptions:
    """What is drawn of a store.

    Attributes:
        instances: Identifiers of instances; empty for the first of each condition. Two stand side by side in a `pattern`.
        condition: The condition of an `aggregate`; None for all, each in a panel of its own.
        share: Words with a smaller share of the sum of |g| are left out.
        least: Edges in a smaller share of sentences are left out of an `aggregate`.
    """

    instances: tuple[str, ...] = ()
    condition: str | None = None
    share: float = SHARE
    least: float = LEAST


NamedFigures = Iterator[tuple[str, Figure]]
"""Figures, each with the stem of its files' names."""


def plot(
    store_url: str,
    what: str = "all",
    out: str | Path = "figures",
    *,
    model: str | None = None,
    task: str | None = None,
    method: str | None = None,
    instance: str | Sequence[str] = (),
    condition: str | None = None,
    share: float = SHARE,
    least: float = LEAST,
) -> list[Path]:
    """Draws figures of a store as PNG and SVG.

    Args:
        store_url: A folder or fsspec URL of results.
        what: `pattern`, `aggregate`, `entropy`, `curve`, `pruning`, `receptive`, `attribution`, `heads`, `circuit`, `mask`,
            `texts`, `depth`, `frontier`, `counting`, `gallery`, or `all` for every figure that the store has data for.
        out: The folder to write into.
        model: Limits the figures to one model.
        task: Limits the figures to one task.
        method: Limits the figures to one method. By default, curves and depths show all methods, attribution and heads show
            attattr, circuits eap-ig, mask and texts show both DiffMask methods, and other figures show influence-patterns.
        instance: Identifiers of instances; by default the first instance of each condition.
        condition: The condition of an aggregate; by default every condition.
        share: Words with a smaller share of the sum of |g| are left out.
        least: Edges in a smaller share of sentences are left out of an aggregate.

    Returns:
        The files written, a PNG and an SVG of each figure.

    Raises:
        UsageError: A name is unknown (near matches are given), or the store lacks the data of the figure.
    """
    if what != "all" and what not in FIGURES:
        raise UnknownName("figure", what, [*FIGURES, "all"])
    for name, value in (("share", share), ("least", least)):
        if not 0 <= value < 1:
            raise UsageError(f"{name} must lie in [0, 1), got {value}.")
    instances = (instance,) if isinstance(instance, str) else tuple(instance)
    options = FigureOptions(instances=instances, condition=condition, share=share, least=least)
    source = ExplanationSource(store_url, model, task, method)
    return _draw_all(source, options, Path(out)) if what == "all" else _draw(source, what, options, Path(out))


def _draw_all(source: ExplanationSource, options: FigureOptions, out: Path) -> list[Path]:
    """Draws every kind of figure that the store has data for.

    Raises:
        UsageError: The store has data for no figure; the message lists the reasons.
        UnknownName: No cell has a named instance or condition, which some figures do not ask for.
    """
    _check_options(source, options)
    paths, reasons = list[Path](), dict[str, list[str]]()
    for what in FIGURES:
        try:
            paths += _draw(source, what, options, out)
        except FlowgaugeError as reason:
            log.info("no %s: %s", what, reason)
            reasons.setdefault(str(reason), []).append(what)
    if not paths:
        listed = " ".join(f"{', '.join(figures)}: {reason}" for reason, figures in reasons.items())
        raise UsageError(f"no figure can be drawn of {source.url!r}. {listed}")
    return paths


def _check_options(source: ExplanationSource, options: FigureOptions) -> None:
    """Checks that some cell has each instance and the condition that are named.

    Raises:
        UnknownName: None has.
    """
    if options.instances or options.condition:
        store = Store(source.url)
        cells = [store.find(record).sentences() for group in source.groups for record in group.records]
        check_instances(options.instances, list({id: None for cell in cells for id in cell}))
        conditions = {sentence.condition for cell in cells for sentence in cell.values()}
        if options.condition and options.condition not in conditions:
            raise UnknownName("condition in this store", options.condition, sorted(conditions))


def _draw(source: ExplanationSource, what: str, options: FigureOptions, out: Path) -> list[Path]:
    """Draws one kind of figure.

    Raises:
        FlowgaugeError: No figure of this kind can be drawn.
    """
    paths = []
    with settings():
        for stem, figure in FIGURES[what](source, options):
            paths += save(figure, out, stem)
    return paths


class DrawableCell(NamedTuple):
    """A cell of which sentences are drawn.

    Attributes:
        group: The group that the cell is in.
        explained: Its explanations.
        reference: The group's explanations by influence patterns, where it has them.
        instances: Those of the chosen instances that the cell explains.
    """

    group: ComparableCells
    explained: CellExplanations
    reference: CellExplanations | None
    instances: tuple[str, ...]


def _where_possible(drawings: Iterable[Callable[[], Iterable[T]]]) -> Iterator[T]:
    """The results of functions, without those of functions that refuse; a refusal of all of them is raised again."""
    refusals, count = list[FlowgaugeError](), 0
    for draw in drawings:
        try:
            results = list(draw())
        except FlowgaugeError as refusal:
            refusals.append(refusal)
            continue
        count += 1
        yield from results
    if refusals and not count:
        raise refusals[0]


def _cells(source: ExplanationSource, options: FigureOptions, *default: str) -> list[DrawableCell]:
    """The cells with explanations by the method, or by the default methods where none is named.

    Where instances are named, only cells that explain one of them are returned.

    Raises:
        UsageError: There are no such cells, or no cell explains a named instance.
    """

    def explained_of(group: ComparableCells) -> Iterator[tuple[ComparableCells, CellExplanations]]:
        for label in source.labels(group, default or (PATTERNS,)):
            yield group, source.explained(group, label)

    cells = []
    for group, explained in _where_possible(partial(explained_of, group) for group in source.groups):
        instances = tuple(id for id in options.instances if id in explained.sentences)
        cells.append(DrawableCell(group, explained, source.reference(group), instances))
    check_instances(options.instances, [id for cell in cells for id in cell.explained.sentences])
    return [cell for cell in cells if cell.instances or not options.instances]


def _instances(source: ExplanationSource, options: FigureOptions, *default: str) -> Iterator[tuple[DrawableCell, str]]:
    """The chosen instances of every cell, or the first instance of each where none is named."""
    for cell in _cells(source, options, *default):
        for id in cell.instances or one_a_condition(cell.explained)[:1]:
            yield cell, id


def _stem(what: str, group: ComparableCells, label: str = "", id: str = "") -> str:
    """The stem of a file's name; the task, which already stands in it, is removed from the identifier of the instance."""
    return " ".join(part for part in (what, group.model, group.task, label, id.removeprefix(f"{group.task}/")) if part)


def _pattern(source: ExplanationSource, options: FigureOptions) -> NamedFigures:
    for group, explained, reference, instances in _cells(source, options):
        ids = instances or tuple(one_a_condition(explained)[:1])
        shown = panels(explained, reference, ids, options.share)
        figures = [shown] if len(shown) == 2 else [[panel] for panel in shown]
        names = [" and ".join(ids)] if len(shown) == 2 else ids
        for name, members in zip(names, figures, strict=True):
            yield _stem("pattern", group, explained.label, name), pattern_figure(members)


def _aggregate(source: ExplanationSource, options: FigureOptions) -> NamedFigures:
    for group, explained, reference, _ in _cells(source, options):
        known = sorted({s.condition for s in explained.sentences.values()})
        conditions = [options.condition] if options.condition is not None else known
        shown = [superpose(explained, reference, condition, share=options.share, least=options.least) for condition in conditions]
        yield f"{_stem('aggregate', group, explained.label)} {options.condition or ''}", aggregate_figure(shown)


def _entropy(source: ExplanationSource, options: FigureOptions) -> NamedFigures:
    for model in dict.fromkeys(group.model for group in source.groups):
        members = [group for group in source.groups if group.model == model]
        reference = next((r for group in members if (r := group.of_method(PATTERNS)) is not None), None)
        yield f"entropy {model}", entropy_figure(members, "units of q" if reference is None else unit_of(reference))


def _of_groups(source: ExplanationSource, options: FigureOptions, draw: Mapping[str, Callable[..., Figure]]) -> NamedFigures:
    """Figures that show all methods of a task; a task without the scores of a figure is passed over.

    Raises:
        UsageError: No task has the scores.
    """

    def figure_of(group: ComparableCells, what: str) -> NamedFigures:
        labels = None if source.method is None else source.labels(group)
        yield _stem(what, group), draw[what](group, labels=labels)

    return _where_possible(partial(figure_of, group, what) for group in source.groups for what in draw)


def _gallery(source: ExplanationSource, options: FigureOptions) -> NamedFigures:
    for group, explained, reference, instances in _cells(source, options):
        pages = gallery_pages(explained, reference, instances, options.share)
        for page_number, page in enumerate(pages, 1):
            yield _stem("gallery", group, explained.label, str(page_number) if len(pages) > 1 else ""), page


def _attribution(source: ExplanationSource, options: FigureOptions) -> NamedFigures:
    for (group, explained, *_), id in _instances(source, options, ATTRIBUTION):
        drawing = attribution_drawing(explained.label, explained.sentences[id], explained.gold[id])
        yield _stem("attribution", group, explained.label, id), attribution_figure(drawing)


def _heads(source: ExplanationSource, options: FigureOptions) -> NamedFigures:
    for (group, explained, *_), id in _instances(source, options, ATTRIBUTION):
        attention = source.explained(group, ATTENTION).gold.get(id) if ATTENTION in group.by_label() else None
        maps = head_overview(explained.label, explained.sentences[id], explained.gold[id], attention)
        yield _stem("heads", group, explained.label, id), heads_figure(maps)


def _circuit(source: ExplanationSource, options: FigureOptions) -> NamedFigures:
    for (group, explained, *_), id in _instances(source, options, CIRCUIT):
        drawing = circuit_drawing(explained.label, explained.sentences[id], explained.gold[id])
        yield _stem("circuit", group, explained.label, id), circuit_figure(drawing)


def _counting(source: ExplanationSource, options: FigureOptions) -> NamedFigures:
    def examples_of(group: ComparableCells) -> NamedFigures:
        cells = counting_cells(source, group)
        for id in choose_examples(cells, options.instances):
            yield _stem("counting", group, id=id), counting_figure(counting_example(cells, id))

    return _where_possible(partial(examples_of, group) for group in source.groups)


def _mask(source: ExplanationSource, options: FigureOptions) -> NamedFigures:
    for (group, explained, *_), id in _instances(source, options, *MASKS):
        yield _stem("mask", group, explained.label, id), mask_figure(explained.label, explained.sentences[id], explained.gold[id])


def _texts(source: ExplanationSource, options: FigureOptions) -> NamedFigures:
    def curves_of(group: ComparableCells, explained: CellExplanations) -> Iterator[tuple[str, str, str, list[MaskCurve]]]:
        title = f"Keep probability of each text   {group.task}   {group.model}"
        yield _stem("texts", group), title, explained.label, text_curves(explained, group.task)

    panels_of: dict[tuple[str, str], list[tuple[str, list[MaskCurve]]]] = {}
    cells = _cells(source, options, *MASKS)
    for stem, title, label, curves in _where_possible(partial(curves_of, cell.group, cell.explained) for cell in cells):
        panels_of.setdefault((stem, title), []).append((label, curves))
    for (stem, title), members in panels_of.items():
        yield stem, texts_figure(title, members)


CURVE_FIGURES = {
    f"{metric.replace('_', '-')}{' of heads' if unit == 'heads' else ''}": partial(curve_figure, metric=metric, unit=unit)
    for metric in CURVES
    for unit in UNITS
}
"""The functions that draw curves, by what the names of their files begin with."""
PRUNING_FIGURES = {"head-pruning": pruning_figure, "layer-head-pruning": layer_pruning_figure}
"""The functions that draw the accuracy without heads, in the same way."""
FIGURES: dict[str, Callable[[ExplanationSource, FigureOptions], NamedFigures]] = {
    "pattern": _pattern,
    "aggregate": _aggregate,
    "entropy": _entropy,
    "curve": partial(_of_groups, draw=CURVE_FIGURES),
    "pruning": partial(_of_groups, draw=PRUNING_FIGURES),
    "receptive": partial(_of_groups, draw={"receptive-field": receptive_figure}),
    "gallery": _gallery,
    "attribution": _attribution,
    "heads": _heads,
    "circuit": _circuit,
    "counting": _counting,
    "mask": _mask,
    "texts": _texts,
    "depth": partial(_of_groups, draw={"depth-kept": depth_figure}),
    "frontier": partial(_of_groups, draw={"mask-frontier": frontier_figure}),
}
"""The function that draws each kind of figure, by name."""
