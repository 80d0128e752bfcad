"""What the decoder families share: the choice of the head, sizes, and heads that are refused."""

from __future__ import annotations

import pytest
from transformers import GPT2Config, GPT2DoubleHeadsModel, GPT2Model

from flowgauge.core.errors import UsageError
from flowgauge.models.families.registry import model_parts

SMALL = {"vocab_size": 9, "n_embd": 8, "n_layer": 1, "n_head": 2, "bos_token_id": 0, "eos_token_id": 0}


def test_head_and_sizes_are_those_of_the_model(models) -> None:
    for family in ("gpt2", "llama", "mistral", "qwen2", "qwen3"):
        heads = [models(family, head) for head in ("next", "label", "span")]
        assert [(m.head, m.reads_last_token) for m in heads] == [("next", True), ("label", True), ("span", False)]
        assert (heads[0].n_layers, heads[0].n_heads, heads[0].width, heads[0].inner_width) == (3, 4, 16, 32)


@pytest.mark.parametrize("kind", [GPT2Model, GPT2DoubleHeadsModel])
def test_other_heads_are_refused(kind) -> None:
    with pytest.raises(
        UsageError, match=f"'x' is a {kind.__name__}: expected a next-token, sequence-classification or span head"
    ):
        model_parts(kind(GPT2Config(**SMALL)), "x")
