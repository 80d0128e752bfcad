"""Draws the figures of docs/findings.md and prints its tables: `python docs/figures/findings.py STORE`.

The store has both embedded models, run by docs/figures/findings.yaml. It writes findings.svg beside this file.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import numpy as np
from matplotlib import pyplot
from scipy.stats import kendalltau

from flowgauge.benchmark.catalogue.costs import cost_table
from flowgauge.benchmark.catalogue.facts import facts
from flowgauge.benchmark.store.record import Record, Score
from flowgauge.benchmark.store.store import Store
from flowgauge.leaderboards.stored.records import stored_records
from flowgauge.metrics.statistics.intervals import mean_intervals

MODELS = ("agreement-bert", "agreement-gpt2")
OPERATORS = ("zero", "mean", "resample", "mask")
COLUMNS = {
    **{f"area, {operator}": ("retention_curve", "auc", operator) for operator in OPERATORS},
    "comprehensiveness": ("comprehensiveness", "aopc", ""),
    "sufficiency": ("sufficiency", "aopc", ""),
    "subject first": ("pointing", "hit", ""),
    "random weights": ("parameter_randomisation", "absolute", ""),
}
"""Column: metric, variant, operator."""
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
Number = tuple[float, float, float]
"""A mean and the ends of its 95 % interval."""


def mean_over_tasks(store: Store, records: Sequence[Record], metric: str, variant: str, operator: str) -> Number | None:
    """The mean over the instances of all tasks, each task a stratum; None where a task has no number.

    Args:
        store: Where the rows are.
        records: The cells of one method on one model.
        metric: Plain name.
        variant: Of the metric.
        operator: What replaces states; empty where the metric has none.
    """
    values, tasks = list[float](), list[str]()
    for record in records:
        score = next((s for s in record.scores.values() if _is(s, metric, operator)), None)
        if score is None or score.status != "done":
            return None
        rows = store.find(record).rows(score.metric)
        means = rows[rows["variant"] == variant].groupby("instance")["value"].mean().dropna()
        values += means.tolist()
        tasks += [record.task] * len(means)
    if len(set(tasks)) < len(records) or not values:
        return None
    mean, low, high = mean_intervals(np.array([values]), np.array(tasks))[0].tolist()
    return mean, low, high


def _is(score: Score, metric: str, operator: str) -> bool:
    return score.name == metric and (not operator or score.settings.get("operator", "zero") == operator)


def numbers(url: str) -> dict[str, dict[str, dict[str, Number | None]]]:
    """Every number of the page, by model, method and column.

    Args:
        url: The store.
    """
    store, records = Store(url), stored_records(url)
    found: dict[str, dict[str, dict[str, Number | None]]] = {}
    for model in MODELS:
        of_model = [record for record in records if record.model == model and not record.reference_only]
        for method in dict.fromkeys(record.method for record in of_model):
            cells = [record for record in of_model if record.method == method]
            found.setdefault(model, {})[method] = {
                column: mean_over_tasks(store, cells, *asked) for column, asked in COLUMNS.items()
            }
    return found


def tables(found: Mapping[str, Mapping[str, Mapping[str, Number | None]]]) -> list[str]:
    """A table a model, best first by the area under `resample`, and the agreement of orders, as lines of Markdown."""
    lines = []
    for model in MODELS:
        of_model = found[model]
        lines += [f"| {model} | kind | " + " | ".join(COLUMNS) + " | cost |", "| :-- | :-- |" + " --: |" * (len(COLUMNS) + 1)]
        for method in sorted(of_model, key=lambda name: -_first(of_model[name]["comprehensiveness"])):
            cells = " | ".join(_cell(of_model[method][column]) for column in COLUMNS)
            cost = cost_table().methods[method].ratio
            lines.append(f"| {method} | {facts('method', method).group.split(',')[0].split(':')[0]} | {cells} | {cost:.2g} |")
        lines.append("")
    lines += ["| Kendall's tau | " + " | ".join(MODELS) + " |", "| :-- | --: | --: |"]
    for operator in OPERATORS[1:]:
        taus = [_tau(of["area, zero"], of[f"area, {operator}"]) for of in (_by_column(found[model]) for model in MODELS)]
        lines.append(f"| area, zero and {operator} | " + " | ".join(f"{tau:.2f}" for tau in taus) + " |")
    both = [_by_column(found[model]) for model in MODELS]
    lines += ["", "| Kendall's tau between the models | |", "| :-- | --: |"]
    lines += [f"| {column} | {_tau(both[0][column], both[1][column]):.2f} |" for column in COLUMNS]
    return lines


def _first(number: Number | None) -> float:
    return number[0] if number is not None else -1.0


def _cell(number: Number | None) -> str:
    if number is None:
        return "-"
    mean, low, high = number
    return f"{mean:.2f}" if low != low else f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def _by_column(of_model: Mapping[str, Mapping[str, Number | None]]) -> dict[str, dict[str, float]]:
    return {
        column: {name: value[0] for name, of in of_model.items() if (value := of[column]) is not None and name != "random"}
        for column in COLUMNS
    }


def _tau(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Kendall's tau-b of the methods that both have."""
    shared = [name for name in one if name in other]
    return float(kendalltau([one[name] for name in shared], [other[name] for name in shared]).statistic)


def draw(found: Mapping[str, Mapping[str, Mapping[str, Number | None]]], path: Path) -> None:
    """Comprehensiveness and what stays under random weights, a panel a model; methods by kind, each with its interval.

    Args:
        found: What `numbers` gives.
        path: The SVG.
    """
    scored = [name for name, of in found[MODELS[0]].items() if of["comprehensiveness"] is not None]
    kinds = list(dict.fromkeys(facts("method", name).group for name in found[MODELS[0]]))
    order = sorted(scored, key=lambda name: _first(found[MODELS[0]][name]["comprehensiveness"]))
    panels = [(column, model) for column in ("comprehensiveness", "random weights") for model in MODELS]
    with pyplot.rc_context({"svg.hashsalt": "findings", "svg.fonttype": "none", "font.size": 8}):
        figure, axes = pyplot.subplots(1, len(panels), figsize=(11, 5.6), sharey=True, layout="constrained")
        for axis, (column, model) in zip(axes, panels, strict=True):
            for place, method in enumerate(order):
                number = found[model][method][column]
                if number is None:
                    continue
                mean, low, high = number
                reach = [[mean - low], [high - mean]] if low == low else None
                colour = COLOURS[kinds.index(facts("method", method).group) % len(COLOURS)]
                axis.errorbar(mean, place, xerr=reach, color=colour, marker="o", markersize=4, linewidth=1)
            axis.set_title(f"{column}\n{model}")
            axis.grid(axis="y", color="#e5e7eb", linewidth=0.6)
            axis.spines[["top", "right"]].set_visible(False)
        axes[0].set_yticks(range(len(order)), order)
        names = [kind.split(",")[0].split(":")[0] for kind in kinds]
        shown = [pyplot.Line2D([], [], color=COLOURS[n % len(COLOURS)], marker="o", linestyle="") for n in range(len(kinds))]
        figure.legend(shown, names, loc="outside lower center", ncols=4, frameon=False)
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)


def main(arguments: Sequence[str]) -> None:
    """The command line: the store."""
    found = numbers(arguments[0])
    print("\n".join(tables(found)))
    draw(found, Path(__file__).with_suffix(".svg"))


if __name__ == "__main__":
    main(sys.argv[1:])
