"""What the encoder families share: the choice of the head, sizes, and variants that are refused."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertForQuestionAnswering

from flowgauge.core.errors import UsageError
from flowgauge.models.families.registry import model_parts

SMALL = {"vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12}


def test_head_and_sizes_are_those_of_the_model(models) -> None:
    for family in ("bert", "roberta", "electra", "distilbert"):
        assert [models(family, head).head for head in ("masked", "label", "span")] == ["masked", "label", "span"]
        model = models(family)
        assert (model.n_layers, model.n_heads, model.width, model.inner_width) == (3, 4, 16, 32)


def test_a_decoder_and_span_heads_without_two_outputs_are_refused() -> None:
    with pytest.raises(UsageError, match="'x' is configured as a decoder"):
        model_parts(BertForMaskedLM(BertConfig(**SMALL, is_decoder=True)), "x")
    model = BertForQuestionAnswering(BertConfig(**SMALL))
    model.qa_outputs = torch.nn.Linear(8, 3)
    with pytest.raises(UsageError, match="'x' has 3 span outputs; expected 2, start and end"):
        model_parts(model, "x")
