"""What a run costs beside computing, at many cells, and what tables and the pages of a board cost.

python -m flowgauge.benchmark.speed.scale [CELLS [LISTED [SHOWN]]]
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, NamedTuple

from ..engine.run import run
from ..store.key import folder_name
from ..store.store import Store

METHOD, TASK = "random:draws=1", "sva/obj"
"""A method that does not run the model, so that a cell of one instance is the cost of a cell."""
SHOWN_METHODS = (
    "random", "saliency", "gradient-x-input", "attention", "attention-rollout", "raw-attention", "attcat", "leave-one-out",
)  # fmt: skip
SHOWN_TASKS = ("sva/obj", "sva/subj", "sva/app", "ra/na", "ra/ga")
SHOWN_METRICS = ("comprehensiveness", "sufficiency", "loo_correlation")
SHOWN_INSTANCES = 8
"""The cells that tables and pages are made of: those of a real run, which are copied under the names of further models."""


class ScaleRow(NamedTuple):
    """What many cells took.

    Attributes:
        name: What was done.
        cells: How many cells.
        seconds: Wall time (s).
        processor: Processor time (s) of this process and of commands that it waited for; that of workers is not in it.
    """

    name: str
    cells: int
    seconds: float
    processor: float


def measure_scale(cells: int = 10_000, listed: int = 100_000, shown: int = 2_000) -> Iterator[ScaleRow]:
    """Times cells that compute nothing, by one process, two workers and Ray; a listing; tables; the pages of a board.

    Args:
        cells: Cells of the runs, one a seed.
        listed: Cells of the store that is listed, of which each is a record alone.
        shown: Cells of the store that `show` and `leaderboard build` read.
    """
    with tempfile.TemporaryDirectory() as folder:

        def run_all(store: str, **workers: Any) -> Callable[[], object]:
            return lambda: run(
                tasks=TASK, limit=1, methods=METHOD, metrics="none", seeds=list(range(cells)), device="cpu",
                store=f"{folder}/{store}", **workers,
            )  # fmt: skip

        yield _timed("cells that compute nothing, one process", cells, run_all("alone"))
        yield _timed("the same command again", cells, run_all("alone"))
        yield _timed("the same, two workers", cells, run_all("shared", workers=2))
        if find_spec("ray") is not None:
            yield _timed("the same, two workers of Ray", cells, run_all("ray", workers=2, executor="ray"))
        _copies(f"{folder}/alone", f"{folder}/many", listed)
        yield _timed("listing a store", listed, lambda: Store(f"{folder}/many").records())
        stored = _board(f"{folder}/board", shown)
        for command in (("show", f"{folder}/board"), ("leaderboard", "build", f"{folder}/board", "--out", f"{folder}/site")):
            name = " ".join(part for part in command[:2] if not part.startswith(folder))
            yield _timed(f"`flowgauge {name}`", stored, lambda command=command: _flowgauge(*command))  # type: ignore[misc]


def _flowgauge(*command: str) -> None:
    subprocess.run([sys.executable, "-m", "flowgauge", *command], check=True, stdout=subprocess.DEVNULL)


def _board(store: str, cells: int) -> int:
    """A store of about so many whole cells, each with explanations and scores; how many there are."""
    real = Store(store).files.root
    records = run(
        tasks=list(SHOWN_TASKS), limit=SHOWN_INSTANCES, methods=list(SHOWN_METHODS), metrics=list(SHOWN_METRICS), device="cpu",
        store=store,
    ).records  # fmt: skip
    every, (model,) = Store(store), {record.model for record in records}
    copies = max(1, round(cells / len(records)))
    for copy in range(1, copies):
        name = f"{model}-{copy}"
        shutil.copytree(f"{real}/{model}", f"{real}/{name}")
        for record in records:
            key = {**record.key, "fingerprint": f"{copy:064x}"}
            path = folder_name(record.method, key)
            moved = record.model_copy(update={"key": key, "model": name, "cell": path.rpartition("-")[2]})
            cell = every.find(moved)
            shutil.move(cell.path.removesuffix(path) + record.folder, cell.path)
            cell.write_record(moved)
    return copies * len(records)


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
    started, processor = time.perf_counter(), _processor()
    job()
    return ScaleRow(name, cells, time.perf_counter() - started, _processor() - processor)


def _processor() -> float:
    """Processor time of this process and of the commands that it waited for (s)."""
    return sum(
        used.ru_utime + used.ru_stime for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


if __name__ == "__main__":
    for row in measure_scale(*map(int, sys.argv[1:])):
        each = 1000 * row.seconds / row.cells
        print(
            f"{row.name}: {row.cells} cells, {row.seconds:.1f} s, {each:.2f} ms a cell ({row.processor:.1f} s of processor)",
            flush=True,
        )
