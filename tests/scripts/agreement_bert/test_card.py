"""The card's numbers: accuracy by task and condition with Wilson's interval, and those of the embedded model."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

import pytest
import torch

from agreement_bert.card import Accuracy, card, correct, wilson
from agreement_bert.train import PretrainingConfig
from flowgauge.models.zoo import ZOO
from flowgauge.tasks.agreement import AgreementTask
from flowgauge.tasks.lexicon import templates

FOLDER = ZOO["agreement-bert"]


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any]:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    return AutoModelForMaskedLM.from_pretrained(FOLDER, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(FOLDER)


def test_wilson_has_its_textbook_values() -> None:
    assert [round(x, 4) for x in wilson(8, 10)] == [0.4902, 0.9433]
    assert [round(x, 4) for x in wilson(0, 20)] == [0.0, 0.1611]


def test_the_card_tells_each_task_and_condition() -> None:
    text = card(asdict(PretrainingConfig(steps=7)), [Accuracy("sva/obj", "SS", 250, 250), Accuracy("sva/obj", "SP", 200, 250)])
    assert "| `sva/obj` | 500 | 0.900 | 0.871 to 0.923 | SS 1.000, SP 0.800 |" in text
    assert "--steps 7 --seed 0" in text


def test_the_embedded_model_has_the_default_recipe() -> None:
    assert json.loads((FOLDER / "recipe.json").read_text()) == asdict(PretrainingConfig())


def test_the_embedded_models_card_is_the_one_that_is_written_now() -> None:
    """All but the table, which holds what was measured."""
    stored = (FOLDER / "README.md").read_text()
    written = card(asdict(PretrainingConfig()), [])
    for part in written.split("| task |")[0], "Reproduce with" + written.rpartition("Reproduce with")[2]:
        assert part in stored


@pytest.mark.parametrize("name", list(templates()))
def test_held_out_accuracy_is_within_the_cards_interval(loaded: tuple[Any, Any], name: str) -> None:
    row = re.search(rf"\| `{name}` \| 1000 \| ([\d.]+) \| ([\d.]+) to ([\d.]+) \|", (FOLDER / "README.md").read_text())
    assert row is not None
    claimed, low, high = map(float, row.groups())
    assert low <= claimed <= high
    right = correct(*loaded, AgreementTask(name).instances("test", 20, 77))
    assert low <= sum(right) / len(right) <= high
