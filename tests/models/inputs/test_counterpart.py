"""Counterparts have a token for each token of the text, or are left out."""

from __future__ import annotations

from dataclasses import replace

import torch

from flowgauge.models.inputs.counterpart import counterpart_ids
from flowgauge.models.inputs.encode import encode
from flowgauge.models.inputs.tokenise import tokenise
from flowgauge.tasks.instance import Instance
from flowgauge.tasks.registry import TASKS


def pair(text: str, counterpart: str, name: str = "i") -> Instance:
    return Instance(name, (text,), ("is",), ("are",), counterpart=(counterpart,) if counterpart else ())


TALL = pair("the author [MASK] tall .", "the authors [MASK] tall .")


def test_the_tokens_are_those_of_the_counterpart_by_hand(tiny_flow) -> None:
    ids = counterpart_ids(tiny_flow, TALL, tokenise(tiny_flow, TALL, {}))
    assert tiny_flow.tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", "the", "authors", "[MASK]", "tall", ".", "[SEP]"]


def test_words_that_the_model_does_not_know_or_splits_otherwise_are_no_counterpart(tiny_flow) -> None:
    unknown = pair("the author [MASK] tall .", "the zorgs [MASK] tall .")
    assert counterpart_ids(tiny_flow, unknown, tokenise(tiny_flow, unknown, {})) is None
    both = pair("the zorg [MASK] tall .", "the zorgs [MASK] tall .")
    assert counterpart_ids(tiny_flow, both, tokenise(tiny_flow, both, {})) is None
    none = pair("the author [MASK] tall .", "")
    assert counterpart_ids(tiny_flow, none, tokenise(tiny_flow, none, {})) is None
    row = tokenise(tiny_flow, TALL, {})
    shifted = replace(row, words=[*row.words[:2], (0, 2), *row.words[3:]])
    assert counterpart_ids(tiny_flow, TALL, shifted) is None
    assert counterpart_ids(tiny_flow, TALL, replace(row, cut=1)) is None
    assert counterpart_ids(tiny_flow, TALL, replace(row, segments=[0] * 6 + [1])) is None


def test_a_batch_has_a_row_for_each_instance_and_moves_them_along(tiny_flow) -> None:
    longer = pair("the author that likes the pilot [MASK] tall .", "the authors that likes the pilot [MASK] tall .", "l")
    batch = encode(tiny_flow, [TALL, longer, pair("the pilot [MASK] old .", "", "none")])
    assert batch.counterpart is not None and batch.counterpart.shape == batch.ids.shape
    assert (batch.counterpart[:2] != batch.ids[:2]).sum(1).tolist() == [1, 1] and (batch.counterpart[2] == -1).all()
    assert torch.equal(batch.rows(torch.tensor([1, 1])).counterpart[0], batch.counterpart[1])
    keep = batch.attention_mask.clone()
    keep[:, 1] = False
    shorter = batch.only(keep)
    assert tiny_flow.tokenizer.convert_ids_to_tokens(shorter.counterpart[0, :4].tolist()) == [
        "[CLS]",
        "authors",
        "[MASK]",
        "tall",
    ]
    assert encode(tiny_flow, [pair("the pilot [MASK] old .", "")]).counterpart is None


def test_agreement_tasks_have_counterparts_for_every_sentence(tiny_flow, agreement_model) -> None:
    for name in ("sva/obj", "sva/app", "ra/na"):
        instances = TASKS.create(name).instances("test", 12, 0)
        for model in (tiny_flow, agreement_model):
            batch = encode(model, instances)
            assert (batch.counterpart >= 0).all() and ((batch.counterpart != batch.ids).sum(1) >= 1).all(), name
