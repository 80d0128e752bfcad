"""The tokenizer of the embedded models, and the folder that is written."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from agreement_models.grammar import load_grammar
from agreement_models.recipe import Recipe
from agreement_models.tokenizer import save, word_tokenizer

SPECIAL = {"pad": "<pad>", "unk": "<unk>", "bos": "<bos>"}


def test_every_word_of_the_grammar_is_one_token_and_comes_back() -> None:
    tokenizer = word_tokenizer(load_grammar(), SPECIAL, "<bos> $A", "<bos> $A $B", ("input_ids", "attention_mask"))
    words = load_grammar().vocabulary()
    ids = tokenizer(" ".join(words))["input_ids"]
    assert ids == [2, *range(3, 3 + len(words))] and len(tokenizer) == 3 + len(words)
    assert tokenizer.convert_ids_to_tokens(ids[1:]) == list(words)
    assert tokenizer("The zebra,")["input_ids"] == [2, ids[1 + words.index("the")], 1, 1]
    assert tokenizer("king", "queen")["input_ids"] == [2, *(ids[1 + words.index(w)] for w in ("king", "queen"))]


def test_the_folder_is_a_checkpoint_in_float16_with_its_recipe(tmp_path: Path) -> None:
    tokenizer = word_tokenizer(load_grammar(), SPECIAL, "<bos> $A", "<bos> $A $B", ("input_ids", "attention_mask"))
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_positions=8, n_embd=4, n_layer=1, n_head=1))
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    save(model, tokenizer, Recipe(steps=3), tmp_path / "new")
    assert json.loads((tmp_path / "new/recipe.json").read_text())["steps"] == 3
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    stored = AutoModelForCausalLM.from_pretrained(tmp_path / "new", dtype=torch.float32).state_dict()
    assert all(torch.equal(stored[name], value.half().float()) for name, value in weights.items())
    assert AutoTokenizer.from_pretrained(tmp_path / "new")("the king")["input_ids"] == tokenizer("the king")["input_ids"]
