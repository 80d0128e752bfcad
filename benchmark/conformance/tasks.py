"""Checks the promises of a task."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable
from dataclasses import FrozenInstanceError, is_dataclass
from typing import Any, get_args

from ...core.errors import FlowgaugeError, UsageError
from ...core.foreign_code import foreign_code, source_file
from ...tasks.fingerprint import fingerprint
from ...tasks.instance import GAP, Head, Instance, Quantity
from ...tasks.registry import load_task
from .declaration import require_declared
from .finding import UNCHANGED, BrokenPromise, Finding, require, run_checks

LIMIT = 10
"""Number of instances in samples."""


def check_task(plugin: Any, split: str = "test") -> list[Finding]:
    """Checks that a task keeps the promises of `tasks.instance.Task`.

    Args:
        plugin: A name or file as `--task` takes it, a class or decorated function, or a task object.
        split: The split that is checked.

    Returns:
        One finding a promise; the first one only, where later promises cannot be checked.
    """
    build, changed = _builder(plugin), list[str]()
    task = build()
    findings = run_checks([("declared", lambda: _require_declared(task))], changed)
    if not findings[0].ok:
        return findings
    try:
        with foreign_code("task", source_file(task) or "", changed):
            every = task.instances(split, None, 0)
    except FlowgaugeError as error:
        return [*findings, Finding("gives instances", False, str(error))]
    checks: list[tuple[str, Callable[[], str | None]]] = [
        ("gives frozen instances", lambda: _require_frozen(every)),
        ("ids are unique", lambda: _require_unique(every)),
        ("the same instances a second time", lambda: _require_repeatable(build(), every, split)),
        ("the limit is kept and balanced over conditions", lambda: _require_limit(task, every, split)),
        ("ids mean the same with and without a limit", lambda: _require_stable_ids(task, every, split)),
        ("the sample's seed matters", lambda: _require_seed(task, every, split)),
        ("a gap in every masked instance and no other", lambda: _require_gaps(task, every)),
        ("all instances name what stands against the answer, or none", lambda: _require_against(every)),
        ("an unknown split is refused", lambda: _require_refusal(task)),
    ]
    findings += run_checks(checks, changed)
    names = " and ".join(dict.fromkeys(changed))
    return findings + run_checks([(UNCHANGED, lambda: require(not changed, f"{names} changed: set back what you change."))])


def _builder(plugin: Any) -> Callable[[], Any]:
    if isinstance(plugin, str):
        return lambda: load_task(plugin)
    if inspect.isclass(plugin) or not hasattr(plugin, "instances"):
        factory: Callable[[], Any] = plugin
        return factory
    return lambda: plugin


def _require_declared(task: Any) -> None:
    require_declared(
        task,
        name=lambda v: isinstance(v, str) and bool(v),
        version=lambda v: isinstance(v, int) and v >= 1,
        head=lambda v: v in get_args(Head),
        quantity=lambda v: isinstance(v, Quantity),
        source=lambda v: isinstance(v, str) and bool(v),
        instances=callable,
    )


def _require_frozen(every: Any) -> None:
    require(
        isinstance(every, tuple) and bool(every),
        f"instances() must return a tuple that is not empty, got {type(every).__name__}.",
    )
    for instance in every:
        require(
            isinstance(instance, Instance) and is_dataclass(instance), f"got a {type(instance).__name__}, expected an Instance."
        )
    try:
        every[0].id = every[0].id
    except FrozenInstanceError:
        return
    raise BrokenPromise("its instances can be changed.")


def _require_unique(every: tuple[Instance, ...]) -> None:
    name, times = Counter(i.id for i in every).most_common(1)[0]
    require(times == 1, f"the id {name!r} is used {times} times.")


def _require_repeatable(rebuilt: Any, every: tuple[Instance, ...], split: str) -> None:
    first, second = fingerprint(every), fingerprint(rebuilt.instances(split, None, 0))
    require(first == second, f"the fingerprint was {first[:12]} and then {second[:12]}.")


def _require_limit(task: Any, every: tuple[Instance, ...], split: str) -> None:
    drawn = task.instances(split, LIMIT, 0)
    expected = min(LIMIT, len(every))
    require(len(drawn) == expected, f"asked for {expected} of {len(every)} instances, got {len(drawn)}.")
    require(len({i.id for i in drawn}) == len(drawn), "an instance was drawn twice.")
    available, sampled = Counter(i.condition for i in every), Counter(i.condition for i in drawn)
    most = max(sampled.values())
    few = [c for c in available if sampled[c] < min(available[c], most - 1)]  # an exhausted condition may be smaller
    require(not few, f"conditions are not balanced: {dict(sampled)}.")


def _require_stable_ids(task: Any, every: tuple[Instance, ...], split: str) -> None:
    known = {i.id: i for i in every}
    for seed in (0, 1):
        whole = {i.id: i for i in task.instances(split, None, seed)}
        for instance in task.instances(split, LIMIT, seed):
            require(instance.id in whole, f"the id {instance.id!r} is drawn with a limit, but not among all instances.")
            require(instance == whole[instance.id], f"the id {instance.id!r} names another instance without a limit.")
            require(
                instance == known.get(instance.id, instance), f"the id {instance.id!r} names another instance with another seed."
            )


def _require_seed(task: Any, every: tuple[Instance, ...], split: str) -> str | None:
    if len(every) <= LIMIT:
        return f"not tested: there are only {len(every)} instances"
    samples = [tuple(i.id for i in task.instances(split, LIMIT, seed)) for seed in range(3)]
    require(len(set(samples)) > 1, f"three seeds draw the same {LIMIT} of {len(every)} instances.")
    require(samples[0] == tuple(i.id for i in task.instances(split, LIMIT, 0)), "one seed draws two different samples.")
    return None


def _require_gaps(task: Any, every: tuple[Instance, ...]) -> None:
    expected = 1 if task.head == "masked" else 0
    for instance in every:
        gaps = sum(text.count(GAP) for text in instance.segments)
        require(gaps == expected, f"instance {instance.id!r} has {gaps} gaps {GAP}, expected {expected}: {instance.segments}.")


def _require_against(every: tuple[Instance, ...]) -> None:
    named = sum(bool(i.against) for i in every)
    require(named in (0, len(every)), f"{named} of {len(every)} instances name what stands against the answer.")


def _require_refusal(task: Any) -> None:
    try:
        task.instances("no-such-split", None, 0)
    except UsageError:
        return
    raise BrokenPromise("the split 'no-such-split' gave instances; raise UsageError for a split that does not exist.")
