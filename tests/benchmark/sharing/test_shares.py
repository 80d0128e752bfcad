"""The loop does what is ready and free, and comes back for the rest."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from flowgauge.benchmark.sharing.claims import Claims
from flowgauge.benchmark.sharing.shares import WorkerTurn, work_through
from flowgauge.benchmark.store.atomic_files import Files


@dataclass
class Memory:
    freed: int = 0

    def free(self) -> None:
        self.freed += 1


@dataclass
class Noted:
    """A share that notes that it was worked on."""

    name: str
    notes: list[str]
    memory: Memory = field(default_factory=Memory)
    needs: tuple[Noted, ...] = ()
    is_done: bool = False

    @property
    def is_ready(self) -> bool:
        return all(share.is_done for share in self.needs)

    def claims(self) -> list[str]:
        return [self.name]

    def work(self) -> None:
        self.notes.append(self.name)
        self.is_done = True


def test_shares_are_done_in_order_and_memory_is_freed_once(tmp_path: Path) -> None:
    notes, one, other = list[str](), Memory(), Memory()
    first, second = Noted("first", notes, one), Noted("second", notes, one)
    work_through([Noted("last", notes, other, (first, second)), first, second], Claims(Files(str(tmp_path))))
    assert notes == ["first", "second", "last"] and (one.freed, other.freed) == (1, 1)


def test_what_another_works_on_is_done_last(tmp_path: Path) -> None:
    files, notes = Files(str(tmp_path)), list[str]()
    other, let_go = Claims(files), threading.Event()

    def hold() -> None:
        with other.held(["first"]):
            taken.set()
            let_go.wait(20)

    taken, thread = threading.Event(), threading.Thread(target=hold)
    thread.start()
    assert taken.wait(20)

    @dataclass
    class Last(Noted):
        def work(self) -> None:
            super().work()
            let_go.set()

    work_through([Noted("first", notes), Noted("second", notes), Last("third", notes)], Claims(files))
    thread.join()
    assert notes == ["second", "third", "first"]


def test_a_failing_share_frees_its_claim(tmp_path: Path) -> None:
    class Fails(Noted):
        def work(self) -> None:
            raise ZeroDivisionError

    files = Files(str(tmp_path))
    with pytest.raises(ZeroDivisionError):
        work_through([Fails("a", [])], Claims(files))
    assert not files.names(f"{files.root}/claims")


def test_workers_start_at_different_places() -> None:
    starts = [WorkerTurn(index, 4).rotate(range(8))[0] for index in range(4)]
    assert starts == [0, 2, 4, 6] and sorted(WorkerTurn(3, 4).rotate(range(8))) == list(range(8))
    assert WorkerTurn(3, 4).rotate([]) == []
