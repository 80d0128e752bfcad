"""The table of peak memory: a row for each method and length, and what is said of methods that do not finish."""

from __future__ import annotations

import pytest

from flowgauge.benchmark.speed import peak_memory
from flowgauge.benchmark.speed.one_explanation import SHAPES, peak, shaped_model
from flowgauge.benchmark.speed.peak_memory import MemoryRow, measure_memory
from flowgauge.core.errors import UsageError
from flowgauge.methods.registry import METHODS
from flowgauge.models.flow.trace import trace_bytes

counted = pytest.mark.skipif(peak() == 0, reason="the system does not count the peak of a process")


@counted
def test_longer_texts_take_more_and_methods_that_refuse_say_why():
    rows = list(measure_memory(["bert-tiny"], [8, 200], ["internal-influence:samples=20", "exact-erasure"], layers=1))
    assert [(row.tokens, row.method) for row in rows] == [
        (count, name) for count in (8, 200) for name in ("internal-influence:samples=20", "exact-erasure")
    ]
    short, long = rows[0], rows[2]
    assert 0 <= short.bytes < long.bytes and long.bytes > 2**26 and long.seconds > 0 and not long.unfinished
    assert "searches over 27 positions" in rows[3].unfinished and rows[3].bytes == 0


SMALL, ROOM = 2**26, 2**25
"""A budget of 64 MiB, and 32 MiB for Python's objects and for what torch's allocator holds on to."""
SPLITTING = (
    "influence-patterns:samples=12", "internal-influence:samples=12", "integrated-gradients:samples=30,nodes=false",
    "attattr:steps=4", "lime:samples=60", "eap-ig",
)  # fmt: skip
"""A method of each kind that splits its work, with settings by which it takes seconds."""


@counted
def test_methods_stay_within_a_small_budget():
    """A text of 200 tokens, whose path samples alone would take 110 MiB with all their sites."""
    assert trace_bytes(shaped_model(SHAPES["bert-tiny"], 200), 200, 12) > SMALL + ROOM
    rows = list(measure_memory(["bert-tiny"], [200], SPLITTING, budget=SMALL, timeout=600))
    assert {row.method: row.unfinished for row in rows if row.unfinished} == {}
    assert {row.method: row.bytes for row in rows if row.bytes > SMALL + ROOM} == {}


@counted
def test_an_explanation_is_given_up_for_time_and_for_memory():
    (slow,) = measure_memory(["bert-tiny"], [64], ["diffmask-single:steps=100000"], layers=1, timeout=1)
    assert slow.unfinished.startswith("not finished in 1 s") and slow.bytes >= 0
    (large,) = measure_memory(["bert-tiny"], [300], ["influence-patterns"], timeout=100, most=2**25)
    assert large.unfinished == "stopped above 0.0 GiB" and large.bytes > 2**25


@counted
def test_a_table_goes_on_with_what_it_lacks(tmp_path, monkeypatch):
    path, jobs = tmp_path / "memory.json", list[tuple[int, str, float]]()

    def explained(job, timeout, limit):
        jobs.append((job.tokens, job.method, timeout))
        return (2 * timeout, timeout, 2**20, "not finished") if job.method == "lime" and timeout < 9 else (1.0, 0.5, 2**20, "")

    monkeypatch.setattr(peak_memory, "_explain", explained)
    first = list(measure_memory(["bert-tiny"], [8], ["lime", "saliency"], timeout=4, table=path))
    again = list(measure_memory(["bert-tiny"], [8, 9], ["lime", "saliency"], timeout=4, table=path))
    assert again[:2] == first and jobs[2:] == [(9, "lime", 4), (9, "saliency", 4)]
    longer = list(measure_memory(["bert-tiny"], [8, 9], ["lime", "saliency"], timeout=9, table=path))
    assert jobs[4:] == [(8, "lime", 9), (9, "lime", 9)] and not any(row.unfinished for row in longer)
    for text, budget, message in (("[]", 2**26, "is no table"), (path.read_text(), 2**27, "were measured with")):
        path.write_text(text)
        with pytest.raises(UsageError, match=message):
            next(measure_memory(["bert-tiny"], [8], ["lime"], budget=budget, table=path))


def test_wrong_names_and_lengths_are_refused_before_anything_runs():
    for arguments, message in (
        ((["bert-huge"],), "no shape 'bert-huge'"),
        ((["gpt2"], [3]), "at least 4 tokens"),
        ((["gpt2"], [9], ["lyme"]), "lyme"),
    ):
        with pytest.raises(UsageError, match=message):
            next(measure_memory(*arguments))


def test_few_steps_are_settings_of_the_methods_that_they_are_for():
    for name, settings in peak_memory.SHORTENED.items():
        assert METHODS.create({"name": name, **settings}).steps == 2


def test_a_row_for_people():
    assert MemoryRow("gpt2", 30, "lime", 3.2, 5.1, 2**29).cells() == ("gpt2", "30", "lime", "3 s", "5 s", "0.50 GiB", "")
