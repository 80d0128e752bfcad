"""Training agreement-gpt2-plain further: from its weights, as a seed decides, with the plain loss where nothing is replaced."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from agreement_gpt2.robust import START, RobustNextWordConfig, train
from agreement_gpt2.train import next_word_loss, weighted_batch
from agreement_models.grammar import load_grammar
from flowgauge.models.load import load_model
from flowgauge.models.zoo import ZOO


def test_it_starts_from_the_embedded_model_and_a_seed_decides_the_weights(tmp_path: Path) -> None:
    recipe = RobustNextWordConfig(until=2, batch=4)
    first, second = (load_file(_trained(tmp_path / str(n), recipe)) for n in range(2))
    start = load_file(ZOO[START] / "model.safetensors")
    assert first.keys() == start.keys()
    assert all(torch.equal(first[name], second[name]) for name in start)
    name = "transformer.h.0.attn.c_attn.weight"
    assert 0 < (first[name].float() - start[name].float()).abs().max() < 1e-3  # two updates at the beginning of the warm-up


def test_without_replaced_states_the_loss_is_that_of_the_whole_model(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recipe = RobustNextWordConfig(until=100, batch=2, rate=0.0, replaced_share=0.0)
    with caplog.at_level(logging.INFO):
        train(tmp_path, recipe)
    (line,) = [message for message in caplog.messages if message.startswith("step 100 of 100")]
    rng, grammar, model = random.Random(f"{recipe.seed}/99"), load_grammar(), load_model(START)
    sentences = [grammar.sentence(rng) for _ in range(2)]
    with torch.no_grad():
        expected = next_word_loss(model.hf, *weighted_batch(sentences, model.tokenizer.get_vocab(), recipe.weight))
    assert float(line.split("loss ")[1].split(",")[0]) == pytest.approx(expected.item(), abs=1e-4)


def _trained(out: Path, recipe: RobustNextWordConfig) -> Path:
    train(out, recipe)
    return out / "model.safetensors"
