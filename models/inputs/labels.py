"""Matches the outputs of a classifier with the classes of a task."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence

from ...core.errors import UnfitSentence, UsageError
from ..layered import Layered
from ..problem_types import problem_type

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
    if len(outputs) != len(model.labels):
        raise UsageError(
            f"two outputs of model {model.name!r} have one name ({', '.join(model.labels.values())}): write other names into "
            "id2label and label2id of its config.json."
        )
    if not classes:
        _warn_of_numbers(model)
        return outputs
    shown = ", ".join(outputs)
    if len(outputs) != len(classes):
        raise UsageError(
            f"model {model.name!r} has {describe_classes(model)}, the task has {len(classes)}: {', '.join(classes)}."
        )
    for key in (str, plain):
        names = {key(name): index for name, index in outputs.items()}
        if len(names) == len(outputs) and set(names) == {key(name) for name in classes}:
            return {name: names[key(name)] for name in classes}
    if nameless(outputs):
        return _by_number(model, classes)
    raise UsageError(
        f"the classes of model {model.name!r} are called {shown}, those of the task {', '.join(classes)}; "
        "if they mean the same, write the task's names into id2label and label2id of the model's config.json."
    )


def _by_number(model: Layered, classes: Sequence[str]) -> dict[str, int]:
    """The output of each class where the names of outputs are only numbers: that of the class's number.

    Raises:
        UsageError: The numbers are not those of the classes, which count from 0.
    """
    shown, of_number = ", ".join(model.labels.values()), {number_in(name): index for index, name in model.labels.items()}
    if set(of_number) != set(range(len(classes))):
        by_order = ", ".join(f"{model.labels[index]} = {name}" for index, name in enumerate(classes))
        raise UsageError(
            f"the outputs of model {model.name!r} are called {shown}, and the classes of the task {', '.join(classes)} have the "
            f"numbers 0 to {len(classes) - 1}; write names into id2label and label2id of its config.json ({by_order} if they "
            "stand in this order)."
        )
    log.warning("the outputs of model %r have no names (%s); taken in the order %s.", model.name, shown, ", ".join(classes))
    return {name: of_number[number] for number, name in enumerate(classes)}


def _warn_of_numbers(model: Layered) -> None:
    """Warns of outputs that are called by numbers other than their own, since a label may be either."""
    if any(_number(name) not in (None, index) for index, name in model.labels.items()):
        readings = ", ".join(f"{name} (output {index})" for index, name in model.labels.items())
        log.warning(
            "the outputs of model %r are called %s: labels that are numbers are taken for these names.", model.name, readings
        )


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
    """The outputs of a classifier in words: `2 classes: negative, positive`."""
    problem, names = problem_type(model), ", ".join(model.labels.values())
    if problem == "regression":
        return "one score, no classes"
    return f"{len(model.labels)} {'classes' if problem == 'single_label_classification' else 'labels, each true or not'}: {names}"


def plain(name: str) -> str:
    """A class name in lower case, with single blanks for blanks, `_` and `-`, save the sign of a number.

    >>> plain("not_Entailment"), plain("LABEL_0"), plain("-1")
    ('not entailment', 'label 0', '-1')
    """
    text = str(name).strip()
    return text if _number(text) is not None else re.sub(r"[\s_-]+", " ", text).strip().lower()


def number_in(name: str) -> int | None:
    """The number in a name that holds exactly one.

    >>> number_in("2 stars"), number_in("LABEL_0"), number_in("positive"), number_in("-1")
    (2, 0, None, -1)
    """
    numbers = re.findall(r"-?[0-9]{1,9}", str(name))
    return int(numbers[0]) if len(numbers) == 1 else None


def output_of(label: int | str, outputs: Mapping[str, int]) -> int:
    """The output of a label: the one that is called so or, for a number that no output is called, the one at that place.

    Args:
        label: The name of a class, or a number.
        outputs: The output of each class name.

    Raises:
        UsageError: There is no such output; or a number can be read in two ways, since the output at that place is called by
            another number, or the names of all outputs hold numbers and that one another. The message continues a sentence that
            begins with the model.
        UnfitSentence: A number below 0, by which data sets mark rows without a label.

    >>> output_of("Yes", {"no": 0, "yes": 1}), output_of(1, {"no": 0, "yes": 1}), output_of(1, {"-1": 0, "0": 1, "1": 2})
    (1, 1, 2)
    """
    named = [index for name, index in outputs.items() if name == label]
    named = named or [
        i for name, i in outputs.items() if (_number(name) if isinstance(label, int) else plain(name)) == _key(label)
    ]
    if len(set(named)) == 1:
        return named[0]
    names = {index: name for name, index in sorted(outputs.items(), key=lambda item: item[1])}
    known = f"knows {', '.join(names.values())} (0 to {len(names) - 1})"
    if isinstance(label, str):
        raise UsageError(f"{known}.{_remedy(label)}")
    if label < 0:
        raise UnfitSentence(f"{known}. If {label} marks rows without a label, leave them out with --on-split skip.")
    if label not in names:
        raise UsageError(f"{known}. Write their names or numbers as labels.")
    if _number(names[label]) is not None:
        raise UsageError(f"{known}: none is called {label}, and the one at place {label} is called {names[label]}.")
    numbers = {index: number_in(name) for index, name in names.items()}
    others = [index for index, number in numbers.items() if number == label and index != label]
    if others and None not in numbers.values() and numbers[label] != label:
        raise UsageError(
            f"has two outputs for it: number {label}, which is called {names[label]!r}, and {names[others[0]]!r}, which is "
            f"number {others[0]}. Write the names of the outputs as labels."
        )
    return label


def _key(label: int | str) -> int | str:
    return label if isinstance(label, int) else plain(label)


def _number(name: str) -> int | None:
    """The number that a name is, also as `1.0`."""
    return int(name.partition(".")[0]) if re.fullmatch(r"[+-]?[0-9]{1,9}(\.0*)?", str(name)) else None


def _remedy(label: str) -> str:
    """What to do with labels of a kind that no class has."""
    if re.fullmatch(r"[+-]?[0-9]*[.,][0-9]+(e[+-]?[0-9]+)?", label.lower()):
        return " A label with a fraction is a score, and the model tells classes: write classes as labels."
    if label.lower() in ("true", "false"):
        return " Write these names, or 1 for true and 0 for false if that is their order."
    return " Write these names as labels, or the numbers of the outputs in every row."
