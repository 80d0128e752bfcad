"""What a run costs beside computing, at many cells.

python -m flowgauge.benchmark.speed.scale [CELLS [LISTED]]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..engine.run import run
from ..store.key import folder_name
from ..store.store import Store

METHOD, TASK = "random:draws=1", "sva/obj"
"""A method that does not run the model, so that a cell of one instance is the cost of a cell."""


class ScaleRow(NamedTuple):
    """What many cells took.

    Attributes:
        name: What was done.
        cells: How many cells.
        seconds: Wall time (s).
        processor: Processor time of this process (s); with workers theirs is not in it.
    """

    name: str
    cells: int
    seconds: float
    processor: float


def measure_scale(cells: int = 10_000, listed: int = 100_000) -> Iterator[ScaleRow]:
    """Times cells that compute nothing: one process, two workers, a run that finds all of them stored, and a listing.

    Args:
        cells: Cells of the runs, one a seed.
        listed: Cells of the store that is listed, of which each is a record alone.
    """
    with tempfile.TemporaryDirectory() as folder:

        def run_all(store: str, workers: int | None = None) -> Callable[[], object]:
            return lambda: run(
                tasks=TASK, limit=1, methods=METHOD, metrics="none", seeds=list(range(cells)), device="cpu",
                store=f"{folder}/{store}", workers=workers,
            )  # fmt: skip

        yield _timed("cells that compute nothing, one process", cells, run_all("alone"))
        yield _timed("the same command again", cells, run_all("alone"))
        yield _timed("the same, two workers", cells, run_all("shared", 2))
        _copies(f"{folder}/alone", f"{folder}/many", listed)
        yield _timed("listing a store", listed, lambda: Store(f"{folder}/many").records())


def _copies(store: str, to: str, cells: int) -> None:
    """A store of so many records, which differ in their seeds."""
    one, many = Store(store).records()[0], Store(to)
    for seed in range(cells):
        key = {**one.key, "seed": seed}
        path = folder_name(one.method, key)
        copy = one.model_copy(update={"key": key, "seed": seed, "cell": path.rpartition("-")[2], "files": {}, "sizes": {}})
        cell = many.find(copy)
        many.files.create(f"{cell.path}/record.json", copy.to_bytes())


def _timed(name: str, cells: int, job: Callable[[], object]) -> ScaleRow:
    started, processor = time.perf_counter(), time.process_time()
    job()
    return ScaleRow(name, cells, time.perf_counter() - started, time.process_time() - processor)


if __name__ == "__main__":
    for row in measure_scale(*map(int, sys.argv[1:])):
        each = 1000 * row.seconds / row.cells
        print(
            f"{row.name}: {row.cells} cells, {row.seconds:.1f} s, {each:.2f} ms a cell ({row.processor:.1f} s of processor)",
            flush=True,
        )
