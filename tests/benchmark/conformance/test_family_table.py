"""The table of families, heads and methods in the documentation is what its command computes: cells of it are run here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.conftest import FULL_SIZE

from flowgauge.benchmark.conformance.family_table import BEGIN, END, HEADS, runs_of
from flowgauge.benchmark.conformance.small_models import heads_of
from flowgauge.methods.registry import METHODS
from flowgauge.models.families.registry import FAMILIES

PAGE = Path(__file__).parents[3] / "docs" / "models.md"


def rows() -> dict[str, list[str]]:
    table = PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
    lines = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| `")]
    return {re.sub("`", "", family): cells for family, *cells in lines}


def test_the_page_has_every_family() -> None:
    assert list(rows()) == sorted(FAMILIES)


@pytest.mark.parametrize("family", sorted(FAMILIES)[:: 1 if FULL_SIZE else 2])
def test_every_cell_is_what_runs(family) -> None:
    """In full (`FLOWGAUGE_FULL_TESTS=1`) every cell, else one of every second family."""
    run_here = heads_of(family) if FULL_SIZE else heads_of(family)[:1]
    for head, cell in zip(HEADS, rows()[family], strict=True):
        assert (cell == "–") == (head not in heads_of(family))
        if head not in run_here:
            continue
        found = runs_of(family, head)
        assert not found.failures
        assert cell == f"{len(found.ran)} of {len(METHODS.builtin)}"
