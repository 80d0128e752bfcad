"""What the decoder families share: the choice of the head, and layers with Llama's module names."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ....core.errors import UsageError
from ....tasks.instance import Head
from ...layers.base import Layer
from ...layers.feed_forward import FeedForward
from ...layers.norms import Norm, rms_norm_of
from ...layers.pre_norm import PreNorm
from ...layers.rotary import Rotary
from ...layers.self_attention import SelfAttention
from ..base import Embed, ModelParts, Readout
from ..encoders.encoder import explained_problem_type

HEADS = "a next-token, sequence-classification or span head"


def decoder_parts(
    hf: Any,
    name: str,
    *,
    word_embedding: nn.Embedding,
    embed: Embed,
    layers: tuple[Layer, ...],
    norm: Readout,
    max_tokens: int | None,
    cap: float | None = None,
) -> ModelParts:
    """The parts of a decoder with the head that it has: next token, a label of the last token, or the ends of a span.

    Args:
        hf: The Hugging Face model.
        name: What messages call it.
        word_embedding: Its table of word vectors.
        embed: Word vectors to hidden[0].
        layers: First to last.
        norm: What stands between hidden[L] and the head.
        max_tokens: The most tokens that it has positions for; None: any number.
        cap: Logits z of the next token become cap tanh(z / cap); None: they stay.

    Raises:
        UsageError: Another head, or attention to a second sequence.
    """
    if getattr(hf.config, "add_cross_attention", False):
        raise UsageError(
            f"model {name!r} attends to a second sequence (add_cross_attention): choose a decoder that reads one text."
        )
    heads: dict[str, Head] = {"qa_outputs": "span", "score": "label", "lm_head": "next"}
    found = next((key for key in heads if hasattr(hf, key)), None)
    if found is None or hasattr(hf, "multiple_choice_head"):
        raise UsageError(f"model {name!r} is a {type(hf).__name__}: expected {HEADS}.")
    module = getattr(hf, found)

    def readout(hidden: Tensor) -> Tensor:
        logits: Tensor = module(norm(hidden))
        return logits if cap is None or found != "lm_head" else cap * torch.tanh(logits / cap)

    head = heads[found]
    return ModelParts(
        word_embedding=word_embedding,
        embed=embed,
        layers=layers,
        readout=readout,
        head=head,
        n_heads=layers[0].attention.heads,
        width=hf.config.hidden_size,
        inner_width=layers[0].ff.inner.weight.shape[0],
        max_tokens=max_tokens,
        problem_type=explained_problem_type(hf.config, name) if head == "label" else "single_label_classification",
        reads_last_token=head != "span",
    )


def base_of(hf: Any, name: str) -> Any:
    """The decoder below the head.

    Raises:
        UsageError: There is no head.
    """
    if not hasattr(hf, hf.base_model_prefix):
        raise UsageError(f"model {name!r} is a {type(hf).__name__}: expected {HEADS}.")
    return getattr(hf, hf.base_model_prefix)


def llama_layer(layer: Any, config: Any, index: int, rotary: Rotary, shift: float = 0.0, cap: float | None = None) -> PreNorm:
    """A layer with Llama's module names: RMSNorm, rotary positions, grouped heads and a gated feed-forward block.

    Norms of queries and keys (Qwen 3, Gemma 3), norms after each block (Gemma 2 and 3) and a sliding window are used where the
    layer has them.

    Args:
        layer: The layer of transformers.
        config: The model's configuration.
        index: Which of the layers it is.
        rotary: The turn of queries and keys.
        shift: Added to the weights of its norms.
        cap: Soft cap of its scores, or None.
    """
    attention, mlp = layer.self_attn, layer.mlp
    norm = lambda owner, key: _norm(getattr(owner, key, None), shift)  # noqa: E731
    sandwiched = hasattr(layer, "pre_feedforward_layernorm")
    norm2 = norm(layer, "pre_feedforward_layernorm" if sandwiched else "post_attention_layernorm")
    assert norm2 is not None
    kinds = getattr(config, "layer_types", None)
    slides = kinds is None or kinds[index] == "sliding_attention"
    return PreNorm(
        attention=SelfAttention(
            query=attention.q_proj,
            key=attention.k_proj,
            value=attention.v_proj,
            output=attention.o_proj,
            heads=config.num_attention_heads,
            scale=attention.scaling,
            key_heads=config.num_key_value_heads,
            causal=True,
            window=getattr(config, "sliding_window", None) if slides else None,
            cap=cap,
            rotary=rotary,
            query_norm=norm(attention, "q_norm"),
            key_norm=norm(attention, "k_norm"),
        ),
        norm1=norm(layer, "input_layernorm"),
        ff=FeedForward(mlp.gate_proj, mlp.act_fn, mlp.down_proj, gate=mlp.up_proj),
        norm2=norm2,
        post1=norm(layer, "post_attention_layernorm") if sandwiched else None,
        post2=norm(layer, "post_feedforward_layernorm") if sandwiched else None,
    )


def _norm(module: Any, shift: float) -> Norm | None:
    return None if module is None else rms_norm_of(module, shift)
