"""Small random models: every family with every head that transformers has, and sentences that ask them."""

from __future__ import annotations

import pytest
import torch

from flowgauge.benchmark.conformance.small_models import heads_of, small_instances, small_model
from flowgauge.core.errors import NotApplicable
from flowgauge.models.families.registry import FAMILIES
from flowgauge.models.inputs.encode import encode


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_sentences_ask_every_head(family) -> None:
    for head in heads_of(family):
        model = small_model(family, head)
        assert model.head == head and model.n_layers == 2
        logits = model.outputs(encode(model, small_instances(head)))
        assert all(part.isfinite().any() for part in logits)
        assert torch.equal(logits[0], small_model(family, head).outputs(encode(model, small_instances(head)))[0])


def test_heads_that_transformers_does_not_have_are_not_applicable() -> None:
    with pytest.raises(NotApplicable, match="transformers has no gemma2 with a head for span"):
        small_model("gemma2", "span")
