"""ModernBERT: logits, alternating attention, and a classifier of the mean that is refused."""

from __future__ import annotations

import pytest
import torch

from flowgauge.core.errors import UsageError

TOLERANCE = 1e-6  # transformers turns queries and keys in float32


@pytest.mark.parametrize("sizes", [{}, {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "classifier_bias": True}])
def test_logits_equal_the_hugging_face_model(logits_equal, sizes) -> None:
    logits_equal("modernbert", TOLERANCE, **sizes)


def test_every_third_layer_sees_all_tokens_and_the_others_a_window(models) -> None:
    model = models("modernbert", num_hidden_layers=4, layer_types=None, local_attention=6)
    assert [layer.attention.window for layer in model.layers] == [None, 4, 4, None]  # up to three tokens away
    assert [layer.norm1 is None for layer in model.layers] == [True, False, False, False]
    far, near = (model.layers[k].attention.rotary.at(torch.zeros(1), torch.tensor([7])).cos for k in (0, 1))
    assert (far - near).abs().max() > 1e-6
    assert model.max_tokens == 8192


def test_a_classifier_of_the_mean_is_refused(models) -> None:
    with pytest.raises(UsageError, match="'tiny-modernbert' classifies the mean of all tokens"):
        models("modernbert", "label", classifier_pooling="mean")
    assert models("modernbert", classifier_pooling="mean").head == "masked"
