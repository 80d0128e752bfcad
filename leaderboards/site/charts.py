"""Charts as Vega-Lite specifications, written by Altair; the same specification is drawn in the page and as a file. No torch."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from ..comparison.standings import ModelBoard

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#8C8C8C"
"""From Okabe & Ito (2008), told apart by every common colour vision."""
ROW = 19
"""Pixels a method."""
SHOWN = 40
"""Most methods of a plot of ranks, the best ones."""
NAMED = 25
"""Most methods whose names stand in a scatter plot; of more, only those on the front are named."""
LABEL = 25
"""Most letters of two names beside a point of the cost chart."""


def difference_chart(board: ModelBoard) -> dict[str, Any] | None:
    """Mean ranks with intervals, and bars that join methods that cannot be told apart (after Demsar 2006); None without any."""
    found = board.overall
    if not found.methods:
        return None
    names = [found.methods[i] for i in board.best_first]
    which = "each method" if len(names) <= SHOWN else f"each of the best {SHOWN} of {len(names)} methods"
    names = names[:SHOWN]
    rows = pd.DataFrame(
        [
            {"method": found.methods[i], "rank": found.rank[i], "low": found.low[i], "high": found.high[i]}
            for i in board.best_first[:SHOWN]
        ]
    )
    runs = pd.DataFrame(_columns([[m for m in run if m in names] for run in board.ties], names), columns=["run", "from", "to"])
    y = alt.Y("method:N", sort=names, title=None, axis=alt.Axis(labelLimit=220))
    x = alt.X("rank:Q", title="mean rank (1 is best)", scale=alt.Scale(zero=False, nice=False, padding=12))
    tips = ["method:N", *(alt.Tooltip(f"{name}:Q", format=".2f") for name in ("rank", "low", "high"))]
    base = alt.Chart(rows).encode(y=y)
    whiskers = base.mark_rule(strokeWidth=2, color=BLUE).encode(x=alt.X("low:Q", title="mean rank (1 is best)"), x2="high:Q")
    points = base.mark_point(filled=True, size=70, color=BLUE, opacity=1).encode(x=x, tooltip=tips)
    left: Any = alt.layer(whiskers, points).properties(width=280, height=alt.Step(ROW))
    if not len(runs):
        return _finished(left, f"Mean rank of {which} with its 95 % interval")
    bars = (
        alt.Chart(runs)
        .mark_rule(strokeWidth=4, strokeCap="round", color=GREY)
        .encode(
            y=alt.Y("from:N", sort=names, scale=alt.Scale(domain=names), axis=None),
            y2="to:N",
            x=alt.X("run:O", axis=None),
        )
        .properties(width=alt.Step(9), height=alt.Step(ROW), title=alt.Title("not told apart", fontSize=10, fontWeight="normal"))
    )
    both = alt.hconcat(left, bars, spacing=8).resolve_scale(y="independent")
    return _finished(both, f"Mean rank of {which} with its 95 % interval; bars join methods that cannot be told apart")


def cost_chart(board: ModelBoard) -> dict[str, Any] | None:
    """Seconds an explanation against the mean of the ranked metric, and the front that no other method betters in both."""
    rows: list[dict[str, Any]] = [
        {"method": m, "seconds": max(board.seconds(m), 1e-6), "score": board.accuracy(m)}
        for m in board.overall.methods
        if board.seconds(m) == board.seconds(m) and board.accuracy(m) == board.accuracy(m)
    ]
    if not rows:
        return None
    side = board.counted[0].side
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
        title="seconds an explanation",
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
    return _finished(
        chart, "Cost of an explanation against faithfulness; the dashed line joins methods that no other betters in both"
    )


def _columns(runs: Sequence[Sequence[str]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Where each bar stands: in the first column that is free beside it."""
    at, ends, found = {name: n for n, name in enumerate(names)}, list[int](), list[dict[str, Any]]()
    for run in runs:
        if len(run) < 2:
            continue
        column = next((n for n, end in enumerate(ends) if end < at[run[0]]), len(ends))
        ends[column : column + 1] = [at[run[-1]]]
        found.append({"run": column, "from": run[0], "to": run[-1]})
    return found


def _name(rows: list[dict[str, Any]], everyone: bool) -> None:
    """Adds `name`, what stands beside a point: nothing, or all methods that have nearly its place."""
    height = max(row["score"] for row in rows) - min(row["score"] for row in rows) or 1.0
    named: list[dict[str, Any]] = []
    for row in rows:
        row["name"] = ""
        if not (row["front"] or everyone):
            continue
        near = next(
            (o for o in named if abs(o["score"] - row["score"]) < 0.035 * height and 0.4 < row["seconds"] / o["seconds"] < 2.5),
            None,
        )
        if near is None:
            row |= {"name": row["method"], "others": 0}
            named.append(row)
        else:
            near["others"] += 1
            both = f"{near['method']}, {row['method']}"  # a longer name would leave the page
            near["name"] = both if near["others"] == 1 and len(both) <= LABEL else f"{near['method']} and {near['others']} more"


def _finished(chart: Any, description: str) -> dict[str, Any]:
    made: dict[str, Any] = (
        chart.properties(description=description, background="transparent").configure_view(stroke=None).to_dict()
    )
    return made


def draw(spec: dict[str, Any], stem: Path) -> dict[str, Path]:
    """The chart as SVG, PNG and PDF on white, and its specification; by kind."""
    import vl_convert

    white = {**spec, "background": "white"}
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = {kind: stem.with_suffix(f".{kind}") for kind in ("svg", "png", "pdf", "json")}
    paths["svg"].write_text(vl_convert.vegalite_to_svg(white), encoding="utf-8")
    paths["png"].write_bytes(vl_convert.vegalite_to_png(white, scale=2))
    paths["pdf"].write_bytes(vl_convert.vegalite_to_pdf(white))
    paths["json"].write_text(json.dumps(white, indent=1), encoding="utf-8")
    return paths
