"""What the outputs of a sequence-classification head are, by its configuration."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from flowgauge.core.errors import UsageError
from flowgauge.models.problem_types import check_problem_type, problem_type, stated_problem_type


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, "single_label_classification"),
        ({"num_labels": 1}, "regression"),
        ({"id2label": {"0": "score"}, "num_labels": 2}, "regression"),
        ({"id2label": {"0": "spam"}, "problem_type": "multi_label_classification"}, "multi_label_classification"),
        ({"id2label": {"0": "a", "1": "b"}, "problem_type": "multi_label_classification"}, "multi_label_classification"),
    ],
)
def test_one_output_is_a_score_unless_the_configuration_says_otherwise(config: dict[str, Any], expected: str) -> None:
    assert check_problem_type(*stated_problem_type(config), "m") == expected


@pytest.mark.parametrize(
    ("stated", "outputs", "text"),
    [
        ("regression", 3, "has a regression head with 3 scores; a head with one score is explained"),
        ("single_label_classification", 1, "one class, which is always the answer"),
        ("ranking", 2, "has problem_type 'ranking'; expected single_label_classification"),
    ],
)
def test_heads_that_are_not_explained_are_named(stated: str, outputs: int, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        check_problem_type(stated, outputs, "m")


def test_models_of_plug_ins_and_of_other_heads_have_classes() -> None:
    assert problem_type(SimpleNamespace(head="label")) == "single_label_classification"
    assert problem_type(SimpleNamespace(head="span", problem_type="regression")) == "single_label_classification"
    assert problem_type(SimpleNamespace(head="label", problem_type="regression")) == "regression"
