"""Report cards for people and programs: tables of text, JSON, Markdown and one page of HTML."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

import pandas as pd

from ...benchmark.store.atomic_files import write_file
from ...core.errors import UsageError
from ...metrics.registry import METRICS
from ..export.sheets import markdown
from ..figures.style import save
from .card_file import to_json
from .cards import ReportCard, ReportCards, TaskMean, kinds_of
from .heat_map import correlation_figure

STEM = "metric-report-cards"
LEGEND = (
    "noise: mean difference of two random explanations, without sign; 95 % of pairs stay below the number in brackets.",
    "level: share of pairs of random explanations that the test calls different. Power: share of explanations by an oracle, with "
    "noise of the size at the head of the column, that the test calls better than a random one (p < 0.05, two alone).",
    "known order: Kendall's tau of the metric's order of oracles and random with the known one. Truth: the same for methods, "
    "with their nearness to the planted truth. Ties by the metric count as neither.",
    "operators: the lowest Kendall's tau-b of the orders of methods by this metric and under another ablation operator.",
    "Every number is a mean over tasks with its 95 % interval over tasks.",
)
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:82rem;padding:0 1rem;color-scheme:light dark}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{padding:.2rem .7rem;text-align:left;"
    "border-bottom:1px solid #8888}svg{background:#fff;max-width:100%;height:auto}div{overflow-x:auto}"
)


def number(mean: TaskMean) -> str:
    """A mean over tasks with its interval; a dash where it is undefined.

    >>> number(TaskMean(0.5, 0.25, 0.75, 8)), number(TaskMean(1.0, tasks=8)), number(TaskMean(math.nan, reason="no truth"))
    ('.50 [.25, .75]', '1.00', '-')
    """
    if mean.value != mean.value:
        return "-"
    interval = "" if mean.low != mean.low else f" [{_short(mean.low)}, {_short(mean.high)}]"
    return _short(mean.value) + interval


def _short(value: float) -> str:
    """Two digits behind the point, without a zero before it.

    >>> _short(0.5), _short(-0.25), _short(1.0), _short(-0.001)
    ('.50', '-.25', '1.00', '.00')
    """
    text = f"{value:.2f}"
    return (text if float(text) else "0.00").replace("0.", ".", 1) if abs(float(text)) < 1 else text


def cards_table(cards: Sequence[ReportCard]) -> pd.DataFrame:
    """One row a metric, every number as text."""
    kinds = kinds_of(cards)
    sizes = sorted({kind.rpartition("=")[2] for kind in kinds}, key=float)
    rows = []
    for card in cards:
        by_size = {kind.rpartition("=")[2]: mean for kind, mean in card.power.items()}
        noise = "-" if card.noise_95 != card.noise_95 else f"{card.noise.value:.3f} ({card.noise_95:.3f})"
        lowest = min((card.correlations[name] for name in card.operators), key=lambda tau: _last(tau.value), default=None)
        rows.append(
            {"metric": card.metric, "reads": card.reads, "tasks": str(max(card.level.tasks, card.truth.tasks))}
            | {"noise": noise, "level": number(card.level)}
            | {f"power, noise {size}": number(by_size[size]) if size in by_size else "-" for size in sizes}
            | {"known order": number(card.ladder), "truth": number(card.truth)}
            | {"operators": "-" if lowest is None else number(lowest)}
        )
    return pd.DataFrame(rows)


def _last(value: float) -> float:
    return math.inf if value != value else value


def correlation_table(cards: Sequence[ReportCard]) -> pd.DataFrame:
    """Kendall's tau-b of the orders by every two metrics; NaN where it is undefined, 1 on the diagonal."""
    names = [card.metric for card in cards]
    rows = [[1.0 if name == card.metric else card.correlations[name].value for name in names] for card in cards]
    return pd.DataFrame(rows, index=names, columns=names)


def notes(cards: Sequence[ReportCard]) -> Iterator[str]:
    """Lines for below the table: what is undefined and why, and which of flowgauge's metrics the store has no scores of."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for card in cards:
        parts = {"noise and level": card.level, "known order and power": card.ladder, "truth": card.truth}
        for what, mean in parts.items():
            if mean.reason:
                reasons.setdefault((what, mean.reason), []).append(card.metric)
    yield from (f"{what} of {', '.join(names)}: {reason.rstrip('.')}." for (what, reason), names in reasons.items())
    lacking = sorted(set(METRICS.builtin) - {card.metric.partition(":")[0].partition("@")[0] for card in cards})
    if lacking:
        yield f"Without a card, since the store has no scores of them for single instances: {', '.join(lacking)}."


def write_pages(cards: ReportCards, out: Path) -> list[Path]:
    """Writes the cards as Markdown, HTML and JSON, and the correlations as a figure.

    Args:
        cards: Of all metrics, so that the figure is whole.
        out: The folder.

    Returns:
        The files.

    Raises:
        UsageError: The folder cannot be written.
    """
    figures = save(correlation_figure(correlation_table(cards.cards)), out, f"{STEM}-correlation")
    table, below = cards_table(cards.cards), [cards.measured_on, *LEGEND, *notes(cards.cards)]
    drawn = figures[-1].read_text(encoding="utf-8")
    texts = {
        ".md": "\n\n".join(["# Metric report cards", markdown(table), "\n".join(f"- {line}" for line in below)]) + "\n",
        ".html": f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Metric report cards</title><style>{STYLE}</style>'
        f"<h1>Metric report cards</h1><div>{table.to_html(index=False, border=0)}</div>"
        f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in below)}</ul>{drawn[drawn.index('<svg') :]}</html>\n",
        ".json": to_json(cards) + "\n",
    }
    paths = [out / f"{STEM}{ending}" for ending in texts]
    try:
        for path, text in zip(paths, texts.values(), strict=True):
            write_file(path, text.encode())
    except OSError as error:
        raise UsageError(f"cannot write to {out}: {error.strerror or error}; choose another folder with --out.") from error
    return [*paths, *figures]
