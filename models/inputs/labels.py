"""Which of a classifier's outputs is which of a task's classes."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence

from ...core.errors import UsageError
from ..layered import Layered

log = logging.getLogger(__name__)
NAMELESS = re.compile(r"(label )?[0-9]+")


def label_ids(model: Layered, classes: Sequence[str]) -> dict[str, int]:
    """The output of each class: by name (case, `_` and `-` do not matter), or by number where the model's outputs have no names.

    A checkpoint saved without names calls its outputs LABEL_0, LABEL_1, ...; they are then taken in the order of `classes`,
    with a warning.

    Args:
        model: With a sequence-classification head.
        classes: The task's, in their published order; none: the model's own names.

    Raises:
        UsageError: Another number of outputs, or other names.
    """
    outputs = {name: number for number, name in model.labels.items()}
    if not classes:
        return {name.lower(): number for name, number in outputs.items()}
    shown = ", ".join(outputs)
    if len(outputs) != len(classes):
        raise UsageError(f"model {model.name!r} has {telling(model)}, the task has {len(classes)}: {', '.join(classes)}.")
    if nameless(outputs):
        log.warning("the outputs of model %r have no names (%s); taken in the order %s.", model.name, shown, ", ".join(classes))
        return {name: number for number, name in enumerate(classes)}
    names = {plain(name): number for name, number in outputs.items()}
    if set(names) != {plain(name) for name in classes}:
        raise UsageError(
            f"the classes of model {model.name!r} are called {shown}, those of the task {', '.join(classes)}; "
            "if they mean the same, write the task's names into id2label and label2id of the model's config.json."
        )
    return {name: names[plain(name)] for name in classes}


def classes_match(model: Layered, classes: Sequence[str]) -> bool:
    """Whether a classifier tells just these classes apart, as far as its names say."""
    names = list(model.labels.values())
    same = {plain(name) for name in names} == {plain(name) for name in classes}
    return len(names) == len(classes) and (same or nameless(names))


def nameless(names: Iterable[str]) -> bool:
    """Whether outputs are only numbered.

    >>> nameless(["LABEL_0", "LABEL_1"]), nameless(["no", "yes"])
    (True, False)
    """
    return all(NAMELESS.fullmatch(plain(name)) for name in names)


def telling(model: Layered) -> str:
    """A classifier's classes in words: `2 classes: negative, positive`."""
    return f"{len(model.labels)} classes: {', '.join(model.labels.values())}"


def plain(name: str) -> str:
    """A class name without what spellings differ in.

    >>> plain("not_Entailment"), plain("LABEL_0")
    ('not entailment', 'label 0')
    """
    return re.sub(r"[\s_-]+", " ", str(name)).strip().lower()


def output_of(label: int | str, ids: Mapping[str, int], count: int) -> int | None:
    """The output that a label, a number or a name, stands for; None if the model has none such."""
    index = label if isinstance(label, int) else ids.get(label, ids.get(label.lower()))
    return index if index is not None and 0 <= index < count else None
