"""`flowgauge show`, `compare`, `plot` and `report-card`: the commands that read what there is."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import UsageError
from .completion import complete_method, complete_task
from .console import print_rows, print_scorecards, print_tables, reporting
from .options import Csv, Debug, Json, OnlyMethods, OnlyModel, OnlyTasks, StoreUrl

REPORT_CARDS = "results/report-cards"
"""Where the plan `report-cards` puts its results."""


def show(
    store: StoreUrl,
    as_json: Json = False,
    as_csv: Csv = False,
    over_seeds: Annotated[
        bool, typer.Option("--over-seeds", help="Show mean, interval and range of each score over seeds instead.")
    ] = False,
    scorecard: Annotated[
        bool,
        typer.Option("--scorecard", help="Show who is best in each group of metrics, as `flowgauge run` without --metric does."),
    ] = False,
    debug: Debug = False,
) -> None:
    """Show the scores that a store has so far."""
    with reporting(debug):
        if scorecard:
            from ..leaderboards.stored.records import stored_records

            if as_json or as_csv or over_seeds:
                raise UsageError("--scorecard is a text by itself: leave out --json, --csv and --over-seeds.")
            print_scorecards(store, stored_records(store))
            return
        if over_seeds:
            from ..leaderboards.stored.records import stored_records
            from ..leaderboards.tables.over_seeds import over_seeds as over_seeds_table
            from ..leaderboards.tables.over_seeds import sections

            table = over_seeds_table(stored_records(store))
            print_tables(table, sections(table), as_json, as_csv)
            return
        from ..leaderboards.tables.show import render

        width = shutil.get_terminal_size((110, 40)).columns
        typer.echo(render(store, "json" if as_json else "csv" if as_csv else "text", width))


def compare(
    store: StoreUrl,
    task: OnlyTasks = None,
    metric: Annotated[
        str,
        typer.Option(
            "--metric",
            show_default="the one that tables rank by",
            help="Compare by this metric, or by one of its variants (NAME/VARIANT). head_universality compares each method's "
            "heads on two tasks instead, and stability compares seeds.",
        ),
    ] = "",
    method: OnlyMethods = None,
    as_json: Json = False,
    as_csv: Csv = False,
    debug: Debug = False,
) -> None:
    """Rank the methods on each task, with the uncertainty of their ranks, and name the methods that cannot be separated."""
    with reporting(debug):
        if _compares_cells(metric):
            from ..leaderboards.comparison.cell_comparison import compare as compare_cells

            comparison = compare_cells(store, metric, task or (), method or ())
            print_tables(comparison.to_pandas(), [("", comparison.summary(), [])], as_json, as_csv)
        else:
            from ..leaderboards.comparison.method_comparison import compare_methods, pairs_table

            comparisons = compare_methods(store, metric, task or (), method or ())
            print_tables(pairs_table(comparisons), [one_task.text() for one_task in comparisons], as_json, as_csv)


def _compares_cells(metric: str) -> bool:
    """Whether a metric compares cells of one method, rather than methods on one task."""
    from ..core.registry import Spec
    from ..metrics.registry import METRICS

    without_variant = metric if ".py" in metric else metric.partition("/")[0]
    if not without_variant:
        return False
    name = Spec.parse(without_variant).name
    return (name in METRICS.entries() or ".py" in name) and METRICS.create(without_variant).scope == "cells"


def plot(
    store: StoreUrl,
    what: Annotated[
        str,
        typer.Option(
            show_default="every figure there is data for",
            help="Which figures: pattern, aggregate, entropy, curve, pruning, receptive, attribution, heads, circuit, mask, "
            "texts, depth, frontier, counting or gallery.",
        ),
    ] = "all",
    out: Annotated[Path, typer.Option(help="Folder for the figures, a PNG and an SVG of each.")] = Path("figures"),
    model: OnlyModel = None,
    task: Annotated[str | None, typer.Option("--task", "-t", autocompletion=complete_task, help="Only this task.")] = None,
    method: Annotated[
        str | None, typer.Option("--method", "-x", autocompletion=complete_method, help="Only this method.")
    ] = None,
    instance: Annotated[
        list[str] | None, typer.Option(help="Id of an instance to draw; two are drawn side by side; repeatable.")
    ] = None,
    condition: Annotated[
        str | None, typer.Option(show_default="all", help="For aggregate: the condition whose instances are drawn together.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Draw figures of stored explanations and scores, and print the names of the files."""
    with reporting(debug):
        from ..leaderboards.figures.plot import plot as draw

        for path in draw(store, what, out, model=model, task=task, method=method, instance=instance or (), condition=condition):
            typer.echo(str(path))


def report_card(
    store: Annotated[
        str,
        typer.Argument(
            metavar="[STORE]", help="Results of `flowgauge run report-cards`, or any others: a folder or an fsspec URL."
        ),
    ] = REPORT_CARDS,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", show_default="all", help="Only the card of this metric; repeatable.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            show_default="print only", help="Folder for the cards as Markdown, HTML and JSON, and the correlations as a figure."
        ),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what each metric of a store can be trusted with: noise, power, agreement with the truth and with other metrics."""
    with reporting(debug):
        from ..leaderboards.report_cards.card_file import to_json
        from ..leaderboards.report_cards.cards import report_cards
        from ..leaderboards.report_cards.pages import LEGEND, cards_table, notes, write_pages

        if out is not None and metric:
            raise UsageError("--out writes the cards of all metrics: leave out --metric.")
        cards = report_cards(store, metric or (), quiet=as_json)
        if out is not None:
            for path in write_pages(cards, out):
                typer.echo(str(path), err=as_json)
        if as_json:
            typer.echo(to_json(cards))
        elif out is None:
            table = cards_table(cards.cards)
            print_rows([tuple(table.columns), *table.itertuples(index=False, name=None)])
            typer.echo("\n".join([cards.measured_on, *LEGEND, *notes(cards.cards)]))
