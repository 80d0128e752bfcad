"""Parts by loops, from the submodules of Hugging Face's models alone."""

from __future__ import annotations

import torch


def held(module, part, before):
    """A norm of transformers or torch on a part, with the deviation that its whole input has; without its bias."""
    if isinstance(module, torch.nn.LayerNorm):
        deviation = (before.var(unbiased=False) + module.eps).sqrt()
        return (part - part.mean()) / deviation * module.weight
    return part / (before.square().mean() + module.variance_epsilon).sqrt() * module.weight


def bert_parts(hf, index, hidden, weights):
    """norm1(part) (N, N, D), norm1's output, and the inputs of norm2 and of norm1 (N, D) of one sentence."""
    layer = hf.bert.encoder.layer[index]
    attention, output = layer.attention.self, layer.attention.output
    value = attention.value(hidden).unflatten(-1, (attention.num_attention_heads, -1))
    n, width = hidden.shape
    size = width // attention.num_attention_heads
    parts = torch.zeros(n, n, width, dtype=hidden.dtype)
    for i in range(n):
        for j in range(n):
            for head in range(attention.num_attention_heads):
                block = output.dense.weight[:, head * size : (head + 1) * size]
                parts[i, j] += weights[head, i, j] * block @ value[j, head]
        parts[i, i] += hidden[i]
    before = parts.sum(1) + output.dense.bias
    for i in range(n):
        for j in range(n):
            parts[i, j] = held(output.LayerNorm, parts[i, j].clone(), before[i])
    middle = output.LayerNorm(before)
    return parts, middle, layer.output.dense(layer.intermediate(middle)) + middle, before


def llama_parts(hf, index, hidden, weights):
    """Parts of the residual after attention (N, N, D), and that residual (N, D)."""
    layer, config = hf.model.layers[index], hf.config
    group = config.num_attention_heads // config.num_key_value_heads
    normed = torch.stack([held(layer.input_layernorm, x, x) for x in hidden])  # transformers computes it in float32
    value = layer.self_attn.v_proj(normed).unflatten(-1, (config.num_key_value_heads, -1))
    n, size = len(hidden), value.shape[-1]
    parts = torch.zeros(n, n, hidden.shape[1], dtype=hidden.dtype)
    for i in range(n):
        for j in range(n):
            for head in range(config.num_attention_heads):
                block = layer.self_attn.o_proj.weight[:, head * size : (head + 1) * size]
                parts[i, j] += weights[head, i, j] * block @ value[j, head // group]
        parts[i, i] += hidden[i]
    return parts, parts.sum(1)


def clean_sites(model, single):
    """hidden[l] (N, D) and attention weights (A, N, N) of each layer of a single sentence."""
    from flowgauge.models.batch import Rows

    start = model.embed(model.words(single), single)
    (trace,) = model.run(Rows(single, start), keep={"hidden", "attention"})
    hidden = [trace.site("hidden", layer)[0] for layer in range(model.n_layers + 1)]
    return hidden, [trace.site("attention", layer)[0] for layer in range(model.n_layers)]
