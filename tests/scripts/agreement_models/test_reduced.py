"""Training sentences of which states are replaced."""

from __future__ import annotations

import random

import torch

from agreement_models.reduced import RobustRecipe, reduced_states, trainable
from flowgauge.models.load import load_model

TOKENS = torch.tensor([[2, 9, 10, 11, 3], [2, 12, 13, 3, 0]])


def test_training_ends_before_its_schedule_does() -> None:
    assert (RobustRecipe().updates, RobustRecipe(steps=2).updates) == (1000, 2)
    assert RobustRecipe(until=10).rate_at(9) == RobustRecipe().rate_at(9)


def test_states_are_replaced_as_the_recipe_says_and_weights_receive_gradients() -> None:
    flow = trainable(load_model("agreement-bert"))
    whole = flow.hf(input_ids=TOKENS, attention_mask=(TOKENS != 0).long(), output_hidden_states=True).hidden_states[-1]
    none = reduced_states(flow, TOKENS, TOKENS != 0, RobustRecipe(replaced_share=0.0), random.Random(0))
    assert torch.allclose(none[TOKENS != 0], whole[TOKENS != 0], atol=1e-4)
    every = RobustRecipe(replaced_share=1.0, replaced_rate=1.0)
    one, same, other = (reduced_states(flow, TOKENS, TOKENS != 0, every, random.Random(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.allclose(one, other) and not torch.allclose(one, none)
    one.square().sum().backward()
    assert flow.word_embedding.weight.grad is not None and flow.word_embedding.weight.grad.abs().sum() > 0
