"""How a task is declared: `@task(...)` over a class, or over a function that returns all instances."""

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
        """The instances that the function returns for this seed; with a limit, a sample balanced over conditions."""
        only_test(self.name, split)
        return balanced(unique(self.name, self.function(seed, **self.options)), limit, seed)


def task(
    name: str,
    *,
    head: Head = "masked",
    version: int = 1,
    quantity: Quantity = Quantity(),
    source: str = "plug-in",
    reference: str = "",
) -> Callable[[Any], Any]:
    """Declares a class with `instances(split, limit, seed)`, or a function `(seed, **settings) -> instances`, as a task.

    Args:
        name: The name on the command line and in results.
        head: The model head that the instances need.
        version: A number that is raised by any change to the instances.
        quantity: The scalar that is explained.
        source: Where the instances come from; part of the record.
        reference: The publication that the task follows: authors, year, title.

    Raises:
        UsageError: A quantity of the predicted answer, which is always explained beside that of the gold answer.
    """
    if quantity.label != "gold":
        raise UsageError(
            f"task {name!r} declares a quantity of the predicted answer: declare that of the gold answer, label='gold'; "
            "the predicted answer is always explained beside it."
        )
    metadata = {"name": name, "version": version, "head": head, "quantity": quantity, "source": source, "reference": reference}

    def decorate(target: Any) -> Any:
        doc = (inspect.getdoc(target) or "").partition("\n")[0]
        return decorator("task", {**metadata, "doc": doc}, FunctionTask, leading=1)(target)

    return decorate


def unique(name: str, instances: Iterable[Instance]) -> tuple[Instance, ...]:
    """The instances as a tuple, if there are any and their ids differ.

    Args:
        name: The task's name, for messages.
        instances: What the task returned.

    Raises:
        UsageError: No instances, a value of another type, or two instances with the same id.
    """
    checked_instances = tuple(instances)
    if not checked_instances:
        raise UsageError(f"task {name!r} gave no instances: it must give at least one.")
    seen: set[str] = set()
    for instance in checked_instances:
        if not isinstance(instance, Instance):
            raise UsageError(f"task {name!r} must give Instance values, got {type(instance).__name__}.")
        if instance.id in seen:
            raise UsageError(f"task {name!r} gave two instances with the id {instance.id!r}.")
        seen.add(instance.id)
    return checked_instances


def checked(plugin: Any, spec: str) -> Task:
    """The object of a plug-in as a task, if it has every attribute of a task.

    Args:
        plugin: What the plug-in's factory returned.
        spec: The plug-in as the user named it, for the message.

    Raises:
        UsageError: An attribute is missing.
    """
    absent = [part for part in PARTS if not hasattr(plugin, part)]
    if absent:
        raise UsageError(f"task {spec!r} lacks {', '.join(absent)}: decorate it with @task(name, head=...).")
    return cast(Task, plugin)
