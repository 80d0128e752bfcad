"""A worker's progress is what whoever started it shows."""

from __future__ import annotations

from flowgauge.benchmark.sharing.messages import Message, ToldProgress


def test_progress_is_told() -> None:
    told = list[Message]()
    with ToldProgress(7, told.append) as progress:
        progress.step("sva/obj: attention", 0)
        progress.step("sva/obj", 2)
    assert told == [Message("total", number=7), Message("step", "sva/obj: attention", 0), Message("step", "sva/obj", 2)]
