"""The records of a store, and what is said where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.stored.records import stored_records

from ..conftest import keep, record


def test_all_records_are_read(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    for method in ("attention", "random"):
        keep(store, record(method))
    assert {r.method for r in stored_records(store.url)} == {"attention", "random"}


def test_an_empty_store_says_how_to_fill_it(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"has no results yet; `flowgauge run \.\.\. --store"):
        stored_records(str(tmp_path / "empty"))
