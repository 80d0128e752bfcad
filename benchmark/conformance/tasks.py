"""The promises of a task."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable
from dataclasses import FrozenInstanceError, is_dataclass
from typing import Any, get_args

from ...core.errors import PLUGIN_ERRORS, UsageError
from ...tasks.fingerprint import fingerprint
from ...tasks.instance import GAP, Head, Instance, Quantity
from ...tasks.registry import load_task
from .declaration import declared
from .finding import BrokenPromise, Finding, require, run_checks

LIMIT = 10


def check_task(plugin: Any, split: str = "test") -> list[Finding]:
    """Whether a task keeps the promises of `tasks.instance.Task`.

    Args:
        plugin: A name or file as `--task` takes it, a class or decorated function, or a task object.
        split: The split to look at.
    """
    make = _maker(plugin)
    task = make()
    found = run_checks([("declared", lambda: _declared(task))])
    if not found[0].ok:
        return found
    try:
        every = task.instances(split, None, 0)
    except PLUGIN_ERRORS as error:  # shown to the plug-in's author
        return [*found, Finding("gives instances", False, f"{type(error).__name__}: {error}")]
    checks: list[tuple[str, Callable[[], str | None]]] = [
        ("gives frozen instances", lambda: _frozen(every)),
        ("ids are unique", lambda: _unique(every)),
        ("the same instances a second time", lambda: _repeated(make(), every, split)),
        ("the limit is kept and balanced over conditions", lambda: _limited(task, every, split)),
        ("ids mean the same with and without a limit", lambda: _stable(task, every, split)),
        ("the sample's seed matters", lambda: _seeded(task, every, split)),
        ("a gap in every masked instance and no other", lambda: _gaps(task, every)),
        ("all instances name what stands against the answer, or none", lambda: _against(every)),
        ("an unknown split is refused", lambda: _refuses(task)),
    ]
    return found + run_checks(checks)


def _maker(plugin: Any) -> Callable[[], Any]:
    if isinstance(plugin, str):
        return lambda: load_task(plugin)
    if inspect.isclass(plugin) or not hasattr(plugin, "instances"):
        factory: Callable[[], Any] = plugin
        return factory
    return lambda: plugin


def _declared(task: Any) -> None:
    declared(
        task,
        name=lambda v: isinstance(v, str) and bool(v),
        version=lambda v: isinstance(v, int) and v >= 1,
        head=lambda v: v in get_args(Head),
        quantity=lambda v: isinstance(v, Quantity),
        source=lambda v: isinstance(v, str) and bool(v),
        instances=callable,
    )


def _frozen(every: Any) -> None:
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


def _unique(every: tuple[Instance, ...]) -> None:
    name, times = Counter(i.id for i in every).most_common(1)[0]
    require(times == 1, f"the id {name!r} is used {times} times.")


def _repeated(again: Any, every: tuple[Instance, ...], split: str) -> None:
    one, two = fingerprint(every), fingerprint(again.instances(split, None, 0))
    require(one == two, f"the fingerprint was {one[:12]} and then {two[:12]}.")


def _limited(task: Any, every: tuple[Instance, ...], split: str) -> None:
    drawn = task.instances(split, LIMIT, 0)
    wanted = min(LIMIT, len(every))
    require(len(drawn) == wanted, f"asked for {wanted} of {len(every)} instances, got {len(drawn)}.")
    require(len({i.id for i in drawn}) == len(drawn), "an instance was drawn twice.")
    there, taken = Counter(i.condition for i in every), Counter(i.condition for i in drawn)
    most = max(taken.values())
    few = [c for c in there if taken[c] < min(there[c], most - 1)]  # a condition that has no more to give may be smaller
    require(not few, f"conditions are not balanced: {dict(taken)}.")


def _stable(task: Any, every: tuple[Instance, ...], split: str) -> None:
    known = {i.id: i for i in every}
    for seed in (0, 1):
        whole = {i.id: i for i in task.instances(split, None, seed)}
        for instance in task.instances(split, LIMIT, seed):
            require(instance.id in whole, f"the id {instance.id!r} is drawn with a limit, but not among all instances.")
            require(instance == whole[instance.id], f"the id {instance.id!r} names another instance without a limit.")
            require(
                instance == known.get(instance.id, instance), f"the id {instance.id!r} names another instance with another seed."
            )


def _seeded(task: Any, every: tuple[Instance, ...], split: str) -> str | None:
    if len(every) <= LIMIT:
        return f"not tested: there are only {len(every)} instances"
    samples = [tuple(i.id for i in task.instances(split, LIMIT, seed)) for seed in range(3)]
    require(len(set(samples)) > 1, f"three seeds draw the same {LIMIT} of {len(every)} instances.")
    require(samples[0] == tuple(i.id for i in task.instances(split, LIMIT, 0)), "one seed draws two different samples.")
    return None


def _gaps(task: Any, every: tuple[Instance, ...]) -> None:
    wanted = 1 if task.head == "masked" else 0
    for instance in every:
        gaps = sum(text.count(GAP) for text in instance.segments)
        require(gaps == wanted, f"instance {instance.id!r} has {gaps} gaps {GAP}, expected {wanted}: {instance.segments}.")


def _against(every: tuple[Instance, ...]) -> None:
    named = sum(bool(i.against) for i in every)
    require(named in (0, len(every)), f"{named} of {len(every)} instances name what stands against the answer.")


def _refuses(task: Any) -> None:
    try:
        task.instances("no-such-split", None, 0)
    except UsageError:
        return
    raise BrokenPromise("the split 'no-such-split' gave instances; raise UsageError for a split that does not exist.")
