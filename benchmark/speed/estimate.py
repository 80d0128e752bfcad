"""What a run would compute: its cells, which of them are stored, and an estimate of time and memory; nothing is written."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ...core.registry import Spec
from ...methods.registry import METHODS
from ...models.memory import memory_budget, memory_bytes, within_memory
from ..catalogue.costs import cost_table
from ..engine.jobs import Job, JobGroup, finished
from ..engine.plan import Plan
from ..engine.resolve import ResolvedPlan, resolve
from ..engine.run import open_groups
from ..loading.model_defaults import for_model
from ..loading.model_handle import NotTrained
from ..store.key import method_key
from ..store.record import Record
from ..store.store import Store

PROBE, PROBED, PROBE_SAMPLES = "integrated-gradients", 4, 10
"""What is timed: this method on so many instances of middle length with so many samples, of 50 in the table of costs."""
STORED, SCORE, EXPLAIN = "stored", "to score", "to explain"


class PlannedCell(NamedTuple):
    """A cell of a plan.

    Attributes:
        model, task, method: What it is of; the method with the settings that the plan gives.
        seed: Its seed.
        instances: Its instances.
        left: How many of them are to be explained.
        state: `stored`, `to score` or `to explain`.
        seconds: Estimate of the time of explaining what is left (s); None: unknown.
        basis: What the estimate is from; empty where nothing is left.
    """

    model: str
    task: str
    method: str
    seed: int
    instances: int
    left: int
    state: str
    seconds: float | None
    basis: str


@dataclass(frozen=True)
class Preview:
    """What a run would do.

    Attributes:
        store: Where it would write.
        cells: Its cells.
        memory: Estimate of the memory of the process (bytes); 0: nothing is left to compute, or it is unknown.
        metrics: How many metrics every cell is scored by.
        notes: What the estimates leave out, in sentences.
    """

    store: str
    cells: tuple[PlannedCell, ...]
    memory: int
    metrics: int
    notes: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Sum of the known estimates (s)."""
        return sum(cell.seconds or 0.0 for cell in self.cells)

    def rows(self) -> list[tuple[str, ...]]:
        """A table for people, the head first."""
        rows: list[tuple[str, ...]] = [("task", "method", "seed", "instances", "left", "state", "time", "estimated from")]
        for cell in self.cells:
            shown = "" if cell.state == STORED else "unknown" if cell.seconds is None else in_time(cell.seconds)
            count = (str(cell.seed), str(cell.instances), str(cell.left))
            rows.append((cell.task, cell.method, *count, cell.state, shown, cell.basis))
        return rows

    def summary(self) -> list[str]:
        """What the run comes to, in sentences."""
        by_state = {state: sum(cell.state == state for cell in self.cells) for state in (STORED, SCORE, EXPLAIN)}
        counts = ", ".join(f"{count} {state}" for state, count in by_state.items() if count)
        scored = _counted(self.metrics, "metric")
        lines = [f"{_counted(len(self.cells), 'cell')} in {self.store} ({counts}), each scored by {scored}; nothing was written."]
        if by_state[EXPLAIN]:
            unknown = sum(cell.seconds is None for cell in self.cells if cell.state == EXPLAIN)
            more = f", and {_counted(unknown, 'cell')} whose time is unknown" if unknown else ""
            lines.append(f"Estimated time of explaining: {in_time(self.seconds)}{more}. Scoring comes on top.")
        if any("probe" in cell.basis for cell in self.cells):
            lines.append(
                "Cost table: the multiples of integrated gradients that `flowgauge info METHOD` gives as cost. "
                "Probe: a short run of integrated gradients on this machine."
            )
        if self.memory:
            lines.append(f"Estimated memory of the process: {self.memory / 2**30:.1f} GiB.")
        return [*lines, *self.notes]


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def in_time(seconds: float) -> str:
    """A duration for people.

    >>> in_time(0.4), in_time(75), in_time(9000)
    ('under 1 s', '1.2 min', '2.5 h')
    """
    if seconds < 1:
        return "under 1 s"
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def preview(plan: Plan) -> Preview:
    """What running a plan would compute.

    The time of a cell is that of a stored cell with the same method, settings and model in this store; without one it is the
    method's measured cost (`catalogue.costs`), in units of a short run of integrated gradients on this machine.

    Args:
        plan: The plan.

    Raises:
        UsageError: Unknown names, unreadable files, or a model that has to be trained before sentences can be counted.
    """
    with within_memory(memory_bytes(plan.memory)):
        return _preview(plan)


def _preview(plan: Plan) -> Preview:
    resolved = resolve(plan, read_only=True)
    store = Store(resolved.plan.store)
    records = store.records() if store.files.fs.isdir(store.files.root) else []
    cells: list[PlannedCell] = []
    notes, memory = dict[str, None](), 0
    for index in range(len(resolved.tasks)):
        part = replace(resolved, tasks=resolved.tasks[index : index + 1], models=resolved.models[index : index + 1])
        try:
            (group,) = open_groups(part, read_only=True)
        except NotTrained as reason:
            cells += _untrained(part)
            notes[f"{str(reason)[0].upper()}{str(reason)[1:]} Its cells cannot be looked up before."] = None
            continue
        estimates = _Estimates(group, records)
        cells += [_planned(group, job, resolved, estimates) for job in group.jobs if not job.reference_only]
        memory = max(memory, estimates.memory)
    return Preview(resolved.plan.store, tuple(cells), memory, len(resolved.metrics), tuple(notes))


def _untrained(part: ResolvedPlan) -> Iterator[PlannedCell]:
    """The cells of a task whose model is not trained yet."""
    (sample,), (model,), plan = part.tasks, part.models, part.plan
    count = len(sample.instances)
    for spec, method in part.methods:
        for seed in plan.seeds if method.stochastic else (0,):
            if spec in plan.methods:
                yield PlannedCell(model.shown, sample.task.name, _shown(spec), seed, count, count, EXPLAIN, None, "")


def _planned(group: JobGroup, job: Job, resolved: ResolvedPlan, estimates: _Estimates) -> PlannedCell:
    left, seconds, basis = 0, None, ""
    if finished(job, group, resolved.metrics):
        state = STORED
    elif job.explained or job.not_applicable:
        state = SCORE
    else:
        state = EXPLAIN
        left = sum(instance.id not in job.cell.index for instance in group.instances)
        seconds, basis = estimates.of(job, left)
    count = len(group.instances)
    shown = _shown(Spec.parse(job.request["method"]))
    return PlannedCell(group.model.shown, group.task.name, shown, job.seed, count, left, state, seconds, basis)


def _shown(spec: Any) -> str:
    """A method as a plan names it."""
    given = ",".join(f"{key}={value}" for key, value in spec.settings.items())
    return f"{spec.name}:{given}" if given else spec.name


class _Estimates:
    """Estimates for the cells of a group; the model is probed when the first of them needs it.

    Attributes:
        memory: Largest memory of the cells that are left (bytes).
    """

    def __init__(self, group: JobGroup, records: Sequence[Record]) -> None:
        self.group, self.records, self.memory = group, records, 0
        self._unit: float | None = None

    def of(self, job: Job, left: int) -> tuple[float | None, str]:
        """The time of explaining so many instances (s), and what it is from."""
        like = [r for r in self.records if r.key["method"] == job.key["method"] and r.cost and r.model == self.group.model.shown]
        if like:
            cost = like[-1].cost
            assert cost is not None
            self.memory = max(self.memory, cost.peak_bytes)
            return cost.seconds * left, "stored cell"
        known = cost_table().methods.get(job.name)
        if known is None or job.key["method"].get("source"):
            return None, "no measurement"
        unit = self._probe()
        training = (known.training or 0.0) * unit
        default = for_model(METHODS.create(job.name), self.group.model.default_baseline())
        is_default = job.key["method"] == method_key(default)
        basis = f"cost table{'' if is_default else ' (of default settings)'} and probe{', with training' if training else ''}"
        return known.ratio * unit * left + training, basis

    def _probe(self) -> float:
        """Seconds of one integrated-gradients pass for one instance on this machine, and the memory of a batch."""
        if self._unit is None:
            from ...models.flow.trace import trace_bytes
            from ...models.inputs.encode import TRACE_BUDGET, TRACE_SAMPLES
            from ..engine.prepared import BATCH_SIZE, encode_group

            by_length = sorted(self.group.instances, key=lambda instance: len(" ".join(instance.segments)))
            middle = max(0, len(by_length) // 2 - PROBED // 2)
            few = replace(self.group, instances=tuple(by_length[middle : middle + PROBED]))
            prepared = encode_group(few, batch_size=PROBED)
            batch, table = prepared.encoded.batches[0], cost_table()
            probe = METHODS.create({"name": PROBE, "samples": PROBE_SAMPLES})
            explain = for_model(probe, self.group.model.default_baseline()).explain
            taken: list[float] = []
            for _ in range(3):  # the fastest, since other programs and the first call only slow it down
                started = time.perf_counter()
                explain(prepared.model, replace(batch, cache={}))
                taken.append(time.perf_counter() - started)
            whole = min(taken) * table.samples / PROBE_SAMPLES / len(batch)
            self._unit = whole / table.methods[PROBE].ratio
            longest = encode_group(replace(self.group, instances=tuple(by_length[-1:]))).encoded.batches[0].ids.shape[1]
            one = trace_bytes(prepared.model, longest, TRACE_SAMPLES)
            scale = 1 if sys.platform == "darwin" else 1024
            used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
            self.memory = max(self.memory, used + min(memory_budget(), max(one, min(TRACE_BUDGET, BATCH_SIZE * one))))
        return self._unit
