"""Instances that contradict themselves are refused."""

from __future__ import annotations

from typing import Any

import pytest

from flowgauge.core.errors import UsageError
from flowgauge.tasks.instance import Instance, Quantity


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"segments": ()}, "expected one or two texts that are not empty, got \\(\\)"),
        ({"segments": ("a", " ")}, "expected one or two texts that are not empty"),
        ({"segments": ("a", "b", "c")}, "expected one or two texts that are not empty"),
        ({"answer": ()}, "instance 'i' has no answer: name one output for each output head"),
        ({"against": ("no", "maybe")}, "instance 'i': 1 answers but 2 outputs to hold against them"),
        ({"also": (("yes", "no"),)}, "further answers need as many parts as the answer \\(1\\)"),
        ({"also": (("no",),), "against": ("maybe",)}, "nothing held against them"),
        ({"counterpart": ("two long words",)}, "the counterpart .* must have as many texts .*, each with as many words"),
        ({"counterpart": ("two words", "two words")}, "must have as many texts"),
        ({"segments": ("a [MASK]",), "counterpart": ("[MASK] a",)}, r"with \[MASK\] where the text has it"),
        ({"slots": ("SUBJ",)}, "instance 'i': 2 words but 1 slot names"),
    ],
)
def test_what_an_instance_must_have(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Instance(**{"id": "i", "segments": ("two words",), "answer": ("yes",), **arguments})


def test_defaults_ask_for_the_logit_difference_of_the_gold_answer() -> None:
    assert Quantity() == Quantity("logit_difference", "gold")
    instance = Instance("i", ("two words",), ("yes",), slots=("A", "B"))
    assert (instance.against, instance.also, instance.condition, dict(instance.truth)) == ((), (), "", {})
    assert (instance.left_to_right, instance.counterpart) == (False, ())
