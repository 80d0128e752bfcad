"""How much of a model is run, so that the work of methods can be compared without a clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple


class Work(NamedTuple):
    """What a computation took.

    Attributes:
        seconds: Wall time (s).
        layer_rows: Rows that were run through a layer, summed over layers: L for one sentence in one forward pass. The backward
            pass of a gradient is not in it.
        processor: Processor time of all threads together (s), which other programs on the machine do not move.
    """

    seconds: float = 0.0
    layer_rows: int = 0
    processor: float = 0.0


def total(parts: list[Work]) -> Work:
    """The sum of several parts.

    >>> total([Work(1.5, 6, 3.0), Work(0.5, 2, 0.5)])
    Work(seconds=2.0, layer_rows=8, processor=3.5)
    """
    return Work(*(sum(values) for values in zip(*parts, strict=True))) if parts else Work()


@dataclass
class LayerRows:
    """A count that is going on; see `counting`."""

    rows: int = 0


_COUNTS: list[LayerRows] = []


@contextmanager
def counting() -> Iterator[LayerRows]:
    """Counts the rows that any model runs through its layers inside the block; blocks may be nested."""
    count = LayerRows()
    _COUNTS.append(count)
    try:
        yield count
    finally:
        _COUNTS[:] = [other for other in _COUNTS if other is not count]


@dataclass
class Measurement:
    """What a block took, once it has ended; see `measuring`."""

    work: Work = field(default_factory=Work)


@contextmanager
def measuring() -> Iterator[Measurement]:
    """Measures what the block takes."""
    measured, started, processor = Measurement(), time.perf_counter(), time.process_time()
    with counting() as count:
        yield measured
    measured.work = Work(time.perf_counter() - started, count.rows, time.process_time() - processor)


def note_layer(rows: int) -> None:
    """Adds the rows of one layer to every count that is going on."""
    for count in _COUNTS:
        count.rows += rows
