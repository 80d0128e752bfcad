"""ALBERT: logits, layers that share weights, groups of several layers."""

from __future__ import annotations

import pytest
import torch


@pytest.mark.parametrize("sizes", [{}, {"num_hidden_groups": 3}])
def test_logits_equal_the_hugging_face_model(logits_equal, sizes) -> None:
    logits_equal("albert", **sizes)


def test_a_groups_layers_stand_one_after_another_and_groups_share_the_depth(models, batches) -> None:
    model = models("albert", num_hidden_layers=4, num_hidden_groups=2, inner_group_num=2)
    first, second = (list(group.albert_layers) for group in model.hf.albert.encoder.albert_layer_groups)
    order = [layer.ff.inner for layer in model.layers]
    assert order == [layer.ffn for group in (first, first, second, second) for layer in group]
    batch = batches(model, [6, 5])
    with torch.no_grad():
        expected = model.hf(input_ids=batch.ids, attention_mask=batch.attention_mask.long()).logits[:, 2]
    assert (model.outputs(batch)[0] - expected).abs().max() < 1e-10 * expected.abs().max()


def test_word_vectors_are_narrow_and_layers_are_one(models, batches) -> None:
    model = models("albert", max_position_embeddings=40)
    assert model.words(batches(model, [5])).shape == (1, 5, 8)
    assert len({id(layer.attention) for layer in model.layers}) == 1 and model.n_layers == 3
    assert model.max_tokens == 40
