"""What a labelled text asks of a head whose outputs are no classes: whether one label is true, or how high the score is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ...core.errors import UsageError
from ...tasks.instance import Instance
from ..layered import Layered
from ..problem_types import problem_type
from .labels import output_of, plain

YES, NO = ("1", "yes", "true"), ("0", "no", "false")
"""Labels of a text for a head with one label, beside the label's own name."""


class LabelQuestion(NamedTuple):
    """The label that is asked about, None of a score, and the output that is right: of a label 1 (yes) or 0 (no)."""

    label: int | None
    answer: int


def label_question(model: Layered, instance: Instance, labels: Mapping[str, int]) -> LabelQuestion:
    """The question that an instance asks.

    A label `toxic` asks whether it is true, and the right answer is yes; of `not toxic` it is no.

    Args:
        model: With a multi-label or a regression head.
        instance: Its answer is a label's name or number; for a score, any number.
        labels: The output of each class name of the task.

    Raises:
        UsageError: A label that the model does not have, several answers, or for a score no number.
    """
    given = str(instance.answer[0])
    where = f"instance {instance.id!r} has label {given!r}, but model {model.name!r}"
    if instance.against or instance.also or len(instance.answer) != 1:
        raise UsageError(f"instance {instance.id!r} names several answers, but model {model.name!r} takes one label a question.")
    if problem_type(model) == "regression":
        try:
            float(given)
        except ValueError as error:
            raise UsageError(
                f"{where} has a regression head, which gives a score and no classes: write numbers as labels."
            ) from error
        return LabelQuestion(None, 0)
    outputs = {plain(name): index for index, name in model.labels.items()} | {plain(name): i for name, i in labels.items()}
    text = plain(given)
    bare = text if text in outputs else text.removeprefix("not ")
    if bare in outputs:
        return LabelQuestion(outputs[bare], int(bare == text))
    if len(model.labels) == 1 and text in YES + NO:
        return LabelQuestion(0, int(text in YES))
    if bare.isdecimal() and int(bare) in model.labels:
        try:
            return LabelQuestion(output_of(int(bare), outputs), int(bare == text))
        except UsageError as error:
            raise UsageError(f"{where} {error}") from error
    names = ", ".join(model.labels.values())
    raise UsageError(f"{where} knows {names}, each of them also as `not {model.labels[0]}`.")


def label_name(model: Layered, question: int, output: int) -> str:
    """The answer to a yes/no question about a label as text.

    Args:
        model: With a multi-label head.
        question: The label that was asked about.
        output: 1 (yes) or 0 (no).
    """
    return model.labels[question] if output else f"not {model.labels[question]}"
