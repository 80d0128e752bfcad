"""The card of agreement-gpt2 is the one that is written."""

from __future__ import annotations

import json
from dataclasses import asdict

from agreement_gpt2.robust import RobustNextWordConfig
from agreement_gpt2.robust_card import card
from flowgauge.models.zoo import ZOO

FOLDER = ZOO["agreement-gpt2"]


def test_the_embedded_model_has_the_default_recipe() -> None:
    assert json.loads((FOLDER / "recipe.json").read_text()) == asdict(RobustNextWordConfig())


def test_the_stored_card_is_the_one_that_is_written() -> None:
    """All but the tables, which hold what was measured."""
    stored, written = (FOLDER / "README.md").read_text(), card(asdict(RobustNextWordConfig()), [], "THE TABLE")
    before, after = written.split("THE TABLE")
    for part in (before.split("| task |")[0], before.rpartition("## Criteria")[2], after):
        assert part in stored
