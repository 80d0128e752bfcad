"""How much of a model is run, so that the work of methods can be compared without a clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple


class Work(NamedTuple):
    """What a computation took.

    Attributes:
        seconds: Wall time (s).
        layer_rows: Rows that were run through a layer, summed over layers: L for one sentence in one forward pass. The backward
            pass of a gradient is not in it.
    """

    seconds: float = 0.0
    layer_rows: int = 0


def total(parts: list[Work]) -> Work:
    """The sum of several parts.

    >>> total([Work(1.5, 6), Work(0.5, 2)])
    Work(seconds=2.0, layer_rows=8)
    """
    return Work(sum(part.seconds for part in parts), sum(part.layer_rows for part in parts))


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


def note_layer(rows: int) -> None:
    """Adds the rows of one layer to every count that is going on."""
    for count in _COUNTS:
        count.rows += rows
