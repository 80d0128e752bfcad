"""The page of times: what a cell says, and that the page in the documentation is the report that is kept."""

from __future__ import annotations

import json
from pathlib import Path

from flowgauge.benchmark.speed.speed_page import BEGIN, END, main, speed_page

DOCS = Path(__file__).parents[3] / "docs"
REPORT = {
    "threads": 2, "torch": "2.13", "repeats": 5, "layers": 6, "heads": 8, "width": 512,
    "sentences": 16, "tokens": 11, "samples": 50,
    "rows": [{"name": "path trace", "ratio": 1.126, "low": 1.05, "high": 1.2, "unit": "a pass", "seconds": 2.0}],
    "comparisons": [
        {
            "name": "a run", "unit": "by hand", "goal": 1.0, "seconds": 2.84, "unit_seconds": 3.09,
            "ratio": 0.8, "low": 0.8, "high": 0.8,
        },
    ],
    "growth": [{"name": "tokens", "sizes": [8, 32], "seconds": [0.22, 0.5], "exponent": 0.751}],
}  # fmt: skip


def test_a_ratio_has_its_range_unless_there_is_one_repeat():
    lines = speed_page(REPORT).splitlines()
    assert "| path trace | 2 | a pass | 1.13 [1.05, 1.2] |" in lines
    assert "| a run | 2.84 | by hand | 3.09 | 0.8 | 1 |" in lines
    assert "| tokens | 0.75 | 8: 0.22 s, 32: 0.5 s |" in lines


def test_the_tables_stand_between_the_marks(tmp_path):
    kept, page = tmp_path / "speed.json", tmp_path / "page.md"
    kept.write_text(json.dumps(REPORT))
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    main(kept, page)
    assert page.read_text() == f"before\n{BEGIN}\n\n{speed_page(REPORT)}\n\n{END}\nafter\n"


def test_the_documented_table_is_the_one_that_is_kept():
    report, page = json.loads((DOCS / "speed.json").read_text()), (DOCS / "measurements.md").read_text()
    assert speed_page(report) == page.partition(BEGIN)[2].partition(END)[0].strip()
