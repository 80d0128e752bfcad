"""OPT: logits with norms before and after each block, narrow word vectors, and norms without weights."""

from __future__ import annotations

import pytest

VARIANTS = [
    {},
    {"do_layer_norm_before": False},
    {"word_embed_proj_dim": 8},
    {"layer_norm_elementwise_affine": False, "enable_bias": False},
]


@pytest.mark.parametrize("sizes", VARIANTS, ids=str)
def test_logits_equal_the_hugging_face_model(logits_equal, sizes) -> None:
    logits_equal("opt", 1e-6, **sizes)
