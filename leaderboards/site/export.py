"""Tables of a board as CSV, JSON, Parquet, Markdown and LaTeX. No torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal

import pandas as pd

from ...core.errors import UnknownName, UsageError
from .shelf import open_shelf
from .standings import Field, ModelBoard, Standing, fields_of, model_boards

Format = Literal["latex", "markdown", "csv", "json"]
OVERALL = "overall"


def standing_table(standing: Standing) -> pd.DataFrame:
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


def printed(table: Standing | ModelBoard) -> pd.DataFrame:
    """The table as it stands in a paper: text, few columns."""
    if isinstance(table, ModelBoard):
        found = overall_table(table)
        return pd.DataFrame(
            {
                "method": found["label"],
                "mean rank": [f"{x:.2f}" for x in found["rank"]],
                "95 % interval": [f"[{a:.2f}, {b:.2f}]" for a, b in zip(found["low"], found["high"], strict=True)],
                "s/explanation": [_cost(x) for x in found["seconds"]],
            }
        )
    side = table.side
    rows = [
        (f"{line.rank:g} [{line.rank_low:g}, {line.rank_high:g}]", line.label,
         f"{line.mean:.3f} [{line.low:.3f}, {line.high:.3f}]", str(line.count), line.ties, _cost(line.seconds))
        for line in table.lines
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["rank", "method", f"{side.metric} [95 %]", "n", "not told apart", "s/explanation"])


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
        name: `overall`, a task, or `task:metric`.
        format: `latex`, `markdown`, `csv` or `json`.
        model: Its name, where the board has several.

    Raises:
        UsageError: No such table, model or format; near matches are named.
    """
    fields = fields_of(open_shelf(urls))
    models = list(dict.fromkeys(field.group.model for field in fields))
    if model is not None and model not in models:
        raise UnknownName("model on this board", model, models)
    if model is None and len(models) > 1:
        raise UsageError(f"the board has several models: choose one with --model: {', '.join(models)}.")
    chosen = [field for field in fields if field.group.model == (model or models[0])]
    return written(_table(chosen, name), format)


def _table(fields: Sequence[Field], name: str) -> Standing | ModelBoard:
    if name == OVERALL:
        return model_boards(fields)[0]
    known: dict[str, Standing] = {}
    for field in fields:
        if field.first is not None:
            known.setdefault(field.group.task, field.first)
        for metric, standing in field.standings.items():
            known.setdefault(f"{field.group.task}:{metric}", standing)
    if name not in known:
        raise UnknownName("table", name, [OVERALL, *known])
    return known[name]


def written(table: Standing | ModelBoard, format: Format) -> str:
    """A table in a format."""
    frame = overall_table(table) if isinstance(table, ModelBoard) else standing_table(table)
    if format == "csv":
        return str(frame.to_csv(index=False)).rstrip("\n")
    if format == "json":
        return str(frame.to_json(orient="records", indent=1))
    if format == "markdown":
        return markdown(printed(table))
    if format == "latex":
        return latex(printed(table), caption_of(table)).rstrip("\n")
    raise UsageError(f"tables are exported as latex, markdown, csv or json, got {format!r}.")


def caption_of(table: Standing | ModelBoard) -> str:
    """What a table shows, in a sentence."""
    if isinstance(table, ModelBoard):
        return f"Mean rank of methods on {table.model} over {len(table.counted)} tables, with 95 % intervals."
    side = table.side
    note = f" ({side.group.note})" if side.group.note else ""
    return f"{side.metric} ({side.variant}) of methods on {side.group.task}{note} with {side.group.model}, with 95 % intervals."
