"""The tables of a store: methods ranked over tasks, and one in the shape of Lu et al. 2021, Table 1."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from rich.console import Console
from rich.table import Table

from ..benchmark.results import table
from ..benchmark.store import Store
from ..core.errors import UsageError

RANKED = ("ablated_accuracy", "embedding/matched/predicted")
KEYS = ["model", "task", "method"]


class Column(NamedTuple):
    """One number of the ranked table: its heading, metric, variant, and how it is written."""

    heading: str
    metric: str
    variant: str
    form: str = "{:.2f}"


BESIDE = (
    Column("agrees", "ablated_accuracy", "embedding/matched/predicted/agreement"),
    Column("gold", "ablated_accuracy", "embedding/matched/gold"),
    Column("retention", "retention_curve", "auc"),
    Column("deletion", "deletion_curve", "auc"),
)
PAPER_ROWS = (
    ("Pi+ e", "influence-patterns", "ablated_accuracy", "embedding/matched/{guide}", "{:.2f}"),
    ("random e", "random", "ablated_accuracy", "embedding/matched/{guide}", "{:.2f}"),
    ("attention", "attention", "ablated_accuracy", "embedding/matched/{guide}", "{:.2f}"),
    ("conductance", "conductance", "ablated_accuracy", "embedding/matched/{guide}", "{:.2f}"),
    ("internal influence", "internal-influence", "ablated_accuracy", "embedding/matched/{guide}", "{:.2f}"),
    ("integrated gradients", "integrated-gradients", "ablated_accuracy", "embedding/matched/{guide}", "{:.2f}"),
    ("Pi+ a", "influence-patterns", "ablated_accuracy", "attention/matched/{guide}", "{:.2f}"),
    ("random a", "random", "ablated_accuracy", "attention/matched/{guide}", "{:.2f}"),
    ("repl. skip", "repl-skip", "ablated_accuracy", "attention/own/{guide}", "{:.2f}"),
    ("positive words only", "influence-patterns", "ablated_accuracy", "control/positive-words/{guide}", "{:.2f}"),
    ("original", "influence-patterns", "ablated_accuracy", "original", "{:.2f}"),
    ("chance", "influence-patterns", "ablated_accuracy", "chance", "{:.2f}"),
)
PATTERN_ROWS = (
    ("conc+ e", "concentration", "positive/embedding", "{:.2f}"),
    ("conc- e", "concentration", "negative/embedding", "{:.2f}"),
    ("conc+ a", "concentration", "positive/attention", "{:.2f}"),
    ("conc- a", "concentration", "negative/attention", "{:.2f}"),
    ("share e", "path_share", "embedding", "{:.1e}"),
    ("share a *", "path_share", "attention", "{:.1e}"),
    ("skip share", "skip_share", "skip_share", "{:.2f}"),
    ("alignment", "alignment_rate", "alignment_rate", "{:.2f}"),
    ("entropy (bits)", "pattern_entropy", "union", "{:.3f}"),
    ("random beaten e", "random_rank", "embedding/beaten", "{:.0f}"),
    ("random beaten a", "random_rank", "attention/beaten", "{:.0f}"),
    ("completeness error", "completeness_error", "absolute", "{:.4f}"),
)


def results(store: str) -> pd.DataFrame:
    """Every aggregate of every cell of a store, one a row; `metric` without its version is in `name`.

    Raises:
        UsageError: A store without cells.
    """
    records = Store(store).records()
    if not records:
        raise UsageError(f"{store} holds no results yet: fill it with `flowgauge run ... --store {store}`.")
    frame = table(records)
    frame["name"] = frame["metric"].fillna("").str.split("@").str[0]
    return frame


def render(store: str, form: str = "text", width: int = 110) -> str:
    """The tables of a store as text, or every number of it as JSON or CSV (long form).

    Args:
        store: Folder or fsspec URL.
        form: `text`, `json` or `csv`.
        width: Of the text, in characters.
    """
    frame = results(store)
    if form == "csv":
        return frame.to_csv(index=False)
    if form == "json":
        rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
        return json.dumps(rows, indent=1)
    console = Console(file=io.StringIO(), width=width)
    for model, part in frame.groupby("model", sort=False):
        for title, shown in (
            ("ablated accuracy guided by the gold answer, as in the paper", paper_table(part, "gold")),
            ("ablated accuracy guided by the predicted answer", paper_table(part, "predicted")),
            ("methods ranked by ablated accuracy guided by the predicted answer, 95 % intervals", ranked_table(part)),
        ):
            console.print(f"\n[bold]{model}[/bold]: {title}", highlight=False)
            console.print(shown)
    for note in notes(frame):
        console.print(note, style="dim", highlight=False)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text.strip("\n")


def cell(row: pd.Series | None, form: str = "{:.2f}", interval: bool = True) -> str:
    """A number with its 95 % interval, or a dash where it is undefined or absent."""
    if row is None or pd.isna(row.value):
        return "-"
    text = form.format(row.value)
    if interval and pd.notna(row.low):
        text += f" [{form.format(row.low)}, {form.format(row.high)}]"
    return text


def tasks_of(frame: pd.DataFrame) -> list[str]:
    """Tasks in the order in which they first occur."""
    return list(dict.fromkeys(frame.task))


def paper_table(frame: pd.DataFrame, guide: str) -> Table:
    """Rows and columns of Lu et al. 2021, Table 1; random rows show the standard deviation over draws."""
    names = tasks_of(frame)
    shown = Table(box=None, pad_edge=False)
    shown.add_column("")
    for task in names:
        shown.add_column(task, justify="right")
    for label, method, metric, variant, form in PAPER_ROWS:
        rows = [pick(frame, method, metric, variant.format(guide=guide), task) for task in names]
        if any(r is not None for r in rows):
            shown.add_row(label, *(_with_spread(r, form) for r in rows))
    if guide == "gold":
        shown.add_section()
        for label, metric, variant, form in PATTERN_ROWS:
            rows = [pick(frame, "influence-patterns", metric, variant, task) for task in names]
            if any(r is not None for r in rows):
                shown.add_row(label, *(cell(r, form, interval=False) for r in rows))
    return shown


def pick(frame: pd.DataFrame, method: str, metric: str, variant: str, task: str) -> pd.Series | None:
    """The aggregate of one method, metric, variant and task; the last stored where there are several."""
    found = frame[(frame["method"] == method) & (frame["name"] == metric) & (frame["variant"] == variant) & (frame["task"] == task)]
    return None if found.empty else found.iloc[-1]


def _with_spread(row: pd.Series | None, form: str) -> str:
    text = cell(row, form, interval=False)
    return text if row is None or pd.isna(row.sd_draws) or text == "-" else f"{text} ±{row.sd_draws:.3f}"


class Rank(NamedTuple):
    """One method's place: mean rank over tasks (1 is best), and its row of each task."""

    method: str
    mean_rank: float
    rows: tuple[pd.Series | None, ...]


def ranking(frame: pd.DataFrame) -> list[Rank]:
    """Methods by mean rank of prediction-guided ablated accuracy over tasks; ties share the mean of their places."""
    names, methods = tasks_of(frame), list(dict.fromkeys(frame.method))
    rows = {m: tuple(pick(frame, m, *RANKED, task) for task in names) for m in methods}
    values = pd.DataFrame({m: [float("nan") if r is None else r.value for r in picked] for m, picked in rows.items()}, index=names)
    mean = values.rank(axis=1, ascending=False, method="average").mean()
    return sorted((Rank(m, float(mean[m]), rows[m]) for m in methods), key=lambda r: (pd.isna(r.mean_rank), r.mean_rank))


def ranked_table(frame: pd.DataFrame) -> Table:
    """Methods from best to worst, with what stands beside the ranked number as means over tasks."""
    names = tasks_of(frame)
    shown = Table(box=None, pad_edge=False)
    for heading in ("rank", "method", *(names if len(names) <= 2 else ["accuracy"]), *(c.heading for c in BESIDE), "n", "s/instance"):
        shown.add_column(heading, justify="left" if heading == "method" else "right")
    for place in ranking(frame):
        own = frame[frame["method"] == place.method]
        per_task = [cell(r) for r in place.rows] if len(names) <= 2 else [_mean([r.value for r in place.rows if r is not None])]
        beside = [_mean([r.value for t in names if (r := pick(own, place.method, c.metric, c.variant, t)) is not None]) for c in BESIDE]
        count = sum(int(r["count"]) for r in place.rows if r is not None)
        rank = "-" if pd.isna(place.mean_rank) else f"{place.mean_rank:.1f}"
        shown.add_row(rank, place.method, *per_task, *beside, str(count) if count else "-", _mean(list(own["seconds"].unique()), "{:.3f}"))
    return shown


def _mean(values: Sequence[float], form: str = "{:.2f}") -> str:
    known = [v for v in values if pd.notna(v)]
    return form.format(sum(known) / len(known)) if known else "-"


def notes(frame: pd.DataFrame) -> list[str]:
    """Why cells failed and why numbers are missing, one line each; how many instances the numbers rest on."""
    lines = [f"* counted exactly; not comparable with the paper's figure, whose counting is not published. n = instances (sum over tasks)."]
    for row in frame[frame["status"] == "failed"].drop_duplicates(KEYS).itertuples():
        lines.append(f"failed: {row.method} on {row.task}: {row.reason}")
    absent = frame[frame["value"].isna() & frame["reason"].fillna("").ne("") & frame["status"].ne("failed")]
    for (method, reason), part in absent.groupby(["method", "reason"], sort=False):
        shown = ", ".join(dict.fromkeys(part["name"].replace("", "explaining")))
        lines.append(f"n/a: {method}, {shown}: {str(reason).removeprefix('not-applicable: ')}")
    return lines
