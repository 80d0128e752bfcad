"""`plot`: the figures of a store by name, as PNG and SVG. No torch, no pyplot."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from ...core.errors import FlowgaugeError, UnknownName, UsageError
from ..stored.comparable_cells import ComparableCells
from ..tables.columns import PATTERNS
from .aggregate import LEAST, aggregate_figure, superpose
from .attribution import attribution_figure, make_drawing
from .counting import choose, counting_cells, counting_figure, make_counting
from .curves import CURVES, UNITS, curve_figure
from .depth_kept import depth_figure
from .entropy import entropy_figure
from .heads import ATTENTION, heads_figure, make_maps
from .masks import MaskCurve, mask_figure, text_curves, texts_figure
from .pattern import gallery_pages, panels, pattern_figure
from .pattern_strokes import SHARE
from .pruning import layer_pruning_figure, pruning_figure
from .receptive_field import receptive_figure
from .source import CellExplanations, Source, check_instances, one_a_condition, unit_of
from .style import save, settings

ATTRIBUTION = "attattr"
"""The method whose graphs and heads are drawn where none is named."""
MASKS = ("diffmask-input", "diffmask-hidden")
"""The methods whose masks are drawn where none is named."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choices:
    """What to draw of a store; None and () leave it to the figure.

    Attributes:
        model, task, method: Names in the store; a method with settings as in its table.
        instances: Ids. Two of them stand side by side in a `pattern`.
        condition: For `aggregate`; default: all, each in its panel.
        share: Words with less of sum |g| are left out.
        least: Edges in a smaller share of sentences are left out of an `aggregate`.
    """

    model: str | None = None
    task: str | None = None
    method: str | None = None
    instances: tuple[str, ...] = ()
    condition: str | None = None
    share: float = SHARE
    least: float = LEAST


NamedFigures = Iterator[tuple[str, Figure]]


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
    """Draws figures of a store; returns the files, PNG and SVG of each.

    Args:
        store_url: A folder or fsspec URL of results.
        what: `pattern`, `aggregate`, `entropy`, `curve`, `pruning`, `receptive`, `attribution`, `heads`, `mask`, `texts`,
            `depth`, `counting`, `gallery`, or `all` that the store has data for.
        out: Folder for the files.
        model: Only this model.
        task: Only this task.
        method: Only this method; default: influence-patterns (curves, depth: all; attribution and heads: attattr; mask and
            texts: both of DiffMask).
        instance: Ids of instances; default: the first of each condition.
        condition: Of an aggregate.
        share: Words with less of sum |g| are left out.
        least: Edges in a smaller share of sentences are left out of an aggregate.

    Raises:
        UsageError: An unknown name, or a store without what is needed; near matches are named.
    """
    if what != "all" and what not in FIGURES:
        raise UnknownName("figure", what, [*FIGURES, "all"])
    for name, value in (("share", share), ("least", least)):
        if not 0 <= value < 1:
            raise UsageError(f"{name} must lie in [0, 1), got {value}.")
    wanted = (instance,) if isinstance(instance, str) else tuple(instance)
    choices = Choices(model, task, method, wanted, condition, share, least)
    source = Source(store_url, model, task, method)
    return _draw_all(source, choices, Path(out)) if what == "all" else _draw(source, what, choices, Path(out))


def _draw_all(source: Source, choices: Choices, out: Path) -> list[Path]:
    """Every kind that the store has data for.

    Raises:
        UsageError: It has data for none.
    """
    paths, reasons = list[Path](), list[str]()
    for what in FIGURES:
        try:
            paths += _draw(source, what, choices, out)
        except FlowgaugeError as reason:
            log.info("no %s: %s", what, reason)
            reasons.append(f"{what}: {reason}")
    if not paths:
        raise UsageError(f"nothing to draw of {source.url!r}. {' '.join(reasons)}")
    return paths


def _draw(source: Source, what: str, choices: Choices, out: Path) -> list[Path]:
    """One kind of figure; a cell that it does not apply to is passed over unless it is the only one.

    Raises:
        FlowgaugeError: Nothing could be drawn.
    """
    paths = []
    with settings():
        for stem, figure in FIGURES[what](source, choices):
            paths += save(figure, out, stem)
    return paths


class Drawable(NamedTuple):
    """A cell that a figure of sentences is drawn of, and those of the asked instances that it has."""

    group: ComparableCells
    explained: CellExplanations
    reference: CellExplanations | None
    wanted: tuple[str, ...]


def _cells(source: Source, choices: Choices, *default: str) -> list[Drawable]:
    """The cells with explanations by the method (where none is asked for, the defaults), in which some instance asked for is.

    Raises:
        UsageError: There are none, or an instance is in none of them.
    """
    found, errors = list[Drawable](), list[UsageError]()
    for group in source.groups:
        try:
            cells = [source.explained(group, label) for label in source.labels(group, default or (PATTERNS,))]
        except UsageError as error:
            errors.append(error)
            continue
        for explained in cells:
            wanted = tuple(name for name in choices.instances if name in explained.sentences)
            found.append(Drawable(group, explained, source.reference(group), wanted))
    if not found:
        raise errors[0]
    check_instances(choices.instances, [id for cell in found for id in cell.explained.sentences])
    return [cell for cell in found if cell.wanted or not choices.instances]


def _stem(what: str, group: ComparableCells, label: str = "") -> str:
    return " ".join(part for part in (what, group.model, group.task, label) if part)


def _pattern(source: Source, choices: Choices) -> NamedFigures:
    for group, explained, reference, wanted in _cells(source, choices):
        ids = wanted or tuple(one_a_condition(explained)[:1])
        shown = panels(explained, reference, ids, choices.share)
        together = [shown] if len(shown) == 2 else [[panel] for panel in shown]
        names = [" and ".join(ids)] if len(shown) == 2 else ids
        for name, part in zip(names, together, strict=True):
            yield f"{_stem('pattern', group, explained.label)} {name.removeprefix(f'{group.task}/')}", pattern_figure(part)


def _aggregate(source: Source, choices: Choices) -> NamedFigures:
    for group, explained, reference, _ in _cells(source, choices):
        known = sorted({s.condition for s in explained.sentences.values()})
        conditions = [choices.condition] if choices.condition is not None else known
        options = {"share": choices.share, "least": choices.least}
        shown = [superpose(explained, reference, condition, **options) for condition in conditions]
        yield f"{_stem('aggregate', group, explained.label)} {choices.condition or ''}", aggregate_figure(shown)


def _entropy(source: Source, choices: Choices) -> NamedFigures:
    for model in dict.fromkeys(group.model for group in source.groups):
        members = [group for group in source.groups if group.model == model]
        reference = next((r for group in members if (r := group.of_method(PATTERNS)) is not None), None)
        yield f"entropy {model}", entropy_figure(members, "units of q" if reference is None else unit_of(reference))


def _curve(source: Source, choices: Choices) -> NamedFigures:
    kinds = [(metric, unit) for metric in CURVES for unit in UNITS]
    makers = {
        f"{metric.replace('_', '-')}{' of heads' if unit == 'heads' else ''}": partial(curve_figure, metric=metric, unit=unit)
        for metric, unit in kinds
    }
    yield from _of_groups(source, choices, makers)


def _pruning(source: Source, choices: Choices) -> NamedFigures:
    yield from _of_groups(source, choices, {"head-pruning": pruning_figure, "layer-head-pruning": layer_pruning_figure})


def _receptive(source: Source, choices: Choices) -> NamedFigures:
    yield from _of_groups(source, choices, {"receptive-field": receptive_figure})


def _of_groups(source: Source, choices: Choices, makers: Mapping[str, Callable[..., Figure]]) -> NamedFigures:
    """Every figure of all methods of a task that there is data for.

    Raises:
        UsageError: There is data for none.
    """
    drawn, reasons = 0, list[UsageError]()
    for group in source.groups:
        labels = None if choices.method is None else source.labels(group)
        for what, make in makers.items():
            try:
                figure = make(group, labels=labels)
            except UsageError as reason:
                reasons.append(reason)
                continue
            drawn += 1
            yield _stem(what, group), figure
    if not drawn:
        raise reasons[0]


def _gallery(source: Source, choices: Choices) -> NamedFigures:
    for group, explained, reference, wanted in _cells(source, choices):
        pages = gallery_pages(explained, reference, wanted, choices.share)
        for number, page in enumerate(pages, 1):
            yield f"{_stem('gallery', group, explained.label)}{f' {number}' if len(pages) > 1 else ''}", page


def _attribution(source: Source, choices: Choices) -> NamedFigures:
    for group, explained, _, wanted in _cells(source, choices, ATTRIBUTION):
        for id in wanted or one_a_condition(explained)[:1]:
            drawing = make_drawing(explained.label, explained.sentences[id], explained.gold[id])
            yield (
                f"{_stem('attribution', group, explained.label)} {id.removeprefix(f'{group.task}/')}",
                attribution_figure(drawing),
            )


def _heads(source: Source, choices: Choices) -> NamedFigures:
    for group, explained, _, wanted in _cells(source, choices, ATTRIBUTION):
        label = next((label for label in group.by_label() if label == ATTENTION), None)
        attention = None if label is None else source.explained(group, label)
        for id in wanted or one_a_condition(explained)[:1]:
            weights = None if attention is None else attention.gold.get(id)
            maps = make_maps(explained.label, explained.sentences[id], explained.gold[id], weights)
            yield f"{_stem('heads', group, explained.label)} {id.removeprefix(f'{group.task}/')}", heads_figure(maps)


def _counting(source: Source, choices: Choices) -> NamedFigures:
    drawn, reasons = 0, list[UsageError]()
    for group in source.groups:
        try:
            cells = counting_cells(source, group)
        except UsageError as reason:
            reasons.append(reason)
            continue
        for id in choose(cells, choices.instances):
            drawn += 1
            yield f"{_stem('counting', group)} {id.removeprefix(f'{group.task}/')}", counting_figure(make_counting(cells, id))
    if not drawn:
        raise reasons[0]


def _mask(source: Source, choices: Choices) -> NamedFigures:
    for group, explained, _, wanted in _cells(source, choices, *MASKS):
        for id in wanted or one_a_condition(explained)[:1]:
            name = f"{_stem('mask', group, explained.label)} {id.removeprefix(f'{group.task}/')}"
            yield name, mask_figure(explained.label, explained.sentences[id], explained.gold[id])


def _texts(source: Source, choices: Choices) -> NamedFigures:
    shown: dict[str, list[tuple[str, list[MaskCurve]]]] = {}
    titles, reasons = {}, list[FlowgaugeError]()
    for group, explained, _, _ in _cells(source, choices, *MASKS):
        try:
            shown.setdefault(stem := _stem("texts", group), []).append((explained.label, text_curves(explained, group.task)))
        except FlowgaugeError as reason:
            reasons.append(reason)
            continue
        titles[stem] = f"Kept of either text   {group.task}   {group.model}"
    if not titles:
        raise reasons[0]
    for stem, title in titles.items():
        yield stem, texts_figure(title, shown[stem])


def _depth(source: Source, choices: Choices) -> NamedFigures:
    yield from _of_groups(source, choices, {"depth-kept": depth_figure})


FIGURES: dict[str, Callable[[Source, Choices], NamedFigures]] = {
    "pattern": _pattern,
    "aggregate": _aggregate,
    "entropy": _entropy,
    "curve": _curve,
    "pruning": _pruning,
    "receptive": _receptive,
    "gallery": _gallery,
    "attribution": _attribution,
    "heads": _heads,
    "counting": _counting,
    "mask": _mask,
    "texts": _texts,
    "depth": _depth,
}
"""Figures by name."""
