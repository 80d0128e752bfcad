"""RoBERTa: logits, no token types, positions counted after the padding's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch


def test_logits_equal_the_hugging_face_model(logits_equal) -> None:
    logits_equal("roberta")


def test_two_positions_are_the_paddings_and_token_types_are_not_read(models, batches) -> None:
    model = models("roberta", max_position_embeddings=40)
    assert model.max_tokens == 38
    batch = batches(model, [6, 6])
    second = replace(batch, token_type_ids=torch.ones_like(batch.ids), cache={})
    assert torch.equal(model.outputs(batch)[0], model.outputs(second)[0])


@pytest.mark.parametrize("family", ["xlm-roberta", "camembert"])
def test_the_families_with_its_module_names_equal_their_hugging_face_models(logits_equal, family) -> None:
    logits_equal(family)
