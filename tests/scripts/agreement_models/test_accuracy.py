"""Accuracy of a model by task and condition, with Wilson's interval."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from agreement_models.accuracy import Accuracy, answer_is_larger, measure, wilson
from agreement_models.grammar import load_grammar
from agreement_models.tokenizer import word_tokenizer
from flowgauge.tasks.agreement import AgreementTask
from flowgauge.tasks.instance import Instance
from flowgauge.tasks.lexicon import templates


def test_wilson_has_its_textbook_values() -> None:
    assert [round(x, 4) for x in wilson(8, 10)] == [0.4902, 0.9433]
    assert [round(x, 4) for x in wilson(0, 20)] == [0.0, 0.1611]


def test_each_condition_is_counted_by_itself() -> None:
    """A model that always says the singular, and himself."""

    def answers(instances: Sequence[Instance]) -> list[bool]:
        return [instance.answer[0] in ("is", "himself") for instance in instances]

    rows = measure(answers, sentences=5)
    assert [(row.task, row.condition) for row in rows] == [(n, c) for n, t in templates().items() for c in t.conditions]
    assert {(row.condition[0], row.right, row.count) for row in rows} == {("S", 5, 5), ("P", 0, 5), ("M", 5, 5), ("F", 0, 5)}


def test_the_answers_logit_must_be_the_larger_one() -> None:
    tokenizer = word_tokenizer(load_grammar(), {"pad": "<pad>", "unk": "<unk>"}, "$A", "$A $B", ("input_ids",))
    singular, plural = (Instance("x", ("the [MASK]",), pair[:1], pair[1:]) for pair in (("is", "are"), ("are", "is")))
    logits = torch.zeros(3, len(tokenizer))
    logits[:2, tokenizer.convert_tokens_to_ids("is")] = 1.0
    assert answer_is_larger(logits, tokenizer, [singular, plural, singular]) == [True, False, False]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_seed_is_that_of_the_sentences(seed: int) -> None:
    seen: list[str] = []

    def answers(instances: Sequence[Instance]) -> list[bool]:
        seen.extend(instance.id for instance in instances)
        return [True] * len(instances)

    assert measure(answers, 2, seed)[0] == Accuracy("sva/obj", "SS", 2, 2)
    assert seen[:8] == [instance.id for instance in AgreementTask("sva/obj", 2).instances("test", None, seed)]
