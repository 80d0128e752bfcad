"""The embedded model: it loads, knows every task word as one token, and does as well as its card says."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from flowgauge.core.errors import UnknownName, UsageError
from flowgauge.models.zoo import SUMMARIES, ZOO, zoo_path
from flowgauge.models.zoo.card import Accuracy, card, correct, wilson
from flowgauge.models.zoo.grammar import load_grammar
from flowgauge.models.zoo.train_agreement_bert import (
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
from flowgauge.tasks.agreement import AgreementTask
from flowgauge.tasks.lexicon import templates

FOLDER = ZOO["agreement-bert"]


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any]:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    return AutoModelForMaskedLM.from_pretrained(FOLDER, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(FOLDER)


def test_the_zoo_names_folders_that_hold_a_checkpoint() -> None:
    assert list(ZOO) == list(SUMMARIES) == ["agreement-bert"]
    assert zoo_path("agreement-bert") == FOLDER
    assert {p.name for p in FOLDER.iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
        "recipe.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert (FOLDER / "model.safetensors").stat().st_size <= 5_000_000
    with pytest.raises(UnknownName, match="no embedded model is called 'agreement': did you mean agreement-bert"):
        zoo_path("agreement")


def test_it_is_the_model_that_the_card_describes(loaded: tuple[Any, Any]) -> None:
    model, _ = loaded
    config = model.config
    assert config.architectures == ["BertForMaskedLM"]
    assert (config.num_hidden_layers, config.num_attention_heads, config.hidden_size, config.intermediate_size) == (
        6,
        8,
        128,
        512,
    )
    assert config.max_position_embeddings == 32
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert json.loads((FOLDER / "recipe.json").read_text()) == asdict(PretrainingConfig())


def test_every_word_of_every_task_is_one_token(loaded: tuple[Any, Any]) -> None:
    _, tokenizer = loaded
    for template in templates().values():
        for word in template.vocabulary():
            ids = tokenizer(word, add_special_tokens=False)["input_ids"]
            assert len(ids) == 1
            assert ids != [tokenizer.unk_token_id]


def test_the_tokenizer_is_like_berts(loaded: tuple[Any, Any]) -> None:
    _, tokenizer = loaded
    one = tokenizer("The author [MASK] Tall.", return_offsets_mapping=True)
    assert tokenizer.convert_ids_to_tokens(one["input_ids"]) == ["[CLS]", "the", "author", "[MASK]", "tall", ".", "[SEP]"]
    assert one["offset_mapping"] == [(0, 0), (0, 3), (4, 10), (11, 17), (18, 22), (22, 23), (0, 0)]
    two = tokenizer("the king", "the zebra")
    assert tokenizer.convert_ids_to_tokens(two["input_ids"]) == ["[CLS]", "the", "king", "[SEP]", "the", "[UNK]", "[SEP]"]
    assert two["token_type_ids"] == [0, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("name", list(templates()))
def test_held_out_accuracy_is_within_the_cards_interval(loaded: tuple[Any, Any], name: str) -> None:
    row = re.search(rf"\| `{name}` \| 1000 \| ([\d.]+) \| ([\d.]+) to ([\d.]+) \|", (FOLDER / "README.md").read_text())
    assert row is not None
    claimed, low, high = map(float, row.groups())
    assert low <= claimed <= high
    right = correct(*loaded, AgreementTask(name).instances("test", 20, 77))
    assert low <= sum(right) / len(right) <= high


@pytest.mark.parametrize("name", list(templates()))
def test_the_flow_model_agrees(agreement_model: Any, name: str) -> None:
    from flowgauge.models.inputs.encode import batches
    from flowgauge.models.outputs import value

    encoded = batches(agreement_model, AgreementTask(name).instances("test", 20, 3))
    assert encoded.skipped == ()
    with torch.no_grad():
        assert all((value(agreement_model.outputs(batch), batch) > 0).all() for batch in encoded.batches)


def test_wilson_has_its_textbook_values() -> None:
    assert [round(x, 4) for x in wilson(8, 10)] == [0.4902, 0.9433]
    assert [round(x, 4) for x in wilson(0, 20)] == [0.0, 0.1611]


def test_the_card_tells_each_task_and_condition() -> None:
    text = card(asdict(PretrainingConfig(steps=7)), [Accuracy("sva/obj", "SS", 250, 250), Accuracy("sva/obj", "SP", 200, 250)])
    assert "| `sva/obj` | 500 | 0.900 | 0.871 to 0.923 | SS 1.000, SP 0.800 |" in text
    assert "--steps 7 --seed 0" in text


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
    monkeypatch.setattr("flowgauge.models.zoo.train_agreement_bert.EVERY", 2)
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
    monkeypatch.setattr("flowgauge.models.zoo.train_agreement_bert.save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
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
