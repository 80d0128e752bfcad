"""One adapter a model family: which of the Hugging Face model's own submodules are words, embedding, layers and readout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...core.errors import UsageError
from ...tasks.instance import Head
from ..batch import Batch
from .layer import PostNorm

At = Float[Tensor, "*rows hidden"]


@dataclass(frozen=True, eq=False)
class Parts:
    """A model taken apart.

    Attributes:
        word_embedding: The lookup table (E wide).
        embed: Word vectors to hidden[0]: position and type embeddings, norm, and ELECTRA's widening.
        layers: One `Layer` a layer.
        readout: hidden[L] to logits: at the target, or of a span head (start, end) at every position.
        head: What the readout predicts.
    """

    word_embedding: nn.Embedding
    embed: Callable[[Tensor, Batch], Tensor]
    layers: tuple[PostNorm, ...]
    readout: Callable[[At], Tensor]
    head: Head


def _bert_layers(encoder: Any, heads: int) -> tuple[PostNorm, ...]:
    """BERT's module names, which RoBERTa and ELECTRA share."""
    layers = []
    for y in encoder.layer:
        a, o = y.attention.self, y.attention.output
        inner, act, outer = y.intermediate.dense, y.intermediate.intermediate_act_fn, y.output.dense
        layers.append(
            PostNorm(a.query, a.key, a.value, o.dense, o.LayerNorm, inner, act, outer, y.output.LayerNorm, heads, a.scaling)
        )
    return tuple(layers)


def _on_first(head: Callable[[Tensor], Tensor]) -> Callable[[At], Tensor]:
    """Some heads read features[:, 0] themselves: give them a sequence of one."""
    return lambda x: head(x[:, None])


def bert(hf: Any) -> Parts:
    """BERT with a masked-LM, classification or span head."""
    base = hf.bert
    head: Head
    if hasattr(hf, "qa_outputs"):
        head, readout = "span", hf.qa_outputs
    elif hasattr(hf, "cls"):
        head, readout = "masked", hf.cls.predictions
    else:
        head, readout = "label", lambda x: hf.classifier(base.pooler(x[:, None]))
    return Parts(
        base.embeddings.word_embeddings,
        lambda words, batch: base.embeddings(inputs_embeds=words, token_type_ids=batch.token_type_ids),
        _bert_layers(base.encoder, hf.config.num_attention_heads),
        readout,
        head,
    )


def roberta(hf: Any) -> Parts:
    """RoBERTa with a masked-LM, classification or span head. Positions count real tokens from padding_idx + 1."""
    base = hf.roberta
    offset = base.embeddings.padding_idx

    def embed(words: Tensor, batch: Batch) -> Tensor:
        positions = torch.cumsum(batch.attention_mask, 1) * batch.attention_mask + offset
        out: Tensor = base.embeddings(
            inputs_embeds=words, token_type_ids=torch.zeros_like(batch.token_type_ids), position_ids=positions
        )
        return out

    layers = _bert_layers(base.encoder, hf.config.num_attention_heads)
    if hasattr(hf, "qa_outputs"):
        return Parts(base.embeddings.word_embeddings, embed, layers, hf.qa_outputs, "span")
    if hasattr(hf, "lm_head"):
        return Parts(base.embeddings.word_embeddings, embed, layers, hf.lm_head, "masked")
    return Parts(base.embeddings.word_embeddings, embed, layers, _on_first(hf.classifier), "label")


def electra(hf: Any) -> Parts:
    """ELECTRA with a masked-LM, classification or span head. Words may be narrower than hidden states."""
    base = hf.electra
    widen = getattr(base, "embeddings_project", lambda x: x)
    layers = _bert_layers(base.encoder, hf.config.num_attention_heads)

    def embed(words: Tensor, batch: Batch) -> Tensor:
        out: Tensor = widen(base.embeddings(inputs_embeds=words, token_type_ids=batch.token_type_ids))
        return out

    if hasattr(hf, "qa_outputs"):
        return Parts(base.embeddings.word_embeddings, embed, layers, hf.qa_outputs, "span")
    if hasattr(hf, "generator_lm_head"):
        readout = lambda x: hf.generator_lm_head(hf.generator_predictions(x))  # noqa: E731
        return Parts(base.embeddings.word_embeddings, embed, layers, readout, "masked")
    return Parts(base.embeddings.word_embeddings, embed, layers, _on_first(hf.classifier), "label")


def distilbert(hf: Any) -> Parts:
    """DistilBERT with a masked-LM, classification or span head. No token types."""
    base = hf.distilbert
    heads = hf.config.n_heads
    layers = tuple(
        PostNorm(
            a.q_lin, a.k_lin, a.v_lin, a.out_lin, y.sa_layer_norm, y.ffn.lin1, y.ffn.activation, y.ffn.lin2, y.output_layer_norm,
            heads, (hf.config.dim // heads) ** -0.5,
        )
        for y in base.transformer.layer
        for a in (y.attention,)
    )  # fmt: skip

    def embed(words: Tensor, batch: Batch) -> Tensor:
        out: Tensor = base.embeddings(None, words, torch.arange(words.shape[1], device=words.device)[None])
        return out

    if hasattr(hf, "qa_outputs"):
        return Parts(base.embeddings.word_embeddings, embed, layers, hf.qa_outputs, "span")
    if hasattr(hf, "vocab_projector"):
        readout = lambda x: hf.vocab_projector(hf.vocab_layer_norm(hf.activation(hf.vocab_transform(x))))  # noqa: E731
        return Parts(base.embeddings.word_embeddings, embed, layers, readout, "masked")
    readout = lambda x: hf.classifier(torch.relu(hf.pre_classifier(x)))  # noqa: E731
    return Parts(base.embeddings.word_embeddings, embed, layers, readout, "label")


FAMILIES: dict[str, Callable[[Any], Parts]] = {"bert": bert, "roberta": roberta, "electra": electra, "distilbert": distilbert}


def take_apart(hf: Any, name: str) -> Parts:
    """The parts of a Hugging Face model; refuses families and variants whose loop would differ."""
    kind = hf.config.model_type
    if kind not in FAMILIES:
        raise UsageError(f"model {name!r} is of family {kind!r}; flowgauge has adapters for {', '.join(sorted(FAMILIES))}.")
    if getattr(hf.config, "is_decoder", False) or getattr(hf.config, "add_cross_attention", False):
        raise UsageError(
            f"model {name!r} is configured as a decoder (is_decoder or add_cross_attention); only encoders are supported."
        )
    if kind == "bert" and getattr(hf, "cls", True) is not True and not hasattr(hf.cls, "predictions"):
        raise UsageError(f"model {name!r} is a {type(hf).__name__}: expected a masked-LM, sequence-classification or span head.")
    if hasattr(hf, "qa_outputs") and hf.qa_outputs.out_features != 2:
        raise UsageError(f"model {name!r} has {hf.qa_outputs.out_features} span outputs; expected 2, start and end.")
    return FAMILIES[kind](hf)


def most_tokens(hf: Any) -> int | None:
    """The most tokens a Hugging Face model has positions for, None where it states none; RoBERTa keeps two for padding."""
    limit = getattr(hf.config, "max_position_embeddings", None)
    return limit - (2 if hf.config.model_type == "roberta" else 0) if limit else None
