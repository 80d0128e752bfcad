"""Processor time and peak memory of every method, as a table for the documentation.

flowgauge speed --memory --table docs/memory.json --timeout 3600
python -m flowgauge.benchmark.speed.memory_page docs/memory.json docs/measurements.md
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ..store.atomic_files import write_between
from .estimate import in_time
from .peak_memory import MemoryRow, read_rows

BEGIN, END = "<!-- begin: flowgauge.benchmark.speed.memory_page -->", "<!-- end -->"


def memory_page(rows: Sequence[MemoryRow]) -> str:
    """A table in Markdown for each shape: a row for each method, a column for each length; below, what methods refuse.

    Args:
        rows: What was measured (`measure_memory`).
    """
    lengths = sorted({row.tokens for row in rows})
    lines, refused = list[str](), dict[tuple[str, str], list[str]]()
    for shape in dict.fromkeys(row.shape for row in rows):
        of = {(row.method, row.tokens): row for row in rows if row.shape == shape}
        lines += [f"| {shape} | {' | '.join(f'{count} tokens' for count in lengths)} |", f"| :-- |{' --: |' * len(lengths)}"]
        for method in dict.fromkeys(name for name, _ in of):
            cells = [_cell(of.get((method, count))) for count in lengths]
            lines.append(f"| `{method}` | {' | '.join(cells)} |")
        lines.append("")
        for (method, count), row in of.items():
            if row.unfinished and not row.bytes:
                refused.setdefault((method, row.unfinished), []).append(f"{shape}, {count} tokens")
    lines += [f"- `{method}` ({'; '.join(where)}): {reason}" for (method, reason), where in refused.items()]
    return "\n".join(lines).rstrip()


def _cell(row: MemoryRow | None) -> str:
    """Time and memory; a time with `over` where the method was given up; a dash where it refuses or was not measured."""
    if row is None or not row.bytes:
        return "–"
    return f"{'over ' if row.unfinished else ''}{in_time(row.cpu)}, {row.bytes / 2**30:.2f} GiB"


def main(table: Path, page: Path) -> None:
    """Writes the tables between the marks of a page.

    Args:
        table: The rows, as `flowgauge speed --memory --table` keeps them.
        page: The page.
    """
    write_between(page, BEGIN, memory_page(read_rows(table)), END)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
