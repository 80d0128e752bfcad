"""How a user's own task is declared: `@task(...)` over a class, or over a function that gives all instances."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, cast

from ..core.declare import FunctionPlugin, decorator
from ..core.errors import UsageError
from .instance import Head, Instance, Quantity, Task
from .sampling import balanced, only_test

PARTS = ("name", "version", "head", "quantity", "source", "instances")


class FunctionTask(FunctionPlugin):
    """A plain function `(seed, **settings) -> instances` as a task with one split, `test`."""

    name: ClassVar[str]

    def instances(self, split: str = "test", limit: int | None = None, seed: int = 0) -> tuple[Instance, ...]:
        """What the function gives for this seed; with a limit, a seeded sample balanced over conditions."""
        only_test(self.name, split)
        return balanced(unique(self.name, self.function(seed, **self.options)), limit, seed)


def task(
    name: str, *, head: Head = "masked", version: int = 1, quantity: Quantity = Quantity(), source: str = "plug-in"
) -> Callable[[Any], Any]:
    """Declares a class with `instances(split, limit, seed)`, or a function `(seed, **settings) -> instances`, as a task.

    Args:
        name: As on the command line and in results.
        head: The model head the instances need.
        version: Raised by any change that moves the instances.
        quantity: What is explained.
        source: Who published them, or where they come from: part of the record.
    """
    if quantity.label != "gold":
        raise UsageError(f"task {name!r}: q reads the gold answer; the predicted one is always explained beside it.")
    metadata = {"name": name, "version": version, "head": head, "quantity": quantity, "source": source}

    def decorate(target: Any) -> Any:
        doc = (inspect.getdoc(target) or "").partition("\n")[0]
        return decorator("task", {**metadata, "doc": doc}, FunctionTask, leading=1)(target)

    return decorate


def unique(name: str, instances: Iterable[Instance]) -> tuple[Instance, ...]:
    """The instances, if there are any and no two have one id.

    Raises:
        UsageError: Something else than instances, none at all, an id twice.
    """
    made = tuple(instances)
    if not made:
        raise UsageError(f"task {name!r} gave no instances.")
    seen: set[str] = set()
    for instance in made:
        if not isinstance(instance, Instance):
            raise UsageError(f"task {name!r} must give Instance values, got {type(instance).__name__}.")
        if instance.id in seen:
            raise UsageError(f"task {name!r} gave two instances with the id {instance.id!r}.")
        seen.add(instance.id)
    return made


def checked(made: Any, spec: str) -> Task:
    """A plug-in's object, if it has all that a task needs.

    Raises:
        UsageError: Names what is missing.
    """
    absent = [part for part in PARTS if not hasattr(made, part)]
    if absent:
        raise UsageError(f"task {spec!r} lacks {', '.join(absent)}: decorate it with @task(name, head=...).")
    return cast(Task, made)
