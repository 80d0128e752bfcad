"""What the outputs of a sequence-classification head are: classes of which one is right, labels each true or not, or a score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ..core.errors import UsageError

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]
"""The names of transformers: classes that exclude each other, labels of which each is true or not, or one score."""


def problem_type(model: Any) -> ProblemType:
    """What the outputs of a model are; those of a model that does not say are classes.

    Args:
        model: A model with a sequence-classification head, maybe of a plug-in.
    """
    stated: ProblemType = getattr(model, "problem_type", "single_label_classification")
    return stated if model.head == "label" else "single_label_classification"


def stated_problem_type(config: Mapping[str, Any]) -> tuple[str, int]:
    """The problem type and the number of outputs of a config.json; where no type is stated, one output is a score.

    >>> stated_problem_type({"id2label": {"0": "score"}}), stated_problem_type({})
    (('regression', 1), ('single_label_classification', 2))
    """
    names = config.get("id2label")
    outputs = len(names) if isinstance(names, Mapping) and names else int(config.get("num_labels", 2))
    return str(config.get("problem_type") or ("regression" if outputs == 1 else "single_label_classification")), outputs


def check_problem_type(stated: str, outputs: int, name: str) -> ProblemType:
    """The problem type of a head that can be explained.

    Args:
        stated: The problem type.
        outputs: How many outputs the head has.
        name: What messages call the model.

    Raises:
        UsageError: Several scores, a single class, or a word that transformers does not know.
    """
    if stated == "multi_label_classification":
        return "multi_label_classification"
    if stated == "regression" and outputs == 1:
        return "regression"
    if stated == "single_label_classification" and outputs > 1:
        return "single_label_classification"
    if stated == "regression":
        raise UsageError(
            f"model {name!r} has a regression head with {outputs} scores; a head with one score is explained: "
            "save a checkpoint whose head has that one score."
        )
    if stated == "single_label_classification":
        raise UsageError(
            f"model {name!r} has a classification head with one class, which is always the answer: if its output is a score, "
            'write "problem_type": "regression" into its config.json; if it is one yes/no question, "multi_label_classification".'
        )
    raise UsageError(
        f"config.json of model {name!r} has problem_type {stated[:100]!r}; expected single_label_classification, "
        "multi_label_classification or regression."
    )
