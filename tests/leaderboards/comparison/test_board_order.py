"""The metrics that order a board are stated in its ledger and stay, whoever enters."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from flowgauge.benchmark.store.store import Store
from flowgauge.cli import app
from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.comparison.board_order import state_order
from flowgauge.leaderboards.submission.ledger import add_event, read_ledger, stated_order

from .test_model_boards import METRICS, enter, order_of


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A board of three methods with two metrics on two tasks."""
    store = Store(str(tmp_path / "board"))
    for task in ("sva/obj", "sva/subj"):
        for method in ("good", "fair", "poor"):
            enter(store, method, {metric: counts[method] for metric, counts in METRICS.items()}, task)
    add_event(store, "entered", [], "re-scored")
    return store


def test_what_orders_a_board_stays_though_most_methods_lack_it(store: Store) -> None:
    state_order(store.url, why="both metrics", who="us")
    before, _ = order_of(store)
    for number in range(4):
        enter(store, f"new-{number}", {"kept": 40})
    after, reasons = order_of(store)
    assert after == before and reasons == {f"new-{n}": "told on sva/obj: not scored with told" for n in range(4)}


def test_metrics_and_tasks_can_be_named(store: Store) -> None:
    event = state_order(store.url, ["told"], ["sva/obj"], why="told counts")
    assert list(event.order.values()) == [("told",)] and next(iter(event.order)).startswith("toy/sva/obj #")
    assert [name for name, (rank, _, _) in order_of(store)[0].items() if rank == 1] == ["fair"]
    state_order(store.url, ["kept"], why="kept counts")
    assert sorted(stated_order(read_ledger(store)).values()) == [("kept",), ("kept",)], "the last event counts"
    assert [name for name, (rank, _, _) in order_of(store)[0].items() if rank == 1] == ["good"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"metrics": ["keep"]}, "no ranked metric on this board is called 'keep': did you mean kept?"),
        ({"tasks": ["sva/ob"]}, "no task on this board is called 'sva/ob': did you mean sva/obj"),
        ({"why": " "}, "say why the board is ordered so"),
    ],
)
def test_what_cannot_order_a_board_is_refused(store: Store, words: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("?", r"\?")):
        state_order(store.url, **{"why": "a reason", **words})
    assert len(read_ledger(store)) == 1


def test_a_store_without_a_ledger_has_no_maintainers(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    enter(store, "good", {"kept": 30})
    with pytest.raises(UsageError, match="has no ledger"):
        state_order(store.url, why="a reason")


def test_the_command_prints_what_it_states(store: Store) -> None:
    runner = CliRunner()
    done = runner.invoke(app, ["leaderboard", "order", store.url, "--metric", "kept", "--task", "sva/subj", "--why", "a reason"])
    assert done.exit_code == 0 and done.stdout.startswith("toy/sva/subj #") and done.stdout.endswith(": kept\n"), done.output
    shown = runner.invoke(app, ["leaderboard", "ledger", store.url]).stdout.splitlines()
    assert shown[1].endswith("  ordered: a reason") and shown[2].endswith(": kept")
