"""Checks that a model has the head that a task needs."""

from __future__ import annotations

from typing import Any

from ...core.errors import UsageError
from ...models.inputs.labels import classes_match, describe_classes, label_ids
from ...models.layered import Layered
from ...tasks.instance import FITTING
from ...tasks.registry import tasks_for_head

HEADS = {"masked": "masked-LM", "label": "sequence-classification", "next": "next-token", "span": "span"}


def check_head(model: Layered, task: Any) -> dict[str, int]:
    """Checks that a model has the head and the classes of a task; a model of the next word can be asked for a gap.

    Returns:
        The index of the model's output for each of the task's classes; empty for a task without classes.

    Raises:
        UsageError: The head or the classes are others; with those that the model has, and the tasks that they suit.
    """
    classes = tuple(getattr(task, "classes", ()))
    try:
        if model.head not in FITTING[task.head]:
            wanted = " or ".join(HEADS[head] for head in FITTING[task.head])
            raise UsageError(
                f"task {task.name!r} needs a model with a {wanted} head, but model {model.name!r} has a "
                f"{HEADS[model.head]} head{f' ({describe_classes(model)})' if model.head == 'label' else ''}."
            )
        return label_ids(model, classes) if classes else {}
    except UsageError as error:
        raise UsageError(f"{error} {_advice(model, task)}") from error


def _advice(model: Layered, task: Any) -> str:
    """The tasks that the model's head suits, and how to fine-tune a model for the task."""
    names = tasks_for_head(model.head, lambda classes: not classes or classes_match(model, classes))
    suited = f"It fits {', '.join(names)}." if names else "It fits no task that comes with flowgauge."
    if task.head not in ("label", "span"):
        return suited
    return f"{suited} To fine-tune one for {task.name}: `flowgauge train --model BASE --task {task.name} --out DIR`."
