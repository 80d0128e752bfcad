"""Training that is interrupted goes on as if it was not; the seed alone decides the weights."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from agreement_models.grammar import GrammarSentence, load_grammar
from agreement_models.recipe import Recipe
from agreement_models.tokenizer import word_tokenizer
from agreement_models.training import seeded, train_model
from flowgauge.core.errors import UsageError

TOKENIZER = word_tokenizer(load_grammar(), {"pad": "<pad>", "unk": "<unk>"}, "$A", "$A $B", ("input_ids",))
CONFIG = GPT2Config(
    vocab_size=len(TOKENIZER), n_positions=32, n_embd=4, n_layer=1, n_head=1, embd_pdrop=0.0, attn_pdrop=0.0, resid_pdrop=0.0
)
Train = Callable[[Path, int], Any]


def first_word_loss(model: Any, sentences: Sequence[GrammarSentence], rng: random.Random) -> torch.Tensor:
    """Of a random word of each sentence, so that it draws from the generator."""
    words = [rng.choice(sentence.words) for sentence in sentences]
    return model(input_ids=torch.tensor([[i, i] for i in TOKENIZER.convert_tokens_to_ids(words)])).logits.square().mean()


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Train:
    """Trains a tiny model for some steps, with checkpoints at every second one."""
    monkeypatch.setattr("agreement_models.training.EVERY", 2)

    def run(out: Path, steps: int) -> Any:
        recipe = Recipe(steps=steps, batch=2, warmup=2)
        return train_model(out, recipe, seeded(GPT2LMHeadModel, CONFIG, 0), TOKENIZER, first_word_loss)

    return run


def test_the_seed_decides_the_first_weights_and_leaves_torchs_generator_alone() -> None:
    before = torch.get_rng_state()
    one, same, other = (seeded(GPT2LMHeadModel, CONFIG, seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["transformer.wte.weight"], other["transformer.wte.weight"])


def test_training_that_was_interrupted_goes_on_as_if_it_was_not(
    tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(tmp_path / "whole", 4).state_dict()
    rate_at = Recipe.rate_at

    def stop(self: Recipe, step: int) -> float:
        if step == 3:
            raise KeyboardInterrupt
        return rate_at(self, step)

    monkeypatch.setattr(Recipe, "rate_at", stop)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", 4)
    monkeypatch.setattr(Recipe, "rate_at", rate_at)
    parts = train(tmp_path / "parts", 4).state_dict()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert sorted(p.name for p in (tmp_path / "parts").iterdir()) == sorted(p.name for p in (tmp_path / "whole").iterdir())
    untrained = seeded(GPT2LMHeadModel, CONFIG, 0).state_dict()
    assert not torch.equal(whole["transformer.wte.weight"], untrained["transformer.wte.weight"])


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agreement_models.training.save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, 2)
    with pytest.raises(UsageError, match=r"checkpoint\.pt belongs to another recipe"):
        train(tmp_path, 3)
