"""Time and peak memory of every method on texts of several lengths, for `flowgauge speed --memory`."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...core.errors import UsageError
from ...core.progress import Progress
from ...core.registry import Spec
from ...methods.registry import METHODS
from ...models.checkpoint_size import free_memory
from ...models.memory import DEFAULT, memory_bytes
from ..store.atomic_files import write_file
from .estimate import in_time
from .one_explanation import SHAPES, OneExplanation, Taken, explain_once, peak, processor_time

SHORTENED: Mapping[str, Mapping[str, Any]] = {
    name: {"steps": 2, "fallback": 1e9} for name in ("diffmask-input", "diffmask-hidden")
} | {name: {"steps": 2} for name in ("diffmask-single", "reinforce-mask", "ib-attribution", "information-mask")}
"""Settings of methods that take hundreds or thousands of equal steps: the memory is that of any number, the time that of two."""
LENGTHS = (30, 120, 512)
PAUSE = 0.05
"""Time between two looks at a process (s)."""


@dataclass(frozen=True)
class MemoryRow:
    """What one explanation took.

    Attributes:
        shape: Name of the model's shape.
        tokens: Tokens of the text.
        method: The method, with the settings that differ from its defaults.
        seconds: Wall time (s), with the training of methods that are trained.
        cpu: Processor time (s), all threads together.
        bytes: Peak memory of the process above that of the loaded model; of what ran, where the method did not finish.
        unfinished: Why there is no explanation: the time, the memory, or what the method refuses; empty where there is one.
    """

    shape: str
    tokens: int
    method: str
    seconds: float
    cpu: float
    bytes: int
    unfinished: str = ""

    def cells(self) -> tuple[str, ...]:
        """The row for people; `MEMORY_HEAD` is its head."""
        size = "" if not self.bytes else f"{self.bytes / 2**30:.2f} GiB"
        return (self.shape, str(self.tokens), self.method, in_time(self.seconds), in_time(self.cpu), size, self.unfinished)


MEMORY_HEAD = ("shape", "tokens", "method", "time", "processor", "peak memory", "")


class MemoryTable:
    """The rows that have been measured under one budget, in a file that a later measurement goes on with."""

    def __init__(self, path: Path | None, layers: int | None, budget: int) -> None:
        """Reads the file, if there is one.

        Args:
            path: Of the file (JSON); None: the rows are kept nowhere.
            layers: Layers of the models; None: those of the shape. All rows of a file share them,
            budget: and the memory budget (bytes).

        Raises:
            UsageError: The file is no such table, or its rows are of other layers or of another budget.
        """
        self.path, self.shared, self.rows = path, {"layers": layers, "budget": budget}, dict[tuple[str, int, str], MemoryRow]()
        if path is None or not path.exists():
            return
        shared, rows = _read(path)
        if shared != self.shared:
            raise UsageError(f"the rows of {path} were measured with {shared}, and you ask for {self.shared}: name another file.")
        self.rows = {(row.shape, row.tokens, row.method): row for row in rows}

    def known(self, shape: str, tokens: int, method: str, timeout: float) -> MemoryRow | None:
        """The row of an explanation that was finished, or given up after at least so much processor time (s)."""
        row = self.rows.get((shape, tokens, method))
        return row if row is not None and (not row.unfinished or row.cpu >= timeout) else None

    def add(self, row: MemoryRow) -> None:
        """Adds a row and writes the file anew."""
        self.rows[row.shape, row.tokens, row.method] = row
        if self.path is not None:
            lines = ",\n".join(json.dumps(asdict(each)) for each in self.rows.values())
            write_file(self.path, json.dumps(self.shared)[:-1] + f', "rows": [\n{lines}\n]}}\n')


def read_rows(path: Path) -> list[MemoryRow]:
    """The rows of a file that `measure_memory` keeps.

    Args:
        path: Of the file.

    Raises:
        UsageError: It is no such table.
    """
    return _read(path)[1]


def _read(path: Path) -> tuple[dict[str, Any], list[MemoryRow]]:
    """What the rows of a file share, and the rows."""
    try:
        shared = json.loads(path.read_text())
        return shared, [MemoryRow(**row) for row in shared.pop("rows")]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{path} is no table of `flowgauge speed --memory`: name another file.") from error


def measure_memory(
    shapes: Sequence[str] = ("bert-base", "gpt2"),
    tokens: Sequence[int] = LENGTHS,
    methods: Sequence[str] = (),
    *,
    layers: int | None = None,
    budget: int = memory_bytes(DEFAULT),
    timeout: float = 300.0,
    most: int | None = None,
    table: Path | None = None,
    quiet: bool = True,
) -> Iterator[MemoryRow]:
    """Explains one random text of each length by each method, each in a process of its own, one after the other.

    Args:
        shapes: Names of `SHAPES`.
        tokens: Numbers of tokens, at least 4.
        methods: Methods as on the command line; none: every built-in one, with few steps where it takes many equal ones.
        layers: Layers of the models; None: those of the shape.
        budget: The memory budget (bytes) that methods split their work by.
        timeout: Processor time (s) after which an explanation is given up, so that other programs on the machine do not matter.
        most: Bytes of a process above which it is given up; None: half of the memory that is free.
        table: A file that rows are kept in and read from; rows that were given up after less processor time are measured again.
        quiet: Shows no progress.

    Raises:
        UsageError: An unknown shape or method, too few tokens, or a table of another budget.
    """
    unknown = [name for name in shapes if name not in SHAPES]
    if unknown:
        raise UsageError(f"there is no shape {unknown[0]!r}: choose {', '.join(SHAPES)}.")
    if min(tokens) < 4:
        raise UsageError(f"texts need at least 4 tokens, got {min(tokens)}.")
    specs = [Spec.parse(text) for text in methods] or [Spec(name, dict(SHORTENED.get(name, {}))) for name in METHODS.builtin]
    for spec in specs:
        METHODS.create(spec)
    limit = most or (free_memory("cpu") or 2**34) // 2
    measured = MemoryTable(table, layers, budget)
    with Progress(len(shapes) * len(tokens) * len(specs), quiet) as progress:
        for shape in shapes:
            sizes = SHAPES[shape]
            sizes = sizes if layers is None else sizes._replace(layers=layers)
            for count in tokens:
                for spec in specs:
                    given = ",".join(f"{key}={value}" for key, value in spec.settings.items())
                    name = f"{spec.name}:{given}" if given else spec.name
                    row = measured.known(shape, count, name, timeout)
                    if row is None:
                        progress.step(f"{shape}, {count} tokens, {spec.name}", 0)
                        taken = _explain(OneExplanation(sizes, count, spec.name, spec.settings, budget), timeout, limit)
                        row = MemoryRow(shape, count, name, *taken)
                        measured.add(row)
                    progress.step("", 1)
                    yield row


def _explain(job: OneExplanation, timeout: float, limit: int) -> tuple[float, float, int, str]:
    """Seconds of wall and of processor time, bytes, and why it was not finished.

    The processes are forked from a server that has loaded the modules, and nothing else, once.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([explain_once.__module__])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=explain_once, args=(job, sender), daemon=True)
    process.start()
    sender.close()
    taken, highest, started, before = Taken(0), 0, time.monotonic(), 0.0
    number = process.pid or 0
    try:
        while taken.seconds is None:
            if receiver.poll(PAUSE):
                taken, started, before = receiver.recv(), time.monotonic(), processor_time(number)
                continue
            highest = max(highest, peak(number))
            above = max(0, highest - taken.loaded) if taken.loaded else 0
            seconds, cpu = time.monotonic() - started, processor_time(number) - before
            if above > limit:
                return seconds, cpu, above, f"stopped above {limit / 2**30:.1f} GiB"
            if cpu > timeout:
                return seconds, cpu, above, f"not finished in {in_time(timeout)}"
    except EOFError:
        return time.monotonic() - started, 0.0, max(0, highest - taken.loaded), "failed: its process ended"
    finally:
        process.kill()
        process.join()
    return taken.seconds, taken.cpu, 0 if taken.refused else taken.bytes, taken.refused
