"""Charts as Vega-Lite specifications, written by Altair; one specification is drawn on the page and as a file."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from ..comparison.model_boards import ModelBoard
from ..export.sheets import overall_table

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#8C8C8C"
"""From Okabe & Ito (2008), whose palette readers with any common colour vision can distinguish."""
ROW = 19
"""Height of a method's row in pixels."""
SHOWN = 40
"""The largest number of methods in the chart of ranks; of more, the best are drawn."""
NAMED = 25
"""The largest number of methods in the chart of costs that are all named; of more, only those on the Pareto front are named."""
LABEL = 25
"""The largest number of letters of two names beside a point of the chart of costs."""


def rank_chart(board: ModelBoard) -> dict[str, Any] | None:
    """Mean ranks with their intervals, and bars that join methods that cannot be separated.

    Source: the diagrams of Demsar 2006, with intervals from resampled instances in place of a critical difference.

    Returns:
        The specification, or None where no method has an overall rank.
    """
    count = len(board.methods)
    if not count:
        return None
    which = "each method" if count <= SHOWN else f"each of the best {SHOWN} of {count} methods"
    rows = overall_table(board).rename(columns={"label": "method"})[["method", "rank", "low", "high"]].head(SHOWN)
    for end in ("low", "high"):  # a chart of nothing but missing ends has no scale
        rows[end] = rows[end].fillna(rows["rank"])
    names = rows["method"].tolist()
    runs = pd.DataFrame(
        _bar_columns([[m for m in run if m in names] for run in board.ties], names), columns=["run", "from", "to"]
    )
    y = alt.Y("method:N", sort=names, title=None, axis=alt.Axis(labelLimit=220))
    x = alt.X("rank:Q", title="mean rank (1 is best)", scale=alt.Scale(zero=False, nice=False, padding=12))
    tips = ["method:N", *(alt.Tooltip(f"{name}:Q", format=".2f") for name in ("rank", "low", "high"))]
    base = alt.Chart(rows).encode(y=y)
    whiskers = base.mark_rule(strokeWidth=2, color=BLUE).encode(x=alt.X("low:Q", title="mean rank (1 is best)"), x2="high:Q")
    points = base.mark_point(filled=True, size=70, color=BLUE, opacity=1).encode(x=x, tooltip=tips)
    left: Any = alt.layer(whiskers, points).properties(width=280, height=alt.Step(ROW))
    if not len(runs):
        return _specification(left, f"Mean rank of {which} with its 95 % interval")
    bars = (
        alt.Chart(runs)
        .mark_rule(strokeWidth=4, strokeCap="round", color=GREY)
        .encode(
            y=alt.Y("from:N", sort=names, scale=alt.Scale(domain=names), axis=None),
            y2="to:N",
            x=alt.X("run:O", axis=None),
        )
        .properties(
            width=alt.Step(9), height=alt.Step(ROW), title=alt.Title("cannot be separated", fontSize=10, fontWeight="normal")
        )
    )
    both = alt.hconcat(left, bars, spacing=8).resolve_scale(y="independent")
    return _specification(both, f"Mean rank of {which} with its 95 % interval; bars join methods that cannot be separated")


def cost_chart(board: ModelBoard) -> dict[str, Any] | None:
    """Seconds per explanation against the mean of the ranked metric, with the Pareto front.

    The front holds the methods for which no other is both cheaper and better.

    Returns:
        The specification, or None where no method has both a cost and a mean.
    """
    rows: list[dict[str, Any]] = [
        {"method": m, "seconds": max(board.seconds(m), 1e-6), "score": board.accuracy(m)}
        for m in board.methods
        if board.seconds(m) == board.seconds(m) and board.accuracy(m) == board.accuracy(m)
    ]
    if not rows:
        return None
    side = board.counted[0].comparison
    sign = -1 if side.scores.higher_is_better is False else 1
    front, best = [], -float("inf")
    for row in sorted(rows, key=lambda r: (r["seconds"], -sign * r["score"])):
        if sign * row["score"] > best:
            best = sign * row["score"]
            front.append(row["method"])
    for row in rows:
        row["front"] = row["method"] in front
    _name(rows, len(rows) <= NAMED)
    times = [row["seconds"] for row in rows]
    powers = [10.0**n for n in range(math.floor(math.log10(min(times))), math.ceil(math.log10(max(times))) + 1)]
    x = alt.X(
        "seconds:Q",
        scale=alt.Scale(type="log", padding=20),
        title="seconds per explanation",
        axis=alt.Axis(grid=False, values=powers, format="~g"),
    )
    y = alt.Y("score:Q", scale=alt.Scale(zero=False, nice=False, padding=14), title=f"{side.metric} (mean over tasks)")
    color = alt.condition("datum.front", alt.value(ORANGE), alt.value(BLUE))
    tips = ["method:N", alt.Tooltip("seconds:Q", format=".3g"), alt.Tooltip("score:Q", format=".3f")]
    base = alt.Chart(pd.DataFrame(rows))
    line = (
        base.transform_filter("datum.front")
        .mark_line(interpolate="step-after" if sign > 0 else "step-before", color=ORANGE, strokeDash=[4, 3], strokeWidth=1.2)
        .encode(x=x, y=y)
    )
    points = base.mark_point(filled=True, size=70, opacity=1).encode(x=x, y=y, color=color, tooltip=tips)
    names = base.mark_text(align="left", dx=7, dy=-6, fontSize=10.5).encode(x=x, y=y, text="name:N")
    chart = alt.layer(line, points, names).properties(width=360, height=300)
    return _specification(
        chart,
        "Cost of an explanation against faithfulness; the dashed line joins methods than which none is both cheaper and better",
    )


def _bar_columns(runs: Sequence[Sequence[str]], names: Sequence[str]) -> list[dict[str, Any]]:
    """The bar of each run of methods: its column, the first that is free beside it, and its first and last method.

    >>> _bar_columns([["a", "b"], ["b", "c"], ["d", "e"]], "abcde")
    [{'run': 0, 'from': 'a', 'to': 'b'}, {'run': 1, 'from': 'b', 'to': 'c'}, {'run': 0, 'from': 'd', 'to': 'e'}]
    """
    row_of, ends, bars = {name: row for row, name in enumerate(names)}, list[int](), list[dict[str, Any]]()
    for run in runs:
        if len(run) < 2:
            continue
        column = next((n for n, end in enumerate(ends) if end < row_of[run[0]]), len(ends))
        ends[column : column + 1] = [row_of[run[-1]]]
        bars.append({"run": column, "from": run[0], "to": run[-1]})
    return bars


def _name(rows: list[dict[str, Any]], everyone: bool) -> None:
    """Adds `name`, the text beside each point: empty, or the names of the methods whose points would overlap with it."""
    height = max(row["score"] for row in rows) - min(row["score"] for row in rows) or 1.0
    named: list[dict[str, Any]] = []
    for row in rows:
        row["name"] = ""
        if not (row["front"] or everyone):
            continue
        near = next(
            (p for p in named if abs(p["score"] - row["score"]) < 0.035 * height and 0.4 < row["seconds"] / p["seconds"] < 2.5),
            None,
        )
        if near is None:
            row |= {"name": row["method"], "others": 0}
            named.append(row)
        else:
            near["others"] += 1
            both = f"{near['method']}, {row['method']}"  # a longer text would leave the chart
            near["name"] = both if near["others"] == 1 and len(both) <= LABEL else f"{near['method']} and {near['others']} more"


def _specification(chart: Any, description: str) -> dict[str, Any]:
    """The Vega-Lite specification of a chart on a transparent background."""
    described = chart.properties(description=description, background="transparent").configure_view(stroke=None)
    specification: dict[str, Any] = described.to_dict()
    return specification


def write_chart(spec: dict[str, Any], stem: Path) -> dict[str, Path]:
    """Writes a chart on white as SVG, PNG and PDF, and its specification as JSON.

    Args:
        spec: The Vega-Lite specification.
        stem: Path of the files without their ending.

    Returns:
        The path of each file by its ending.
    """
    import vl_convert

    white = {**spec, "background": "white"}
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = {kind: stem.with_suffix(f".{kind}") for kind in ("svg", "png", "pdf", "json")}
    svg = vl_convert.vegalite_to_svg(white)
    paths["svg"].write_text(svg, encoding="utf-8")
    paths["png"].write_bytes(vl_convert.svg_to_png(svg, scale=2))
    paths["pdf"].write_bytes(vl_convert.svg_to_pdf(svg))
    paths["json"].write_text(json.dumps(white, indent=1), encoding="utf-8")
    return paths
