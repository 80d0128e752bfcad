"""DeBERTa v2 and v3: logits with every kind of distances, both masked-LM heads, and variants that are refused."""

from __future__ import annotations

import pytest
import torch

from flowgauge.core.errors import UsageError
from flowgauge.models.families.registry import model_parts

TOLERANCE = 1e-6  # transformers computes the scale in float32
KINDS = {
    "v3": {},
    "new head": {"legacy": False},
    "own projections": {"share_att_key": False},
    "content to position alone": {"pos_att_type": "c2p", "share_att_key": False},
    "position to content alone": {"pos_att_type": "p2c"},
    "no buckets": {"position_buckets": -1, "max_relative_positions": 3, "norm_rel_ebd": "none"},
    "absolute positions": {"relative_attention": False, "position_biased_input": True, "type_vocab_size": 2},
    "narrow word vectors": {"embedding_size": 8},
}


@pytest.mark.parametrize("kind", KINDS)
def test_logits_equal_the_hugging_face_model(logits_equal, kind) -> None:
    logits_equal("deberta-v2", TOLERANCE, **KINDS[kind])


def test_long_sentences_share_buckets_and_end_at_the_last(models, batches) -> None:
    model = models("deberta-v2", position_buckets=8, max_relative_positions=12)
    batch = batches(model, [40, 33])
    with torch.no_grad():
        expected = model.hf(input_ids=batch.ids, attention_mask=batch.attention_mask.long()).logits[:, 2]
    assert (model.outputs(batch)[0] - expected).abs().max() < TOLERANCE * expected.abs().max()


def test_a_convolution_and_a_last_layer_that_runs_again_are_refused(models) -> None:
    with pytest.raises(UsageError, match="'tiny-deberta-v2' mixes positions by a convolution"):
        models("deberta-v2", conv_kernel_size=3, conv_act="gelu")
    hf = models("deberta-v2").hf
    hf.deberta.z_steps = 2
    with pytest.raises(UsageError, match="'x' runs its last layer again"):
        model_parts(hf, "x")
