"""Workers are followed, replaced, and given up."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from flowgauge.benchmark.sharing import spread as module
from flowgauge.benchmark.sharing.messages import Message, WorkerTask
from flowgauge.benchmark.sharing.spread import REPLACED, spread
from flowgauge.core.errors import FlowgaugeError, UsageError

PLAN = SimpleNamespace(store="results")


class Scripted:
    """Workers that say what they are told to, one after the other."""

    def __init__(self, *said: list[Message]) -> None:
        self.said, self.started, self._waiting, self.is_stopped = list(said), list[WorkerTask](), list[WorkerTask](), False

    @property
    def running(self) -> int:
        return len(self._waiting)

    def start(self, task: WorkerTask) -> None:
        self.started.append(task)
        self._waiting.append(task)

    def messages(self) -> Iterator[tuple[WorkerTask, Message]]:
        while self._waiting:
            task = self._waiting.pop(0)
            for message in self.said.pop(0):
                yield task, message

    def stop(self) -> None:
        self.is_stopped = True


@pytest.fixture
def follow(monkeypatch) -> Any:
    def run(*said: list[Message], workers: int = 2, **options: Any) -> Scripted:
        group = Scripted(*said)
        monkeypatch.setattr("flowgauge.benchmark.sharing.local_workers.LocalWorkers", lambda: group)
        try:
            spread(print, PLAN, workers=workers, **options)  # type: ignore[arg-type]
        finally:
            assert group.is_stopped
        return group

    return run


def test_workers_do_not_share_a_store_in_memory() -> None:
    with pytest.raises(UsageError, match="which workers do not share"):
        spread(print, SimpleNamespace(store="memory://x"))  # type: ignore[arg-type]


def test_other_ends_than_by_the_system_are_not_blamed_on_memory(follow) -> None:
    with pytest.raises(FlowgaugeError, match=r"exit code 1\. In a script, call run under") as error:
        follow(*[[Message("lost", "exit code 1")]] * (2 + 2 * REPLACED))
    assert "memory" not in str(error.value)


END, LOST = Message("end"), Message("lost", "exit code -9")


def test_each_worker_has_its_turn_and_its_device(follow) -> None:
    tasks = follow([END], [END], [END], workers=3, devices=["cuda:0", "cuda:1"]).started
    assert [(task.turn, task.device, task.plan) for task in tasks] == [
        ((0, 3), "cuda:0", PLAN), ((1, 3), "cuda:1", PLAN), ((2, 3), "cuda:0", PLAN),
    ]  # fmt: skip


def test_a_lost_worker_is_replaced(follow) -> None:
    tasks = follow([LOST], [Message("step", "next", 1), END], [END]).started
    assert [task.turn.number for task in tasks] == [0, 1, 0]


def test_one_that_is_lost_after_all_is_done_is_not(follow) -> None:
    assert len(follow([END], [LOST]).started) == 2


def test_workers_that_die_again_and_again_are_given_up(follow) -> None:
    with pytest.raises(FlowgaugeError, match="8 workers were lost, the last with: exit code -9"):
        follow(*[[LOST]] * (2 + 2 * REPLACED))


@pytest.mark.parametrize(("kind", "error"), [("refused", UsageError), ("failed", FlowgaugeError)])
def test_what_a_worker_cannot_do_ends_all(kind: Any, error: type[Exception], follow) -> None:
    with pytest.raises(error, match="no such word"):
        follow([Message(kind, "no such word")], [END])


@pytest.mark.parametrize(
    ("options", "said"), [({"executor": "slurm"}, "no executor 'slurm': choose local or ray"), ({"workers": 0}, "at least one")]
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        spread(print, SimpleNamespace(store="results"), **options)  # type: ignore[arg-type]
    assert module.EXECUTORS == ("local", "ray")
