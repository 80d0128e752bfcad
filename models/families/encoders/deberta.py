"""DeBERTa v2 and v3 with a masked-LM, classification or span head (He et al. 2021; He et al. 2023)."""

from __future__ import annotations

from typing import Any

from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

from ....core.errors import UsageError
from ...layers.norms import Norm, layer_norm_of
from ...layers.post_norm import PostNorm
from ...layers.relative import Disentangled
from ...layers.self_attention import SelfAttention
from ..base import ModelParts
from .encoder import bert_layer, encoder_parts


def deberta_parts(hf: Any, name: str) -> ModelParts:
    """The parts of a DeBERTa, whose positions are distances that queries and keys are multiplied with.

    Raises:
        UsageError: A convolution beside the first layer, a last layer that runs several times, or what `encoder_parts` refuses.
    """
    base, encoder = hf.deberta, hf.deberta.encoder
    if encoder.conv is not None or base.z_steps > 1:
        kind = "mixes positions by a convolution (conv_kernel_size)" if encoder.conv else "runs its last layer again (z_steps)"
        raise UsageError(f"model {name!r} {kind}, which is no attention: choose a DeBERTa of size base or large.")
    norm = layer_norm_of(encoder.LayerNorm) if "layer_norm" in encoder.norm_rel_ebd else None
    masked = hf.cls.predictions if hasattr(hf, "cls") else None
    if hasattr(hf, "lm_predictions"):
        masked = lambda x: hf.lm_predictions(x, base.embeddings.word_embeddings)  # noqa: E731
    return encoder_parts(
        hf,
        name,
        word_embedding=base.embeddings.word_embeddings,
        embed=lambda words, batch: base.embeddings(
            inputs_embeds=words, token_type_ids=batch.token_type_ids, position_ids=batch.positions
        ),
        layers=tuple(_layer(layer, encoder, norm) for layer in encoder.layer),
        masked=masked,
        label=lambda x: hf.classifier(hf.pooler(x[:, None])),
    )


def _layer(layer: Any, encoder: Any, norm: Norm | None) -> PostNorm:
    own, output = layer.attention.self, layer.attention.output
    kinds, heads, shared = own.pos_att_type, own.num_attention_heads, own.share_att_key
    scale = (own.attention_head_size * (1 + ("c2p" in kinds) + ("p2c" in kinds))) ** -0.5
    relative = None
    if own.relative_attention:
        size, most = own.position_buckets, own.max_relative_positions
        log_bucket = lambda apart: make_log_bucket_position(apart, size, most).long()  # noqa: E731
        keys = getattr(own, "key_proj" if shared else "pos_key_proj") if "c2p" in kinds else None
        queries = getattr(own, "query_proj" if shared else "pos_query_proj") if "p2c" in kinds else None
        bucket = log_bucket if size > 0 else lambda apart: apart
        relative = Disentangled(encoder.rel_embeddings, norm, bucket, keys, queries, heads, scale)
    attention = SelfAttention(own.query_proj, own.key_proj, own.value_proj, output.dense, heads, scale, relative=relative)
    return bert_layer(layer, attention, output.LayerNorm)
