"""Matches the outputs of a classifier with the classes of a task."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence

from ...core.errors import UsageError
from ..layered import Layered

log = logging.getLogger(__name__)
NAMELESS = re.compile(r"(label )?[0-9]+")


def label_ids(model: Layered, classes: Sequence[str]) -> dict[str, int]:
    """The output of each class: by name (case, `_` and `-` do not matter), or by index where the model's outputs have no names.

    A checkpoint saved without names calls its outputs LABEL_0, LABEL_1, ...; they are then taken in the order of `classes`,
    with a warning.

    Args:
        model: A model with a sequence-classification head.
        classes: The task's classes in their published order; none: the model's own names.

    Returns:
        The index of the output of each class name.

    Raises:
        UsageError: Another number of outputs, or other names.
    """
    outputs = {name: index for index, name in model.labels.items()}
    if not classes:
        return {name.lower(): index for name, index in outputs.items()}
    shown = ", ".join(outputs)
    if len(outputs) != len(classes):
        raise UsageError(
            f"model {model.name!r} has {describe_classes(model)}, the task has {len(classes)}: {', '.join(classes)}."
        )
    if nameless(outputs):
        log.warning("the outputs of model %r have no names (%s); taken in the order %s.", model.name, shown, ", ".join(classes))
        return {name: index for index, name in enumerate(classes)}
    names = {plain(name): index for name, index in outputs.items()}
    if set(names) != {plain(name) for name in classes}:
        raise UsageError(
            f"the classes of model {model.name!r} are called {shown}, those of the task {', '.join(classes)}; "
            "if they mean the same, write the task's names into id2label and label2id of the model's config.json."
        )
    return {name: names[plain(name)] for name in classes}


def classes_match(model: Layered, classes: Sequence[str]) -> bool:
    """Whether the outputs of a classifier can be these classes: as many, with the same names or without names."""
    names = list(model.labels.values())
    same = {plain(name) for name in names} == {plain(name) for name in classes}
    return len(names) == len(classes) and (same or nameless(names))


def nameless(names: Iterable[str]) -> bool:
    """Whether the names of outputs are only numbers, as in a checkpoint saved without names.

    >>> nameless(["LABEL_0", "LABEL_1"]), nameless(["no", "yes"])
    (True, False)
    """
    return all(NAMELESS.fullmatch(plain(name)) for name in names)


def describe_classes(model: Layered) -> str:
    """The classes of a classifier in words: `2 classes: negative, positive`."""
    return f"{len(model.labels)} classes: {', '.join(model.labels.values())}"


def plain(name: str) -> str:
    """A class name in lower case, with single blanks for blanks, `_` and `-`.

    >>> plain("not_Entailment"), plain("LABEL_0")
    ('not entailment', 'label 0')
    """
    return re.sub(r"[\s_-]+", " ", str(name)).strip().lower()


def output_of(label: int | str, ids: Mapping[str, int], count: int) -> int | None:
    """The output of a label.

    Args:
        label: The index of an output, or a class name.
        ids: The output of each class name.
        count: How many outputs the model has.

    Returns:
        The index of the output; None if the model has no such output.

    >>> output_of("Yes", {"no": 0, "yes": 1}, 2), output_of(2, {}, 2)
    (1, None)
    """
    index = label if isinstance(label, int) else ids.get(label, ids.get(label.lower()))
    return index if index is not None and 0 <= index < count else None
