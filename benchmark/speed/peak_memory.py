"""Time and peak memory of every method on texts of several lengths, for `flowgauge speed --memory`."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.errors import UsageError
from ...core.progress import Progress
from ...core.registry import Spec
from ...methods.registry import METHODS
from ...models.checkpoint_size import free_memory
from ...models.memory import DEFAULT, memory_bytes
from .estimate import in_time
from .one_explanation import SHAPES, OneExplanation, Taken, explain_once, peak

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
        bytes: Peak memory of the process above that of the loaded model; of what ran, where the method did not finish.
        unfinished: Why there is no explanation: the time, the memory, or what the method refuses; empty where there is one.
    """

    shape: str
    tokens: int
    method: str
    seconds: float
    bytes: int
    unfinished: str = ""

    def cells(self) -> tuple[str, ...]:
        """The row for people; `MEMORY_HEAD` is its head."""
        size = "" if not self.bytes else f"{self.bytes / 2**30:.2f} GiB"
        return (self.shape, str(self.tokens), self.method, in_time(self.seconds), size, self.unfinished)


MEMORY_HEAD = ("shape", "tokens", "method", "time", "peak memory", "")


def measure_memory(
    shapes: Sequence[str] = ("bert-base", "gpt2"),
    tokens: Sequence[int] = LENGTHS,
    methods: Sequence[str] = (),
    *,
    layers: int | None = None,
    budget: int = memory_bytes(DEFAULT),
    timeout: float = 300.0,
    most: int | None = None,
    quiet: bool = True,
) -> Iterator[MemoryRow]:
    """Explains one random text of each length by each method, each in a process of its own, one after the other.

    Args:
        shapes: Names of `SHAPES`.
        tokens: Numbers of tokens, at least 4.
        methods: Methods as on the command line; none: every built-in one, with few steps where it takes many equal ones.
        layers: Layers of the models; None: those of the shape.
        budget: The memory budget (bytes) that methods split their work by.
        timeout: Seconds after which an explanation is given up.
        most: Bytes of a process above which it is given up; None: half of the memory that is free.
        quiet: Shows no progress.

    Raises:
        UsageError: An unknown shape or method, or too few tokens.
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
    with Progress(len(shapes) * len(tokens) * len(specs), quiet) as progress:
        for shape in shapes:
            sizes = SHAPES[shape]
            sizes = sizes if layers is None else sizes._replace(layers=layers)
            for count in tokens:
                for spec in specs:
                    progress.step(f"{shape}, {count} tokens, {spec.name}", 0)
                    taken = _explain(OneExplanation(sizes, count, spec.name, spec.settings, budget), timeout, limit)
                    progress.step("", 1)
                    given = ",".join(f"{key}={value}" for key, value in spec.settings.items())
                    yield MemoryRow(shape, count, f"{spec.name}:{given}" if given else spec.name, *taken)


def _explain(job: OneExplanation, timeout: float, limit: int) -> tuple[float, int, str]:
    """Seconds, bytes, and why it was not finished.

    The processes are forked from a server that has loaded the modules, and nothing else, once.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([explain_once.__module__])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=explain_once, args=(job, sender), daemon=True)
    process.start()
    sender.close()
    taken, highest, started = Taken(0), 0, time.monotonic()
    try:
        while taken.seconds is None:
            if receiver.poll(PAUSE):
                taken, started = receiver.recv(), time.monotonic()
                continue
            highest = max(highest, peak(process.pid or 0))
            seconds, above = time.monotonic() - started, max(0, highest - taken.loaded) if taken.loaded else 0
            if above > limit:
                return seconds, above, f"stopped above {limit / 2**30:.1f} GiB"
            if seconds > timeout:
                return seconds, above, f"not finished in {in_time(timeout)}"
    except EOFError:
        return time.monotonic() - started, max(0, highest - taken.loaded), "failed: its process ended"
    finally:
        process.kill()
        process.join()
    return taken.seconds, 0 if taken.refused else taken.bytes, taken.refused
