"""Several stores read as one board."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.submission.board import name_of
from flowgauge.leaderboards.submission.board_reader import open_board
from flowgauge.leaderboards.submission.ledger import add_event

from ..conftest import keep, record


@pytest.fixture
def stores(tmp_path: Path) -> tuple[Store, Store]:
    """Two stores that share a cell, which the second says to rest on 7 instances."""
    first, second = Store(str(tmp_path / "first")), Store(str(tmp_path / "second"))
    keep(first, record("shared"))
    keep(second, record("shared", instances=7))
    keep(second, record("alone"))
    return first, second


def test_the_first_store_with_a_cell_counts(stores: tuple[Store, Store]) -> None:
    first, second = stores
    board = open_board([first.url, second.url])
    assert [(r.method, r.instances) for r in board.records] == [("shared", 8), ("alone", 8)]
    assert [board.find(r).path for r in board.records] == [first.find(board.records[0]).path, second.find(board.records[1]).path]


def test_trust_is_that_of_the_ledger_of_the_store_that_counts(stores: tuple[Store, Store]) -> None:
    first, second = stores
    names = [name_of(r) for r in open_board([second.url]).records]
    add_event(second, "entered", names, "re-run")
    board = open_board([first.url, second.url])
    assert {r.method: board.trust(r) for r in board.records} == {"shared": "self-reported", "alone": "re-run"}


def test_a_store_that_is_not_there_is_named(stores: tuple[Store, Store], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        open_board([stores[0].url, str(tmp_path / "nowhere")])
