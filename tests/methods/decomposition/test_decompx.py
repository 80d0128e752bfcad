"""DecompX: parts sum to the model's own states, tokens to q, and a layer of BERT against loops over words."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.methods.decomposition.conftest import clean_sites, held

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.decomposition.decompx import DecompX, decomposed, divided
from flowgauge.models.batch import Rows
from flowgauge.models.outputs import value
from flowgauge.tasks.instance import Quantity

FAMILIES = ["bert", "distilbert", "albert", "deberta-v2", "modernbert", "gpt2", "gpt_neox", "opt", "llama", "gemma2", "qwen2"]


@pytest.mark.parametrize("family", FAMILIES)
def test_parts_sum_to_every_state_and_tokens_to_q(models, batches, family):
    model = models(family)
    batch = batches(model, [6, 4])
    with torch.no_grad():
        for name, weight in model.hf.named_parameters():
            if name.endswith("bias"):  # transformers starts them at 0
                weight.normal_(0, 0.3, generator=torch.Generator().manual_seed(len(name)))
    (trace,) = model.run(Rows(batch, model.embed(model.words(batch), batch)), keep={"hidden"})
    depths = 0
    for depth, (_, parts) in enumerate(decomposed(model, batch), 1):
        clean = trace.site("hidden", depth)
        assert (parts.sum(2) - clean).abs().max() < 1e-10 * max(1, float(clean.abs().max()))
        assert not parts[1, :4, 4:].any(), "padding has a part"
        depths = depth
    assert depths == 3
    q = value(model.outputs(batch), batch)
    for row, explanation in enumerate(DecompX().explain(model, batch)):
        assert explanation.tokens.sum() == pytest.approx(float(q[row]), abs=1e-9)
        assert abs(explanation.tokens).min() > 1e-6 and explanation.values == {"q_baseline": 0.0}


def naive_layer(hf, index, parts, hidden, weights):
    """A layer of BERT word by word, with biases divided by loops."""

    def with_bias(own, bias):
        sizes = [abs(float(part @ bias)) for part in own]
        return [part + size / sum(sizes) * bias for part, size in zip(own, sizes, strict=True)]

    layer, result = hf.bert.encoder.layer[index], torch.zeros_like(parts)
    attention, output, n = layer.attention.self, layer.attention.output, len(parts)
    size = hidden.shape[1] // 4
    attended_bias = output.dense.weight @ attention.value.bias + output.dense.bias
    for i in range(n):
        sums = []
        for k in range(n):
            context = torch.zeros(hidden.shape[1], dtype=hidden.dtype)
            for head in range(4):
                own = slice(head * size, (head + 1) * size)
                for j in range(n):
                    context[own] += weights[head, i, j] * attention.value.weight[own] @ parts[j, k]
            sums.append(output.dense.weight @ context)
        sums = with_bias([part + parts[i, k] for k, part in enumerate(sums)], attended_bias)
        before = sum(sums)
        middle = with_bias([held(output.LayerNorm, part, before) for part in sums], output.LayerNorm.bias)
        inner = with_bias([layer.intermediate.dense.weight @ part for part in middle], layer.intermediate.dense.bias)
        ratio = layer.intermediate.intermediate_act_fn(sum(inner)) / sum(inner)
        fed = with_bias([layer.output.dense.weight @ (part * ratio) for part in inner], layer.output.dense.bias)
        sums = [a + b for a, b in zip(middle, fed, strict=True)]
        normed = [held(layer.output.LayerNorm, part, sum(sums)) for part in sums]
        result[i] = torch.stack(with_bias(normed, layer.output.LayerNorm.bias))
    return result


def test_layers_of_bert_carry_each_word_by_itself(models, batches, single):
    model = models("bert", seed=3)
    with torch.no_grad():
        for name, weight in model.hf.named_parameters():
            if name.endswith("bias"):
                weight.normal_(0, 0.3, generator=torch.Generator().manual_seed(len(name)))
    batch = batches(model, [4, 3])
    layers = list(decomposed(model, batch))
    for row, n in enumerate(batch.lengths):
        hidden, weights = clean_sites(model, single(batch, row))
        expected = torch.diag_embed(hidden[0].T).movedim(0, -1)
        for index, (_, parts) in enumerate(layers):
            expected = naive_layer(model.hf, index, expected, hidden[index], weights[index])
            assert torch.allclose(parts[row, :n, :n], expected, rtol=0, atol=1e-9)


def test_each_factor_of_a_gated_block_gets_half_of_the_product(models, batches):
    """Two words in one gated layer whose attention writes nothing: by hand."""
    model = models("llama", num_hidden_layers=1)
    layer = model.hf.model.layers[0]
    with torch.no_grad():
        layer.self_attn.o_proj.weight.zero_()
    batch = batches(model, [3])
    ((linear, parts),) = decomposed(model, batch)
    x = linear.skip[0, 1]
    normed = held(layer.post_attention_layernorm, x, x)
    fed = layer.mlp.down_proj(layer.mlp.act_fn(layer.mlp.gate_proj(normed)) * layer.mlp.up_proj(normed))
    assert torch.allclose(parts[0, 1, 1], x + fed, rtol=0, atol=1e-10) and not parts[0, 1, [0, 2]].any()


def test_a_bias_that_no_part_points_to_belongs_to_the_own_word():
    parts, own = torch.zeros(1, 2, 3, 2), torch.eye(3)[1:]
    expected = torch.zeros(1, 2, 3, 2)
    expected[0, 0, 1], expected[0, 1, 2] = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0])
    assert (divided(parts, torch.tensor([1.0, 2.0]), own) == expected).all()


def test_later_words_have_no_part(models, batches):
    model = models("gpt2")
    batch = replace(batches(model, [6, 5]), target=torch.tensor([2, 2]), cache={})
    for explanation in DecompX().explain(model, batch):
        assert not explanation.tokens[3:].any() and abs(explanation.tokens[:3]).min() > 0


def test_probabilities_are_refused(model, batch):
    with pytest.raises(NotApplicable, match="probability is not"):
        DecompX().explain(model, replace(batch, quantity=Quantity("probability")))
