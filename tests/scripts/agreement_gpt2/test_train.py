"""What agreement-gpt2 is trained on: whole sentences, in which the words that agree weigh more; training is deterministic."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from torch.nn.functional import log_softmax

from agreement_gpt2.train import (
    BOS,
    EOS,
    PAD,
    UNK,
    NextWordConfig,
    main,
    make_model,
    make_tokenizer,
    next_word_loss,
    train,
    weighted_batch,
)
from agreement_models.grammar import GrammarSentence, load_grammar

SENTENCES = (
    GrammarSentence(("the", "authors", "are", "tall", "."), (2,), ("author",)),
    GrammarSentence(("the", "king", "said", "the", "queen", "is", "old", "."), (5,), ("king", "queen")),
)


def test_special_tokens_have_their_ids() -> None:
    tokenizer = make_tokenizer(load_grammar())
    ids = (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert ids == (PAD, UNK, BOS, EOS) == (0, 1, 2, 3)
    assert tokenizer.mask_token is None


def test_a_batch_has_whole_sentences_whose_agreeing_words_weigh_more() -> None:
    ids = make_tokenizer(load_grammar()).get_vocab()
    tokens, weights = weighted_batch(SENTENCES, ids, 4.0)
    for row, sentence in enumerate(SENTENCES):
        expected = [BOS, *(ids[word] for word in sentence.words), EOS]
        assert tokens[row].tolist() == expected + [PAD] * (tokens.shape[1] - len(expected))
    assert weights.tolist() == [[0, 1, 1, 4, 1, 1, 1, 0, 0, 0], [0, 1, 1, 1, 1, 1, 4, 1, 1, 1]]


def test_the_loss_is_the_weighted_mean_of_surprisals_and_padding_does_not_matter() -> None:
    ids = make_tokenizer(load_grammar()).get_vocab()
    model = make_model(len(ids), 0).eval()
    total = scale = 0.0
    for sentence in SENTENCES:
        row = torch.tensor([[BOS, *(ids[word] for word in sentence.words), EOS]])
        surprisal = -log_softmax(model(input_ids=row).logits[0, :-1], -1).gather(1, row[0, 1:, None])[:, 0]
        heavy = torch.tensor([3.0 if i in sentence.agreeing else 1.0 for i in range(row.shape[1] - 1)])
        total, scale = total + (surprisal * heavy).sum().item(), scale + heavy.sum().item()
    assert next_word_loss(model, *weighted_batch(SENTENCES, ids, 3.0)).item() == pytest.approx(total / scale, rel=1e-5)


def test_the_model_is_causal() -> None:
    ids = make_tokenizer(load_grammar()).get_vocab()
    model = make_model(len(ids), 0).eval()
    long, _ = weighted_batch(SENTENCES[1:], ids, 1.0)
    whole, prefix = model(input_ids=long).logits[:, :4], model(input_ids=long[:, :4]).logits
    assert torch.allclose(whole, prefix, atol=1e-5)


def test_training_twice_gives_the_same_file_and_another_seed_another(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 0), ("other", 1)):
        random.seed(name)
        torch.manual_seed(seed + 5 + len(name))
        train(tmp_path / name, NextWordConfig(seed=seed, steps=3, batch=4, warmup=2))
    one, two, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two", "other"))
    assert one == two and one != other


@pytest.mark.slow
def test_the_command_trains_measures_and_writes_the_card(tmp_path: Path) -> None:
    main(["--out", str(tmp_path), "--steps", "2"])
    text = (tmp_path / "README.md").read_text()
    main(["--out", str(tmp_path), "--evaluate"])
    assert (tmp_path / "README.md").read_text() == text
    assert "--steps 2 --seed 0" in text
