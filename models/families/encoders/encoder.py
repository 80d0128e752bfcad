"""What the encoder families share: the choice of the head, BERT's module names, and the limit of positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Int
from torch import Tensor, nn

from ....core.errors import UsageError
from ....tasks.instance import Head
from ...batch import Batch
from ...layers.base import Layer
from ...layers.feed_forward import FeedForward
from ...layers.norms import layer_norm_of
from ...layers.post_norm import PostNorm
from ...layers.self_attention import SelfAttention
from ...problem_types import ProblemType, check_problem_type, stated_problem_type
from ..base import Embed, ModelParts, Readout


def encoder_parts(
    hf: Any,
    name: str,
    *,
    word_embedding: nn.Embedding,
    embed: Embed,
    layers: tuple[Layer, ...],
    masked: Readout | None,
    label: Readout,
    span: nn.Linear | None = None,
    norm: Readout | None = None,
    padding_positions: int = 0,
) -> ModelParts:
    """The parts of an encoder with the head that it has.

    Args:
        hf: The Hugging Face model.
        name: What messages call it.
        word_embedding: Its table of word vectors.
        embed: Word vectors to hidden[0].
        layers: First to last.
        masked: The masked-LM head, None if the model has none.
        label: The classification head, read if the model has neither a span head nor a masked-LM head.
        span: The span head, if it is not the model's `qa_outputs`.
        norm: What stands between hidden[L] and every head, or None.
        padding_positions: Rows of the position table that no token can use.

    Raises:
        UsageError: The model is configured as a decoder, its span head has not two outputs, or its classification head has
            outputs that are not explained.
    """
    if getattr(hf.config, "is_decoder", False) or getattr(hf.config, "add_cross_attention", False):
        raise UsageError(
            f"model {name!r} is configured as a decoder (is_decoder or add_cross_attention); only encoders are supported."
        )
    span = getattr(hf, "qa_outputs", span)
    if span is not None and span.out_features != 2:
        raise UsageError(f"model {name!r} has {span.out_features} span outputs; expected 2, start and end.")
    head: Head = "span" if span is not None else "label" if masked is None else "masked"
    outputs = span or masked or label
    limit = getattr(hf.config, "max_position_embeddings", None)
    return ModelParts(
        word_embedding=word_embedding,
        embed=embed,
        layers=layers,
        readout=outputs if norm is None else lambda hidden: outputs(norm(hidden)),
        head=head,
        n_heads=layers[0].attention.heads,
        width=hf.config.hidden_size,
        inner_width=layers[0].ff.inner.weight.shape[0],
        max_tokens=limit - padding_positions if limit else None,
        problem_type=explained_problem_type(hf.config, name) if head == "label" else "single_label_classification",
    )


def explained_problem_type(config: Any, name: str) -> ProblemType:
    """What the outputs of a classification head are.

    Raises:
        UsageError: Outputs that are not explained.
    """
    stated = {"id2label": config.id2label, "problem_type": config.problem_type}
    return check_problem_type(*stated_problem_type(stated), name)


def bert_layers(encoder: Any, n_heads: int) -> tuple[PostNorm, ...]:
    """The layers of an encoder with BERT's module names, which RoBERTa and ELECTRA share."""
    return tuple(
        bert_layer(
            layer,
            SelfAttention(
                query=layer.attention.self.query,
                key=layer.attention.self.key,
                value=layer.attention.self.value,
                output=layer.attention.output.dense,
                heads=n_heads,
                scale=layer.attention.self.scaling,
            ),
            layer.attention.output.LayerNorm,
        )
        for layer in encoder.layer
    )


def bert_layer(layer: Any, attention: SelfAttention, norm: Any) -> PostNorm:
    """A layer whose feed-forward block has BERT's module names, from its self-attention and the norm after that."""
    return PostNorm(
        attention=attention,
        norm1=layer_norm_of(norm),
        ff=FeedForward(layer.intermediate.dense, layer.intermediate.intermediate_act_fn, layer.output.dense),
        norm2=layer_norm_of(layer.output.LayerNorm),
    )


def on_first_token(head: Callable[[Tensor], Tensor]) -> Readout:
    """A readout of one state from a head that reads `features[:, 0]` of a sequence."""
    return lambda x: head(x[:, None])


def padded_positions(batch: Batch, padding: int) -> Int[Tensor, "batch tokens"]:
    """Rows of a table of positions whose row `padding` is that of padding: real tokens are counted from `padding` + 1."""
    return batch.attention_mask.cumsum(1) * batch.attention_mask + padding
