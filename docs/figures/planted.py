"""Prints how near methods are to the planted truth, for docs/measurements.md: `python docs/figures/planted.py STORE`.

The store is that of `flowgauge run planted`. Every difficulty counts once, as the mean over its wirings.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from flowgauge.leaderboards.stored.comparable_cells import find_aggregate
from flowgauge.leaderboards.stored.records import stored_records
from flowgauge.metrics.scores import Aggregate

VARIANTS = {"words": "tokens/auroc", "nodes": "nodes/auroc"}


def areas(url: str, variant: str) -> pd.DataFrame:
    """The mean of a variant of `ground_truth`: a row a method, a column a difficulty.

    Args:
        url: The store.
        variant: Of the metric.
    """
    rows = []
    for record in stored_records(url):
        found = find_aggregate(record, "ground_truth", variant)
        task = record.asked["task"]
        difficulty = json.dumps({key: value for key, value in task.items() if key != "seed"}) if isinstance(task, dict) else task
        if isinstance(found, Aggregate):
            rows.append((record.method, difficulty, found.value))
    return pd.DataFrame(rows, columns=["method", "difficulty", "area"]).pivot_table("area", "method", "difficulty", "mean")


def main(arguments: Sequence[str]) -> None:
    """The command line: the store."""
    for level, variant in VARIANTS.items():
        table = areas(arguments[0], variant)
        print(f"{level}: mean over {table.shape[1]} difficulties (least); difference to random [95 %]")
        for method in table.mean(axis="columns").sort_values(ascending=False).index:
            gap = (table.loc[method] - table.loc["random"]).dropna()
            reach = stats.t.ppf(0.975, len(gap) - 1) * float(np.std(gap, ddof=1)) / len(gap) ** 0.5
            ends = f"{gap.mean():+.2f} [{gap.mean() - reach:.2f}, {gap.mean() + reach:.2f}]"
            print(f"  {method:26s} {table.loc[method].mean():.2f} ({table.loc[method].min():.2f})  {ends}")


if __name__ == "__main__":
    main(sys.argv[1:])
