"""Which output of a classifier is which class, and texts longer than a model reads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flowgauge.core.errors import UnfitSentence, UsageError
from flowgauge.models.inputs.labels import classes_match, label_ids, output_of


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


def test_classes_that_are_called_by_numbers_are_matched_by_these_numbers(classifier: Callable[..., Any]) -> None:
    assert label_ids(classifier("-1", "1"), ("1", "-1")) == {"1": 1, "-1": 0}
    assert label_ids(classifier("0", "1"), ("1", "0")) == {"1": 1, "0": 0}
    assert label_ids(classifier("A", "a"), ("a", "A")) == {"a": 1, "A": 0}
    with pytest.raises(UsageError, match=r"^two outputs of model .* have one name \(a, a\): write other names"):
        label_ids(classifier("a", "a"), ())


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


SIGNS, SWAPPED, STARS = {"-1": 0, "0": 1, "1": 2}, {"1": 0, "0": 1}, {"1 star": 0, "2 stars": 1}
NAMELESS, NAMED, FRACTIONS = {"LABEL_0": 0, "LABEL_1": 1}, {"negative": 0, "Positive": 1}, {"1.0": 0, "0.0": 1}
MEANT: list[tuple[int | str, dict[str, int], int]] = [
    (1, SIGNS, 2), (-1, SIGNS, 0), ("-1", SIGNS, 0), (1, SWAPPED, 0), (0, SWAPPED, 1), (1, FRACTIONS, 0), ("1.0", FRACTIONS, 0),
    (0, STARS, 0), ("2 Stars", STARS, 1), (1, NAMELESS, 1), ("label_1", NAMELESS, 1), (1, NAMED, 1), ("POSITIVE", NAMED, 1),
    (1, {"t5": 0, "bert": 1}, 1), ("a", {"A": 0, "a": 1}, 1),
]  # fmt: skip


@pytest.mark.parametrize(("label", "outputs", "index"), MEANT)
def test_a_name_that_is_the_label_comes_before_a_place(label: int | str, outputs: dict[str, int], index: int) -> None:
    assert output_of(label, outputs) == index


KNOWS = "knows negative, Positive (0 to 1)."
UNCLEAR: list[tuple[int | str, dict[str, int], str]] = [
    (1, STARS, "has two outputs for it: number 1, which is called '2 stars', and '1 star', which is number 0. Write the names of "
     "the outputs as labels."),
    (2, SIGNS, "knows -1, 0, 1 (0 to 2): none is called 2, and the one at place 2 is called 1."),
    (0, {"1": 0, "other": 1}, "knows 1, other (0 to 1): none is called 0, and the one at place 0 is called 1."),
    (2, NAMED, f"{KNOWS} Write their names or numbers as labels."),
    (-1, NAMED, f"{KNOWS} If -1 marks rows without a label, leave them out with --on-split skip."),
    ("0.8", NAMED, f"{KNOWS} A label with a fraction is a score, and the model tells classes: write classes as labels."),
    ("true", NAMED, f"{KNOWS} Write these names, or 1 for true and 0 for false if that is their order."),
    ("1", NAMED, f"{KNOWS} Write these names as labels, or the numbers of the outputs in every row."),
    ("A", {"a": 0, "á": 1, "a ": 2}, "knows a, á, a  (0 to 2). Write these names as labels, or the numbers of the outputs in "
     "every row."),
]  # fmt: skip


@pytest.mark.parametrize(("label", "outputs", "message"), UNCLEAR)
def test_a_label_that_is_no_output_or_can_be_two_is_refused(label: int | str, outputs: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        output_of(label, outputs)
    assert str(caught.value) == message
    assert isinstance(caught.value, UnfitSentence) == (label == -1)


def test_outputs_that_are_called_by_numbers_are_taken_by_these(
    classifier: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert label_ids(classifier("1", "0"), ("negative", "positive")) == {"negative": 1, "positive": 0}
    assert label_ids(classifier("LABEL_1", "LABEL_0"), ("negative", "positive")) == {"negative": 1, "positive": 0}
    with pytest.raises(
        UsageError, match=r"are called 1, 2, and the classes of the task .* have the numbers 0 to 1; .* \(1 = negative"
    ):
        label_ids(classifier("1", "2"), ("negative", "positive"))
    caplog.clear()
    assert label_ids(classifier("1", "0"), ()) == {"1": 0, "0": 1}
    (said,) = caplog.messages
    assert said.endswith("are called 1 (output 0), 0 (output 1): labels that are numbers are taken for these names.")
