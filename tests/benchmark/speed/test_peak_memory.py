"""The table of peak memory: a row for each method and length, and what is said of methods that do not finish."""

from __future__ import annotations

import pytest

from flowgauge.benchmark.speed import peak_memory
from flowgauge.benchmark.speed.one_explanation import peak
from flowgauge.benchmark.speed.peak_memory import MemoryRow, measure_memory
from flowgauge.core.errors import UsageError
from flowgauge.methods.registry import METHODS

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


@counted
def test_an_explanation_is_given_up_for_time_and_for_memory():
    (slow,) = measure_memory(["bert-tiny"], [64], ["diffmask-single:steps=100000"], layers=1, timeout=1)
    assert slow.unfinished.startswith("not finished in 1 s") and slow.bytes >= 0
    (large,) = measure_memory(["bert-tiny"], [300], ["influence-patterns"], timeout=100, most=2**25)
    assert large.unfinished == "stopped above 0.0 GiB" and large.bytes > 2**25


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
    assert MemoryRow("gpt2", 30, "lime", 3.2, 2**29).cells() == ("gpt2", "30", "lime", "3 s", "0.50 GiB", "")
