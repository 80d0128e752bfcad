"""The embedded model: it loads, knows every task word as one token, and does as well as its card says."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from agreement_bert.grammar import load_grammar
from agreement_bert.train import (
    CLS,
    IGNORED,
    MASK,
    PAD,
    SEP,
    PretrainingConfig,
    main,
    make_tokenizer,
    masked_batch,
    train,
)
from flowgauge.core.errors import UsageError


def test_masked_batches_hide_words_as_the_recipe_says() -> None:
    grammar = load_grammar()
    ids, rng = make_tokenizer(grammar).get_vocab(), random.Random(0)
    sentences = [grammar.sentence(rng) for _ in range(400)]
    tokens, labels = masked_batch(sentences, ids, PretrainingConfig(cued=1.0), rng)
    for row, sentence in enumerate(sentences):
        hidden = (labels[row] != IGNORED).nonzero().flatten().tolist()
        full = [CLS, *(ids[w] for w in sentence.words), SEP] + [PAD] * (tokens.shape[1] - len(sentence.words) - 2)
        restored = [full[i] if i in hidden else int(t) for i, t in enumerate(tokens[row])]
        assert restored == full
        assert all(labels[row, i] == full[i] for i in hidden)
        if sentence.agreeing:
            assert len(hidden) == 1
            assert hidden[0] - 1 in sentence.agreeing
            assert tokens[row, hidden[0]] == MASK
    _, labels = masked_batch(sentences, ids, PretrainingConfig(cued=0.0, random_share=0.5), rng)
    words = sum(len(s.words) for s in sentences)
    assert 0.46 < (labels != IGNORED).sum().item() / words < 0.54


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    recipe = PretrainingConfig(steps=300, warmup=100, rate=1.0)
    assert [round(recipe.rate_at(s), 4) for s in (0, 49, 99, 100, 200, 300)] == [0.01, 0.5, 1.0, 1.0, 0.5, 0.0]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[..., PretrainingConfig]:
    """A recipe that takes a second, with checkpoints at every second step."""
    monkeypatch.setattr("agreement_bert.train.EVERY", 2)
    return lambda steps: PretrainingConfig(steps=steps, batch=2, warmup=2)


@pytest.mark.slow
def test_training_that_was_interrupted_goes_on_as_if_it_was_not(
    tmp_path: Path, small: Callable[..., PretrainingConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(tmp_path / "whole", small(4)).state_dict()
    rate_at = PretrainingConfig.rate_at

    def stop(self: PretrainingConfig, step: int) -> float:
        if step == 3:
            raise KeyboardInterrupt
        return rate_at(self, step)

    monkeypatch.setattr(PretrainingConfig, "rate_at", stop)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", small(4))
    monkeypatch.setattr(PretrainingConfig, "rate_at", rate_at)
    parts = train(tmp_path / "parts", small(4)).state_dict()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert sorted(p.name for p in (tmp_path / "parts").iterdir()) == sorted(p.name for p in (tmp_path / "whole").iterdir())


def test_a_checkpoint_of_another_recipe_is_refused(
    tmp_path: Path, small: Callable[..., PretrainingConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agreement_bert.train.save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, small(2))
    with pytest.raises(UsageError, match=r"checkpoint\.pt belongs to another recipe"):
        train(tmp_path, small(3))


@pytest.mark.slow
def test_the_command_trains_measures_and_writes_the_card(tmp_path: Path) -> None:
    main(["--out", str(tmp_path), "--steps", "2"])
    text = (tmp_path / "README.md").read_text()
    main(["--out", str(tmp_path), "--evaluate"])
    assert (tmp_path / "README.md").read_text() == text
    assert "--steps 2 --seed 0" in text
