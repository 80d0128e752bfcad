"""Which output of a classifier is which class, and texts longer than a model reads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flowgauge.core.errors import UsageError
from flowgauge.models.inputs.labels import classes_match, label_ids


@pytest.fixture
def classifier(tiny_flows: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """The tiny classifier with its two outputs called otherwise; its own names come back afterwards."""
    model = tiny_flows("bert", "label")
    kept = dict(model.hf.config.id2label)

    def named(*names: str) -> Any:
        model.hf.config.id2label = dict(enumerate(names))
        return model

    yield named
    model.hf.config.id2label = kept


def test_names_count_not_numbers(classifier: Callable[..., Any]) -> None:
    assert label_ids(classifier("Positive", "NEGATIVE"), ("negative", "positive")) == {"negative": 1, "positive": 0}
    assert label_ids(classifier("not-Entailment", "entailment"), ("entailment", "not_entailment")) == {
        "entailment": 1,
        "not_entailment": 0,
    }


@pytest.mark.parametrize("names", [("LABEL_0", "LABEL_1"), ("0", "1")])
def test_outputs_without_names_go_by_number_with_a_warning(
    classifier: Callable[..., Any], names: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert label_ids(classifier(*names), ("negative", "positive")) == {"negative": 0, "positive": 1}
    (said,) = caplog.messages
    assert "have no names" in said and "taken in the order negative, positive" in said


def test_other_names_or_another_number_are_refused(classifier: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match=r"are called no, yes, those of the task negative, positive; .* id2label"):
        label_ids(classifier("no", "yes"), ("negative", "positive"))
    with pytest.raises(UsageError, match=r"has 2 classes: no, yes, the task has 3: a, b, c\."):
        label_ids(classifier("no", "yes"), ("a", "b", "c"))
    model = classifier("no", "yes")
    assert [classes_match(model, classes) for classes in (("yes", "no"), ("negative", "positive"), ("a", "b", "c"))] == [
        True,
        False,
        False,
    ]
    assert classes_match(classifier("LABEL_0", "LABEL_1"), ("negative", "positive"))
