"""The table of `flowgauge speed --json`, for the documentation.

flowgauge speed --json > docs/speed.json
python -m flowgauge.benchmark.speed.speed_page docs/speed.json docs/measurements.md
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..store.atomic_files import write_between

BEGIN, END = "<!-- begin: flowgauge.benchmark.speed.speed_page -->", "<!-- end -->"


def speed_page(report: Mapping[str, Any]) -> str:
    """Tables in Markdown: methods, comparisons with their goals, and growth.

    Args:
        report: What `flowgauge speed --json` prints.
    """
    model = f"{report['layers']} layers, {report['heads']} heads, width {report['width']}"
    text = f"{report['sentences']} sentences of {report['tokens']} tokens, {report['samples']} path samples"
    lines = [
        f"Threads: {report['threads']}; torch {report['torch']}; {report['repeats']} repeats. BERT-small ({model}), {text}:",
        "",
        "| method | s | unit | ratio |",
        "| :-- | --: | :-- | --: |",
    ]
    for row in report["rows"]:
        lines.append(f"| {row['name']} | {row['seconds']:.3g} | {row['unit']} | {_ratio(row)} |")
    lines += ["", "Processor time of both sides of each pair, in turn:", "", "| work | s | compared with | s | ratio | goal |"]
    lines.append("| :-- | --: | :-- | --: | --: | --: |")
    for row in report["comparisons"]:
        sides = f"{row['name']} | {row['seconds']:.3g} | {row['unit']} | {row['unit_seconds']:.3g}"
        lines.append(f"| {sides} | {_ratio(row)} | {row['goal']:g} |")
    lines += ["", "Influence patterns as work grows:", "", "| what grows | exponent | processor time |", "| :-- | --: | :-- |"]
    for row in report["growth"]:
        sizes = ", ".join(f"{size}: {seconds:.3g} s" for size, seconds in zip(row["sizes"], row["seconds"], strict=True))
        lines.append(f"| {row['name']} | {row['exponent']:.2f} | {sizes} |")
    return "\n".join(lines)


def _ratio(row: Mapping[str, Any]) -> str:
    """The median, and the smallest and largest of the repeats; the ratio alone where there was one."""
    alone = row["low"] == row["high"]
    return f"{row['ratio']:.3g}" if alone else f"{row['ratio']:.3g} [{row['low']:.3g}, {row['high']:.3g}]"


def main(report: Path, page: Path) -> None:
    """Writes the tables between the marks of a page.

    Args:
        report: What `flowgauge speed --json` printed.
        page: The page.
    """
    write_between(page, BEGIN, speed_page(json.loads(report.read_text(encoding="utf-8"))), END)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
