"""Tables of a board as CSV, JSON, Parquet, Markdown and LaTeX. No torch."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from ...benchmark.store.record import Record
from ...core.errors import UnknownName, UsageError
from ...metrics.scores import Aggregate
from ..comparison.standings import ModelBoard, RankedTable, TaskBoard, fields_of, model_boards
from ..stored.comparable_cells import ComparableCells, find_aggregate
from ..submission.board_reader import BoardReader, open_shelf
from ..submission.trust import Trust

Format = Literal["latex", "markdown", "csv", "json"]
FORMATS = {"csv": "csv", "parquet": "parquet", "json": "json", "markdown": "md", "latex": "tex"}
"""Endings of what `save` writes."""
OVERALL = "overall"
MATRIX = 25
"""The largest number of methods in a printed or displayed matrix of P(A beats B); its CSV, Parquet and JSON have all."""


def matrix(standing: RankedTable) -> list[tuple[str, list[tuple[str, float | None]]]]:
    """P(A beats B) among the first `MATRIX` methods of a table.

    Returns:
        A row for each method A: its label, then (label of B, share of resamples in which A beats B), None where B is A.
    """
    names, beats = standing.side.ranks.methods[:MATRIX], standing.side.ranks.beats
    return [(a, [(b, None if a == b else float(beats[i, j])) for j, b in enumerate(names)]) for i, a in enumerate(names)]


def ranked(field: TaskBoard, record: Record) -> tuple[Aggregate | None, str]:
    """The aggregate of a cell by which its task is ranked, or None and the reason why it has none."""
    if field.first is None:
        return None, record.error or "The task has no ranked table."
    aggregate = find_aggregate(record, field.first.side.metric, field.first.side.variant)
    return (None, aggregate) if isinstance(aggregate, str) else (aggregate, "")


def standing_table(standing: RankedTable) -> pd.DataFrame:
    """One row a method, best first; methods without a score come last, with the reason."""
    rows = [{**asdict(line), "reason": ""} for line in standing.lines]
    rows += [{"label": label, "reason": why} for label, why in standing.missing.items()]
    frame = pd.DataFrame(rows)
    group, side = standing.side.group, standing.side
    for place, (name, value) in enumerate(
        (("model", group.model), ("task", group.task), ("note", group.note), ("metric", side.metric), ("variant", side.variant))
    ):
        frame.insert(place, name, value)
    return frame


def overall_table(board: ModelBoard) -> pd.DataFrame:
    """One row a method, best first: mean rank with its interval over the tables that count."""
    found = board.overall
    rows = [
        {"model": board.model, "label": found.methods[i], "rank": found.rank[i], "low": found.low[i], "high": found.high[i],
         "tables": int(found.tables[i]), "seconds": board.seconds(found.methods[i]), "trust": board.trust(found.methods[i])}
        for i in board.best_first
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["model", "label", "rank", "low", "high", "tables", "seconds", "trust"])


@dataclass(frozen=True, eq=False)
class Sheet:
    """A table to be taken along.

    Attributes:
        data: Every column with numbers in full, for CSV, Parquet and JSON.
        shown: The same as a paper has it, text in few columns, for Markdown and LaTeX.
        caption: What it shows, in a sentence.
    """

    data: pd.DataFrame
    shown: pd.DataFrame
    caption: str


def overall_sheet(board: ModelBoard) -> Sheet:
    """The overall order."""
    found = overall_table(board)
    shown = {
        "method": found["label"],
        "mean rank": [f"{x:.2f}" for x in found["rank"]],
        "95 % interval": [f"[{a:.2f}, {b:.2f}]" for a, b in zip(found["low"], found["high"], strict=True)],
        "s/explanation": [_cost(x) for x in found["seconds"]],
    }
    caption = f"Mean rank of methods on {board.model} over {len(board.counted)} tables, with 95 % intervals."
    return Sheet(found, pd.DataFrame(shown), caption)


def standing_sheet(standing: RankedTable) -> Sheet:
    """The table of a metric."""
    rows = [
        (f"{line.rank:g} [{line.rank_low:g}, {line.rank_high:g}]", line.label,
         _mean(line.mean, line.low, line.high), str(line.count), line.ties, _cost(line.seconds))
        for line in standing.lines
    ]  # fmt: skip
    side = standing.side
    columns = ["rank", "method", f"{side.metric} [95 %]", "n", "not told apart", "s/explanation"]
    caption = f"{side.metric} ({side.variant}) of methods on {_place(side.group)}, with 95 % intervals."
    return Sheet(standing_table(standing), pd.DataFrame(rows, columns=columns), caption)


def beats_sheet(standing: RankedTable) -> Sheet:
    """The matrix P(A beats B) of a metric; printed, of as many methods as a page shows."""
    ranks, corner = standing.side.ranks, "P(row beats column)"
    data = pd.DataFrame(ranks.beats, columns=list(ranks.methods)).mask(np.eye(len(ranks.methods), dtype=bool))
    data.insert(0, corner, list(ranks.methods))
    few = matrix(standing)
    shown = [[label, *("" if share is None else f"{share:.2f}" for _, share in row)] for label, row in few]
    caption = (
        f"Share of resamples in which the row's method beats the column's: {standing.side.metric}, {_place(standing.side.group)}."
    )
    return Sheet(data, pd.DataFrame(shown, columns=[corner, *(label for label, _ in few)]), caption)


def left_out_sheet(board: ModelBoard, by: str) -> Sheet | None:
    """The order without one task or one metric, or under another ablation operator (`by`); None where there is no other."""
    changes = board.under_operators() if by == "operator" else board.left_out(by)
    if not changes:
        return None
    moves = [[f"{name} {before:g} to {after:g}" for name, before, after in change.moves] for change in changes]
    data = {
        "model": board.model,
        "left_out": [change.name for change in changes],
        "first": [", ".join(change.first) for change in changes],
        "tau": [change.tau for change in changes],
        "moves": ["; ".join(found) for found in moves],
    }
    shown = {
        "left out": data["left_out"],
        "first then": data["first"],
        "Kendall's tau": [f"{change.tau:.2f}" for change in changes],
        "largest moves": ["; ".join(found[:3]) for found in moves],
    }
    how = "under another ablation operator" if by == "operator" else f"without one {by}"
    caption = f"The order of methods on {board.model} {how}."
    return Sheet(pd.DataFrame(data), pd.DataFrame(shown), caption)


def tasks_sheet(board: ModelBoard) -> Sheet:
    """What was run, and who is first."""
    rows = [
        {"model": field.group.model, "task": field.group.task, "note": field.group.note, "instances": field.group.instances,
         "methods": len(set(field.group.methods())), "metric": field.first.side.metric if field.first else "",
         "first": ", ".join(field.leaders), "value": field.first.lines[0].mean if field.first else float("nan")}
        for field in board.fields
    ]  # fmt: skip
    data = pd.DataFrame(rows)
    shown = data.drop(columns=["model", "value"]).astype(str)
    return Sheet(data, shown, f"Tasks on {board.model}, and the first by the metric that each is ranked by.")


def method_sheet(name: str, cells: Sequence[tuple[TaskBoard, str, Record]], trust: Callable[[Record], Trust]) -> Sheet:
    """The cells of a method by the metric that each task is ranked by."""
    rows: list[dict[str, Any]] = []
    for field, label, record in cells:
        found, why = ranked(field, record)
        rows.append(
            {"model": field.group.model, "task": record.task, "note": field.group.note, "label": label,
             "metric": field.first.side.metric if field.first else "", "value": found.value if found else math.nan,
             "low": found.low if found else math.nan, "high": found.high if found else math.nan, "instances": record.instances,
             "seconds": record.cost.seconds if record.cost else math.nan,
             "peak_bytes": record.cost.peak_bytes if record.cost else 0, "trust": trust(record), "reason": why}
        )  # fmt: skip
    shown = [
        (r["task"], r["model"], r["label"], r["metric"], _mean(r["value"], r["low"], r["high"]), str(r["instances"]),
         _cost(r["seconds"]), r["trust"])
        for r in rows
    ]  # fmt: skip
    columns = ["task", "model", "as", "metric", "score [95 %]", "n", "s/explanation", "trust"]
    return Sheet(pd.DataFrame(rows), pd.DataFrame(shown, columns=columns), f"{name} on every task, with 95 % intervals.")


def _place(group: ComparableCells) -> str:
    """Task and model in words."""
    return f"{group.task}{f' ({group.note})' if group.note else ''} with {group.model}"


def _mean(value: float, low: float, high: float) -> str:
    """A mean with its interval; nothing where there is none."""
    return "" if value != value else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _cost(seconds: float) -> str:
    return "" if seconds != seconds else f"{seconds:.3g}"


def markdown(frame: pd.DataFrame) -> str:
    r"""A table in GitHub's Markdown; what a cell holds stays in it.

    >>> print(markdown(pd.DataFrame({"a": ["x|y"]})))
    | a |
    | :-- |
    | x\|y |
    """
    lines = [
        list(map(str, frame.columns)),
        [":--"] * frame.shape[1],
        *(list(map(str, row)) for row in frame.itertuples(index=False)),
    ]
    return "\n".join("| " + " | ".join(_plain_cell(text) for text in line) + " |" for line in lines)


def _plain_cell(text: str) -> str:
    """Text with every sign escaped that Markdown or HTML would read."""
    shown = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*|~]|(?<!\w)_|_(?!\w)|(?<=\])\()", r"\\\1", shown)


def latex(frame: pd.DataFrame, caption: str = "") -> str:
    """A table for booktabs, every character of the data escaped."""
    styled = frame.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis=1)
    return str(styled.to_latex(hrules=True, caption=_latex_text(caption) or None, column_format="l" * frame.shape[1]))


def _latex_text(text: str) -> str:
    frame = pd.DataFrame({"text": [text]}).style.format(escape="latex").hide(axis="index").hide(axis="columns")
    return "\n".join(frame.to_latex().splitlines()[1:-1]).removesuffix(r" \\").strip()


def export(urls: Sequence[str], name: str, format: Format, model: str | None = None) -> str:
    """One table of a board as text.

    Args:
        urls: Stores.
        name: `overall`, `tasks`, `without-task`, `without-metric`, `under-operator`, a task, `task:metric`,
            `task:metric:beats`, or `method:name`.
        format: `latex`, `markdown`, `csv` or `json`.
        model: Its name, where the board has several.

    Raises:
        UsageError: No such table, model or format; near matches are named.
    """
    shelf = open_shelf(urls)
    fields = fields_of(shelf)
    models = list(dict.fromkeys(field.group.model for field in fields))
    if model is not None and model not in models:
        raise UnknownName("model on this board", model, models)
    if model is None and len(models) > 1:
        raise UsageError(f"the board has several models: choose one with --model: {', '.join(models)}.")
    chosen = [field for field in fields if field.group.model == (model or models[0])]
    known = _sheets(chosen, shelf)
    sheet = known[name]() if name in known else None
    if sheet is None:
        raise UnknownName("table", name, known)
    return written(sheet, format)


def _sheets(fields: Sequence[TaskBoard], shelf: BoardReader) -> dict[str, Callable[[], Sheet | None]]:
    """What makes each table of a model, by name."""
    board = model_boards(fields)[0]
    known: dict[str, Callable[[], Sheet | None]] = {OVERALL: lambda: overall_sheet(board), "tasks": lambda: tasks_sheet(board)}
    for by in ("task", "metric"):
        if board.left_out(by):
            known[f"without-{by}"] = partial(left_out_sheet, board, by)
    if board.under_operators():
        known["under-operator"] = partial(left_out_sheet, board, "operator")
    for field in fields:
        if field.first is not None:
            known.setdefault(field.group.task, partial(standing_sheet, field.first))
        for metric, standing in field.standings.items():
            known.setdefault(f"{field.group.task}:{metric}", partial(standing_sheet, standing))
            known.setdefault(f"{field.group.task}:{metric}:beats", partial(beats_sheet, standing))
    for method, cells in by_method(fields).items():
        known[f"method:{method}"] = partial(method_sheet, method, cells, shelf.trust)
    return known


def by_method(fields: Sequence[TaskBoard]) -> dict[str, list[tuple[TaskBoard, str, Record]]]:
    """Every cell of each method, by plain name in order, with the field it stands in and its label there."""
    found: dict[str, list[tuple[TaskBoard, str, Record]]] = {}
    for field in fields:
        for label, record in field.group.by_label().items():
            found.setdefault(record.method, []).append((field, label, record))
    return dict(sorted(found.items()))


def written(sheet: Sheet, format: Format) -> str:
    """A table in a format that is text."""
    if format == "csv":
        return str(sheet.data.to_csv(index=False)).rstrip("\n")
    if format == "json":
        return str(sheet.data.to_json(orient="records", indent=1))
    if format == "markdown":
        return markdown(sheet.shown)
    if format == "latex":
        return latex(sheet.shown, sheet.caption).rstrip("\n")
    raise UsageError(f"tables are exported as latex, markdown, csv or json, got {format!r}.")


def save(sheet: Sheet, stem: Path) -> dict[str, Path]:
    """Writes a table in every format; returns the files by format."""
    paths = {format: stem.with_name(f"{stem.name}.{ending}") for format, ending in FORMATS.items()}
    for format, path in paths.items():
        if format == "parquet":
            sheet.data.to_parquet(path, index=False)
        else:
            path.write_text(written(sheet, format) + "\n", encoding="utf-8")  # type: ignore[arg-type]
    return paths
