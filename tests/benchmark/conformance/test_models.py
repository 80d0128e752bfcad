"""A sound model keeps every promise; a model that is broken in one way breaks the promise about it."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
import torch
from tests.conftest import FULL_SIZE

from flowgauge.benchmark.conformance import failed
from flowgauge.benchmark.conformance.models import check_model, described, padded_left, random_batch
from flowgauge.benchmark.conformance.small_models import heads_of, small_model
from flowgauge.models.families.registry import FAMILIES
from flowgauge.models.layers.pre_norm import PreNorm


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_keeps_every_promise(family) -> None:
    for head in heads_of(family) if FULL_SIZE else heads_of(family)[:1]:
        findings = check_model(small_model(family, head, torch.float64))
        assert not failed(findings) and len(findings) == 12
        assert any(f.detail.startswith("not applicable") for f in findings) == (not small_model(family, head).reads_last_token)


def broken(model, **attention) -> list[str]:
    layers = tuple(replace(layer, attention=replace(layer.attention, **attention)) for layer in model.layers)
    model.layers = layers
    return [text.split(":")[0] for text in failed(check_model(model))]


def test_a_wrong_scale_and_a_missing_mask_are_found() -> None:
    assert broken(small_model("bert", "masked"), scale=0.7) == ["logits are those of transformers"]
    later = broken(small_model("gpt2", "next"), causal=False)
    assert later == ["logits are those of transformers", "tokens after the target change nothing"]
    assert broken(small_model("mistral", "next"), window=None) == ["logits are those of transformers"]


def test_positions_that_padding_moves_are_found() -> None:
    model = small_model("gpt2", "next")
    base = model.hf.transformer
    model._embed = lambda words, batch: words + base.wpe(torch.arange(words.shape[1]))
    assert [text.split(":")[0] for text in failed(check_model(model))] == ["padding on the left changes nothing"]


def test_a_head_that_nothing_reads_and_wrong_derivatives_are_found() -> None:
    model = small_model("gpt2", "next")
    weight = model.hf.transformer.h[1].attn.c_proj.weight
    weight.zero_()
    found = failed(check_model(model))
    assert [text.split(":")[0] for text in found] == [f"edits of {site} have effects" for site in SITES_OF_ATTENTION]
    assert "an edit of query[1] changes nothing" in found[0]

    model = small_model("gpt2", "next")
    layer, other = cast(PreNorm, model.layers[0]), model.layers[1]

    class Wrong(PreNorm):
        """Differentiates another layer."""

        def tangents(self, *values):
            return other.tangents(*values)

    model.layers = (Wrong(layer.attention, layer.norm1, layer.ff, layer.norm2), other)
    assert [text.split(":")[0] for text in failed(check_model(model))] == ["closed-form derivatives are the automatic ones"]


SITES_OF_ATTENTION = ("query", "key", "value", "attention", "context")


def test_padding_on_the_left_keeps_words_and_moves_the_target() -> None:
    batch = random_batch(small_model("gpt2", "next"))
    left = padded_left(batch)
    assert left.target.tolist() == [8, 8, 8] and left.attention_mask[1].tolist() == [False] * 3 + [True] * 6
    assert left.ids[1, 3:].tolist() == batch.ids[1, :6].tolist()


def test_a_model_is_described_in_one_line() -> None:
    assert described(small_model("mistral", "next")) == (
        "small-mistral: mistral, 2 layers (PreNorm) of 4 heads, 16 wide; head: next; causal; 2 key heads; windows of 3 tokens; "
        "at most 40 tokens"
    )
