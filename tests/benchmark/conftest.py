"""A plan over cheap plug-ins and a random model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from flowgauge.benchmark.engine.plan import Plan
from flowgauge.benchmark.store.results import RunRecords

PLUGINS = Path(__file__).with_name("plugins.py")


@pytest.fixture
def make_plan(tiny_model: Path, tmp_path: Path) -> Callable[..., Plan]:
    """A small plan: 12 sentences in batches of 5."""

    def make(**fields: Any) -> Plan:
        default: dict[str, Any] = {
            "model": str(tiny_model),
            "tasks": ["sva/obj"],
            "methods": [f"{PLUGINS}:by-position"],
            "metrics": [f"{PLUGINS}:token-sum"],
            "limit": 12,
            "batch_size": 5,
            "device": "cpu",
            "store": str(tmp_path / "store"),
        }
        return Plan.make(**{**default, **fields})

    return make


@pytest.fixture
def mixed_lengths(tmp_path: Path) -> Path:
    """A file of eight minimal pairs, of 5 and of 9 words in turn, the longer ones first."""
    rows = [f"the author {'that the chef likes ' * (1 - n % 2)}[MASK] tall .\tis\tare\n" for n in range(8)]
    path = tmp_path / "pairs.tsv"
    path.write_text("sentence\tgood\tbad\n" + "".join(rows))
    return path


@pytest.fixture(scope="session")
def plug() -> Callable[..., list[str]]:
    """Specs of plug-ins in plugins.py."""
    return lambda *names: [f"{PLUGINS}:{name}" for name in names]


@pytest.fixture(scope="session")
def rows_of() -> Callable[[RunRecords], dict[str, pd.DataFrame]]:
    """Score rows of every cell and metric."""

    def rows(results: RunRecords) -> dict[str, pd.DataFrame]:
        return {
            f"{record.task}/{record.folder}/{metric}": results.cell(record).rows(metric)
            for record in results.records
            for metric, score in record.scores.items()
            if score.status == "done"
        }

    return rows
