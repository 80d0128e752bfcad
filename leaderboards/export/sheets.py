"""Tables of a board as CSV, JSON, Parquet, Markdown and LaTeX."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from ...benchmark.store.record import Record
from ...core.errors import UnknownName, UsageError, listing
from ...metrics.scores import Aggregate
from ..comparison.model_boards import ModelBoard, model_boards
from ..comparison.task_boards import RankedTable, TaskBoard, read_task_boards
from ..stored.comparable_cells import ComparableCells, find_aggregate, groups, note_lines, trained_once
from ..submission.board_reader import BoardReader, open_board
from ..submission.trust import Trust

Format = Literal["latex", "markdown", "csv", "json"]
"""The formats that are text."""
FORMATS = {"csv": "csv", "parquet": "parquet", "json": "json", "markdown": "md", "latex": "tex"}
"""The formats that `save` writes, with the endings of their files."""
OVERALL = "overall"
TABLE_NAMES = "Tables are overall, tasks, without-task, without-metric, TASK, TASK:METRIC, TASK:METRIC:beats and method:NAME."
MATRIX = 25
"""The largest number of methods in a printed or displayed matrix of P(A beats B); its CSV, Parquet and JSON have all."""


def matrix(standing: RankedTable) -> list[tuple[str, list[tuple[str, float | None]]]]:
    """P(A beats B) among the first `MATRIX` methods of a table.

    Returns:
        A row for each method A: its label, then (label of B, share of resamples in which A beats B), None where B is A.
    """
    names, beats = standing.comparison.ranks.methods[:MATRIX], standing.comparison.ranks.beats
    return [(a, [(b, None if a == b else float(beats[i, j])) for j, b in enumerate(names)]) for i, a in enumerate(names)]


def ranked(task_board: TaskBoard, record: Record) -> tuple[Aggregate | None, str]:
    """The aggregate of a cell by which its task is ranked, or None and the reason why it has none.

    Where the ranked table has the cell's mean, the interval is the table's: one mean has one interval on every page.
    """
    if task_board.first is None:
        return None, record.error or "The task has no ranked table."
    aggregate = find_aggregate(record, task_board.first.comparison.metric, task_board.first.comparison.variant)
    if isinstance(aggregate, str):
        return None, aggregate
    of_method = task_board.group.by_method()
    row = next((row for row in task_board.first.rows if of_method[row.label] == (record,)), None)
    return (aggregate if row is None else replace(aggregate, value=row.mean, low=row.low, high=row.high)), ""


def standing_table(standing: RankedTable) -> pd.DataFrame:
    """A row for each method, best first; methods without a score come last, with the reason."""
    shares = standing.comparison.of_oracle.of_method
    ends = {
        label: dict(zip(("of_oracle", "of_oracle_low", "of_oracle_high"), share, strict=True)) for label, share in shares.items()
    }
    rows = [{**asdict(line), **ends.get(line.label, {}), "reason": ""} for line in standing.rows]
    rows += [{"label": label, "reason": why} for label, why in standing.comparison.missing.items()]
    frame = pd.DataFrame(rows)
    group, side = standing.comparison.group, standing.comparison
    table_key = {"model": group.model, "task": group.task, "note": group.note, "metric": side.metric, "variant": side.variant}
    for position, (name, value) in enumerate(table_key.items()):
        frame.insert(position, name, value)
    return frame


OVERALL_COLUMNS = (
    "rank", "low", "high", "task_low", "task_high", "best_task", "worst_task", "behind", "behind_low", "behind_high", "first",
)  # fmt: skip
"""Fields of `OverallOrder` that stand in the table of the overall order."""
OVERALL_WORDS = (
    "95 % intervals: over instances, of other sentences of these tasks; over tasks, of other tasks, if these are a sample. "
    "P(best): share of resamples of the sentences with the best mean rank. Methods that share a letter are not separated by a "
    "paired test of their standardised scores, corrected over all pairs."
)


def overall_table(board: ModelBoard) -> pd.DataFrame:
    """A row for each method, best first: its mean rank over the tables that count; unranked ones come last, with the reason."""
    overall, order = board.overall, board.best_first
    labels = [board.methods[i] for i in order]
    numbers = {} if overall is None else {name: getattr(overall, name)[order] for name in OVERALL_COLUMNS}
    halves = np.full((2, 0), np.nan) if overall is None else overall.halves[:, order]
    ranked = pd.DataFrame(
        {
            "model": [board.model] * len(order),
            "label": labels,
            **numbers,
            "half_1": halves[0],
            "half_2": halves[1],
            "ties": [board.letters[i] for i in order],
            "tables": [len(board.counted)] * len(order),
            "seconds": [board.seconds(label) for label in labels],
            "trust": [board.trust(label) for label in labels],
            "trained_once": [board.trained_once.get(label, "") for label in labels],
            "reason": [""] * len(order),
        }
    )
    without = [
        {"model": board.model, "label": label, "tables": 0, "reason": why} for label, why in board.methods_without().items()
    ]
    return pd.concat([ranked, pd.DataFrame(without)], ignore_index=True) if without else ranked


def _intervals(table: pd.DataFrame, low: str, high: str) -> list[str]:
    ends = zip(table[low], table[high], strict=True)
    return [f"[{a:.2f}, {b:.2f}]" if a == a else "–" for a, b in ends]


@dataclass(frozen=True, eq=False)
class Sheet:
    """A table that can be downloaded or printed.

    Attributes:
        data: Every column, with numbers in full precision, for CSV, Parquet and JSON.
        shown: The same table as in a paper, text in few columns, for Markdown and LaTeX.
        caption: A sentence that says what the table shows.
    """

    data: pd.DataFrame
    shown: pd.DataFrame
    caption: str


def overall_sheet(board: ModelBoard) -> Sheet:
    """The overall order of the methods on one model."""
    table = overall_table(board)
    ranked = table[table["reason"] == ""]
    shown = {
        "method": ranked["label"],
        "mean rank": [f"{x:.2f}" for x in ranked["rank"]],
        "over instances": _intervals(ranked, "low", "high"),
        "over tasks": _intervals(ranked, "task_low", "task_high"),
        "P(best)": [f"{x:.2f}" for x in ranked["first"]],
        "cannot be separated": ranked["ties"],
        "s/explanation": [_cost(x) for x in ranked["seconds"]],
    }
    caption = (
        f"Mean rank of methods on {board.model} over {len(board.counted)} tables. {OVERALL_WORDS}{_once(board.trained_once)}"
    )
    return Sheet(table, pd.DataFrame(shown), caption)


def standing_sheet(standing: RankedTable) -> Sheet:
    """The ranked table of one metric on one task."""
    rows = [
        (f"{line.rank:g} [{line.rank_low:g}, {line.rank_high:g}]", line.label,
         _mean(line.mean, line.low, line.high), str(line.count), line.ties, _cost(line.seconds))
        for line in standing.rows
    ]  # fmt: skip
    side = standing.comparison
    columns = ["rank", "method", f"{side.metric} [95 %]", "n", "cannot be separated", "s/explanation"]
    caption = f"{side.metric} ({side.variant}) of methods on {_task_and_model(side.group)}, with 95 % intervals."
    caption += _once(standing.trained_once)
    return Sheet(standing_table(standing), pd.DataFrame(rows, columns=columns), caption)


def beats_sheet(standing: RankedTable) -> Sheet:
    """The matrix of P(A beats B) of one metric on one task; what is printed is limited to the first `MATRIX` methods."""
    ranks, corner = standing.comparison.ranks, "P(row beats column)"
    data = pd.DataFrame(ranks.beats, columns=list(ranks.methods)).mask(np.eye(len(ranks.methods), dtype=bool))
    data.insert(0, corner, list(ranks.methods))
    few = matrix(standing)
    shown = [[label, *("" if share is None else f"{share:.2f}" for _, share in row)] for label, row in few]
    what = f"{standing.comparison.metric}, {_task_and_model(standing.comparison.group)}"
    caption = f"Share of resamples in which the method of the row beats the method of the column: {what}."
    return Sheet(data, pd.DataFrame(shown, columns=[corner, *(label for label, _ in few)]), caption)


def left_out_sheet(board: ModelBoard, by: str) -> Sheet | None:
    """How the overall order changes without each task or each metric, or under each other ablation operator.

    Args:
        board: The board of a model.
        by: `task`, `metric` or `operator`.

    Returns:
        The table, or None where there is only one task, metric or operator.
    """
    changes = board.under_operators() if by == "operator" else board.left_out(by)
    if not changes:
        return None
    moves = [[f"{name} {before:g} to {after:g}" for name, before, after in change.moves] for change in changes]
    data = {
        "model": board.model,
        "left_out": [change.name for change in changes],
        "first": [", ".join(change.first) for change in changes],
        "tau": [change.tau for change in changes],
        "moves": ["; ".join(texts) for texts in moves],
    }
    shown = {
        "left out": data["left_out"],
        "best method then": data["first"],
        "Kendall's tau": [f"{change.tau:.2f}" for change in changes],
        "largest changes of rank": ["; ".join(texts[:3]) for texts in moves],
    }
    change = "under each other ablation operator" if by == "operator" else f"without each {by}"
    caption = f"The order of methods on {board.model} {change}."
    return Sheet(pd.DataFrame(data), pd.DataFrame(shown), caption)


def tasks_sheet(board: ModelBoard) -> Sheet:
    """The tasks of one model, with the best method on each."""
    rows: list[dict[str, Any]] = []
    for task_board in board.task_boards:
        group, first = task_board.group, task_board.first
        rows.append(
            {"model": group.model, "task": group.task, "note": group.note, "instances": group.instances,
             "methods": len(set(group.methods())), "metric": first.comparison.metric if first else "",
             "first": ", ".join(task_board.leaders), "value": first.rows[0].mean if first else math.nan}
        )  # fmt: skip
    data = pd.DataFrame(rows)
    shown = data.drop(columns=["model", "value"]).astype(str)
    return Sheet(data, shown, f"Tasks on {board.model}, with the best method by the metric that each task is ranked by.")


def method_sheet(name: str, cells: Sequence[tuple[TaskBoard, str, Record]], trust: Callable[[Record], Trust]) -> Sheet:
    """The cells of one method, with scores by the metric that each task is ranked by.

    Args:
        name: The plain name of the method.
        cells: Its cells as `cells_by_method` returns them.
        trust: The level of trust of a record.
    """
    rows: list[dict[str, Any]] = []
    for task_board, label, record in cells:
        group, first = task_board.group, task_board.first
        aggregate, reason = ranked(task_board, record)
        value, low, high = (aggregate.value, aggregate.low, aggregate.high) if aggregate else (math.nan,) * 3
        rows.append(
            {"model": group.model, "task": record.task, "note": group.note, "label": label,
             "metric": first.comparison.metric if first else "", "value": value, "low": low, "high": high,
             "instances": record.instances,
             "seconds": record.cost.seconds if record.cost else math.nan,
             "peak_bytes": record.cost.peak_bytes if record.cost else 0, "trust": trust(record), "reason": reason,
             "trained_once": trained_once([record])}
        )  # fmt: skip
    shown = [
        (r["task"], r["model"], r["label"], r["metric"], _mean(r["value"], r["low"], r["high"]), str(r["instances"]),
         _cost(r["seconds"]), r["trust"])
        for r in rows
    ]  # fmt: skip
    columns = ["task", "model", "label", "metric", "score [95 %]", "n", "s/explanation", "trust"]
    return Sheet(pd.DataFrame(rows), pd.DataFrame(shown, columns=columns), f"{name} on every task, with 95 % intervals.")


def _once(notes: Mapping[str, str]) -> str:
    """What a caption says of methods that were trained once."""
    return "".join(f" {line}" for line in note_lines(notes))


def _task_and_model(group: ComparableCells) -> str:
    """The task and the model of a group, for captions."""
    return f"{group.task}{f' ({group.note})' if group.note else ''} with {group.model}"


def _mean(value: float, low: float, high: float) -> str:
    """A mean with its interval where there is one, or an empty text where the mean is undefined."""
    return "" if value != value else f"{value:.3f} [{low:.3f}, {high:.3f}]" if low == low else f"{value:.3f}"


def _cost(seconds: float) -> str:
    """Seconds to three significant digits, or an empty text where they are unknown."""
    return "" if seconds != seconds else f"{seconds:.3g}"


def markdown(frame: pd.DataFrame) -> str:
    r"""A table in GitHub's Markdown; characters that would leave their cell are escaped.

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
    """A text with every character escaped that Markdown or HTML would interpret."""
    shown = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*|~]|(?<!\w)_|_(?!\w)|(?<=\])\()", r"\\\1", shown)


def latex(frame: pd.DataFrame, caption: str = "") -> str:
    """A table in LaTeX for the package booktabs; all texts, the caption included, are escaped."""
    styled = frame.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis=1)
    return str(styled.to_latex(hrules=True, caption=_latex_text(caption) or None, column_format="l" * frame.shape[1]))


def _latex_text(text: str) -> str:
    """A text escaped by the same code of pandas that escapes the cells of a table."""
    frame = pd.DataFrame({"text": [text]}).style.format(escape="latex").hide(axis="index").hide(axis="columns")
    return "\n".join(frame.to_latex().splitlines()[1:-1]).removesuffix(r" \\").strip()


def export(urls: Sequence[str], name: str, format: Format, model: str | None = None) -> str:
    """Writes one table of a board as text.

    Args:
        urls: Folders or fsspec URLs of results, read as one board.
        name: `overall`, `tasks`, `without-task`, `without-metric`, `under-operator`, a task, `task:metric`,
            `task:metric:beats`, or `method:name`.
        format: `latex`, `markdown`, `csv` or `json`.
        model: The name of the model; needed where the board has several.

    Raises:
        UsageError: The table, the model or the format is unknown; near matches are named.
    """
    reader = open_board(urls)
    models = list(dict.fromkeys(group.model for group in groups(reader.records)))
    if model is not None and model not in models:
        raise UnknownName("model on this board", model, models)
    if model is None and len(models) > 1:
        raise UsageError(f"the board has several models; choose one with --model: {listing(models)}.")
    known = _sheets(read_task_boards(reader, model), reader)
    sheet = known[name]() if name in known else None
    if sheet is None:
        raise UnknownName("table", name, known, TABLE_NAMES)
    return as_text(sheet, format)


def _sheets(task_boards: Sequence[TaskBoard], reader: BoardReader) -> dict[str, Callable[[], Sheet | None]]:
    """The tables of one model by name, each as a function that computes it when it is needed."""
    board = model_boards(task_boards)[0]
    known: dict[str, Callable[[], Sheet | None]] = {OVERALL: lambda: overall_sheet(board), "tasks": lambda: tasks_sheet(board)}
    for by in ("task", "metric"):
        if board.left_out(by):
            known[f"without-{by}"] = partial(left_out_sheet, board, by)
    if board.under_operators():
        known["under-operator"] = partial(left_out_sheet, board, "operator")
    for task_board in task_boards:
        if task_board.first is not None:
            known.setdefault(task_board.group.task, partial(standing_sheet, task_board.first))
        for metric, standing in task_board.tables.items():
            known.setdefault(f"{task_board.group.task}:{metric}", partial(standing_sheet, standing))
            known.setdefault(f"{task_board.group.task}:{metric}:beats", partial(beats_sheet, standing))
    for method, cells in cells_by_method(task_boards).items():
        known[f"method:{method}"] = partial(method_sheet, method, cells, reader.trust)
    return known


def cells_by_method(task_boards: Sequence[TaskBoard]) -> dict[str, list[tuple[TaskBoard, str, Record]]]:
    """Every cell of each method, in order of the methods' plain names, with its task's board and its label there."""
    cells: dict[str, list[tuple[TaskBoard, str, Record]]] = {}
    for task_board in task_boards:
        for label, record in task_board.group.by_label().items():
            cells.setdefault(record.method, []).append((task_board, label, record))
    return dict(sorted(cells.items()))


def as_text(sheet: Sheet, format: Format) -> str:
    """Writes a table in one of the formats that are text.

    Raises:
        UsageError: The format is unknown.
    """
    if format == "csv":
        return str(sheet.data.to_csv(index=False)).rstrip("\n")
    if format == "json":
        return str(sheet.data.to_json(orient="records", indent=1))
    if format == "markdown":
        return markdown(sheet.shown)
    if format == "latex":
        return latex(sheet.shown, sheet.caption).rstrip("\n")
    raise UsageError(f"a table is exported as latex, markdown, csv or json, got {format!r}.")


def save(sheet: Sheet, stem: Path) -> dict[str, Path]:
    """Writes a table in every format of `FORMATS`.

    Args:
        sheet: The table.
        stem: Path of the files without their ending.

    Returns:
        The path of the file in each format.
    """
    paths = {format: stem.with_name(f"{stem.name}.{ending}") for format, ending in FORMATS.items()}
    for format, path in paths.items():
        if format == "parquet":
            sheet.data.to_parquet(path, index=False)
        else:
            path.write_text(as_text(sheet, format) + "\n", encoding="utf-8")  # type: ignore[arg-type]
    return paths
