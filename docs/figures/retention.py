"""Draws the retention curves of docs/concepts/ablation-in-distribution.md: `python docs/figures/retention.py STORE OPERATORS`.

Both stores have both embedded encoders, run by docs/figures/retention.yaml and by operators.yaml. It writes retention.svg beside
this file and prints the tables of the page.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot

from flowgauge.benchmark.store.record import Record
from flowgauge.leaderboards.stored.records import stored_records

MODELS = ("agreement-bert-plain", "agreement-bert")
TASKS = ("sva/obj", "sva/subj", "sva/wsc", "sva/app", "ra/na", "ra/ga")
OPERATOR_TASKS = ("sva/obj", "ra/ga")
"""The tasks of operators.yaml."""
METHODS = ("influence-patterns", "conductance", "integrated-gradients", "internal-influence", "attention", "repl-skip", "random")
DRAWN = {"influence-patterns": "#0b62a8", "integrated-gradients": "#2c7d32", "attention": "#b34700", "random": "#6b7280"}
BUDGETS = range(10, 101, 10)
OPERATORS = ("zero", "mean", "resample", "mask", "cut")
Table1 = tuple[str, str, str]
ROWS: tuple[Table1, ...] = (
    ("Pi_+^e", "influence-patterns", "embedding/own/predicted"),
    *((f"{name} e", name, "embedding/matched/predicted") for name in METHODS[1:]),
    ("Pi_+^a", "influence-patterns", "attention/own/predicted"),
    *((f"{name} a", name, "attention/matched/predicted") for name in ("repl-skip", "random")),
)
"""Row, method and variant of `ablated_accuracy` of what Table 1 of Lu et al. 2021 asks."""


def number(
    records: Iterable[Record], model: str, task: str, method: str, metric: str, variant: str, operator: str = "zero"
) -> float | None:
    """A stored mean; None where there is none.

    Args:
        records: Of the store.
        model: The model.
        task: The task.
        method: The method.
        metric: Plain name of the metric.
        variant: Of the metric.
        operator: What replaces states.
    """
    for record in records:
        if (record.model, record.task, record.method) == (model, task, method):
            for score in record.scores.values():
                if score.name == metric and score.settings.get("operator", "zero") == operator:
                    aggregate = score.aggregate(variant)
                    return None if aggregate is None or math.isnan(aggregate.value) else aggregate.value
    return None


def draw(records: Sequence[Record], path: Path) -> None:
    """Writes the curves: a row a model, a column a task.

    Args:
        records: Of the store.
        path: The SVG.
    """
    settings = {
        "svg.hashsalt": "retention",
        "svg.fonttype": "none",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with pyplot.rc_context(settings):
        figure, axes = pyplot.subplots(2, len(TASKS), figsize=(11, 4.2), sharex=True, sharey=True, layout="constrained")
        for row, model in zip(axes, MODELS, strict=True):
            for axis, task in zip(row, TASKS, strict=True):
                for method, colour in DRAWN.items():
                    curve = [number(records, model, task, method, "retention_curve", f"budget/{b}") for b in BUDGETS]
                    axis.plot(BUDGETS, curve, color=colour, label=method, linewidth=1.6)
                axis.axhline(0.5, color="#9ca3af", linewidth=0.8, linestyle=":")
                axis.set_title(task)
            row[0].set_ylabel(f"{model}\naccuracy")
        figure.supxlabel("nodes kept in each layer, %")
        figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=len(DRAWN), frameon=False)
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)


def tables(records: Sequence[Record], operators: Sequence[Record]) -> list[str]:
    """The tables of the page, as lines of Markdown.

    Args:
        records: Of the store of retention.yaml.
        operators: Of that of operators.yaml.
    """
    lines = _table("area under the retention curve", records, [(m, m, "auc") for m in METHODS], "retention_curve", TASKS)
    lines += ["", *_table("Table 1", records, ROWS, "ablated_accuracy", TASKS), *panel(operators)]
    shift = [(m, m, "mean") for m in METHODS] + [("between sentences", "random", "clean")]
    return [*lines, "", *_table("ablation_shift", operators, shift, "ablation_shift", OPERATOR_TASKS)]


def panel(records: Sequence[Record]) -> list[str]:
    """The area under the retention curve by what replaces states: a table for each task that was scored under every operator."""
    lines = []
    for task in OPERATOR_TASKS:
        areas = {
            (method, operator): [number(records, model, task, method, "retention_curve", "auc", operator) for model in MODELS]
            for method in METHODS
            for operator in OPERATORS
        }
        if all(value is not None for both in areas.values() for value in both):
            lines += ["", f"| {task} | " + " | ".join(OPERATORS) + " |", "| :-- |" + " --: |" * len(OPERATORS)]
            lines += [
                f"| {method} | " + " | ".join(_both(areas[method, operator]) for operator in OPERATORS) + " |"
                for method in METHODS
            ]
    return lines


def _table(title: str, records: Sequence[Record], rows: Iterable[Table1], metric: str, tasks: Sequence[str]) -> list[str]:
    """A line a row, with the numbers of both models in the cell of each task."""
    lines = [f"| {title} | " + " | ".join(tasks) + " |", "| :-- |" + " --: |" * len(tasks)]
    for row, method, variant in rows:
        cells = [_both(number(records, model, task, method, metric, variant) for model in MODELS) for task in tasks]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return lines


def _both(values: Iterable[float | None]) -> str:
    """The numbers of both models as a cell of a table."""
    return " / ".join("-" if value is None else f"{value:.2f}" for value in values)


def main(arguments: Sequence[str]) -> None:
    """The command line: the stores of the two plans."""
    records, operators = map(stored_records, arguments)
    draw(records, Path(__file__).with_suffix(".svg"))
    sys.stdout.write("\n".join(tables(records, operators)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
