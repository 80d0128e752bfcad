"""The card's numbers are those of the embedded model."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

import pytest
import torch

from agreement_bert.card import card, correct
from agreement_bert.train import PretrainingConfig
from flowgauge.models.zoo import ZOO
from flowgauge.tasks.agreement import AgreementTask
from flowgauge.tasks.lexicon import templates

FOLDER = ZOO["agreement-bert-plain"]


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any]:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    return AutoModelForMaskedLM.from_pretrained(FOLDER, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(FOLDER)


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
