"""The card's numbers are those of the embedded decoder."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict
from typing import Any

import pytest
import torch

from agreement_gpt2.card import card, correct
from agreement_gpt2.train import NextWordConfig
from flowgauge.models.zoo import ZOO
from flowgauge.tasks.agreement import AgreementTask
from flowgauge.tasks.instance import Instance
from flowgauge.tasks.lexicon import templates

FOLDER = ZOO["agreement-gpt2-plain"]


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(FOLDER)


def test_the_embedded_model_has_the_default_recipe() -> None:
    assert json.loads((FOLDER / "recipe.json").read_text()) == asdict(NextWordConfig())


def test_the_embedded_models_card_is_the_one_that_is_written_now() -> None:
    """All but the table, which holds what was measured."""
    stored = (FOLDER / "README.md").read_text()
    written = card(asdict(NextWordConfig()), [])
    for part in written.split("| task |")[0], "Reproduce with" + written.rpartition("Reproduce with")[2]:
        assert part in stored


def test_the_card_names_the_weights_that_lie_beside_it() -> None:
    checksum = hashlib.sha256((FOLDER / "model.safetensors").read_bytes()).hexdigest()
    assert f"`{checksum[:16]}`" in (FOLDER / "README.md").read_text()


@pytest.mark.parametrize("name", list(templates()))
def test_held_out_accuracy_is_within_the_cards_interval(loaded: tuple[Any, Any], name: str) -> None:
    row = re.search(rf"\| `{name}` \| 1000 \| ([\d.]+) \| ([\d.]+) to ([\d.]+) \|", (FOLDER / "README.md").read_text())
    assert row is not None
    claimed, low, high = map(float, row.groups())
    assert low <= claimed <= high
    right = correct(*loaded, AgreementTask(name).instances("test", 20, 77))
    assert low <= sum(right) / len(right) <= high


def test_only_the_words_before_the_gap_are_read(loaded: tuple[Any, Any]) -> None:
    def answered(text: str, answer: str, against: str) -> bool:
        (right,) = correct(*loaded, [Instance("x", (text,), (answer,), (against,))])
        return right

    for text in ("the author that the guards like [MASK] tall .", "the author that the guards like [MASK]"):
        assert answered(text, "is", "are") and not answered(text, "are", "is")
    assert answered("the authors that the guard likes [MASK] tall .", "are", "is")
