"""The page of peak memory: what a cell says, and that the page in the documentation is the table that is kept."""

from __future__ import annotations

from pathlib import Path

from flowgauge.benchmark.speed.memory_page import BEGIN, END, main, memory_page
from flowgauge.benchmark.speed.peak_memory import MemoryRow, MemoryTable, read_rows

DOCS = Path(__file__).parents[3] / "docs"
ROWS = (
    MemoryRow("gpt2", 30, "lime", 9.0, 5.1, 2**29),
    MemoryRow("gpt2", 120, "lime", 90.0, 61.0, 2**30, "not finished in 1.0 min"),
    MemoryRow("gpt2", 30, "exact-erasure", 0.1, 0.1, 0, "searches over 27 positions"),
    MemoryRow("bert-base", 30, "lime", 9.0, 0.4, 2**28),
)


def test_a_cell_has_time_and_memory_or_says_that_there_is_none():
    assert memory_page(ROWS).splitlines() == [
        "| gpt2 | 30 tokens | 120 tokens |",
        "| :-- | --: | --: |",
        "| `lime` | 5 s, 0.50 GiB | over 1.0 min, 1.00 GiB |",
        "| `exact-erasure` | – | – |",
        "",
        "| bert-base | 30 tokens | 120 tokens |",
        "| :-- | --: | --: |",
        "| `lime` | under 1 s, 0.25 GiB | – |",
        "",
        "- `exact-erasure` (gpt2, 30 tokens): searches over 27 positions",
    ]


def test_the_tables_stand_between_the_marks(tmp_path):
    kept, page = tmp_path / "memory.json", tmp_path / "page.md"
    table = MemoryTable(kept, None, 2**32)
    for row in ROWS:
        table.add(row)
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    main(kept, page)
    assert page.read_text() == f"before\n{BEGIN}\n\n{memory_page(ROWS)}\n\n{END}\nafter\n"


def test_the_documented_table_is_the_one_that_is_kept_and_within_the_budget():
    rows, page = read_rows(DOCS / "memory.json"), (DOCS / "measurements.md").read_text()
    assert memory_page(rows) == page.partition(BEGIN)[2].partition(END)[0].strip()
    assert [row.method for row in rows if row.bytes > 2**32] == []
