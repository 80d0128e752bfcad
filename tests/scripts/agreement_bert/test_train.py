"""What agreement-bert is trained on: masked sentences."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

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
)
from agreement_models.grammar import load_grammar


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


@pytest.mark.slow
def test_the_command_trains_measures_and_writes_the_card(tmp_path: Path) -> None:
    main(["--out", str(tmp_path), "--steps", "2"])
    text = (tmp_path / "README.md").read_text()
    main(["--out", str(tmp_path), "--evaluate"])
    assert (tmp_path / "README.md").read_text() == text
    assert "--steps 2 --seed 0" in text
