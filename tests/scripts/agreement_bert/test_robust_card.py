"""The card of agreement-bert is the one that is written, and its numbers are those of the model."""

from __future__ import annotations

import json
import re
from dataclasses import asdict

import pytest

from agreement_bert.robust import RobustConfig
from agreement_bert.robust_card import card
from agreement_models.criteria import judge_task, table
from flowgauge.models.load import load_model
from flowgauge.models.zoo import ZOO

FOLDER = ZOO["agreement-bert"]


def test_the_embedded_model_has_the_default_recipe() -> None:
    assert json.loads((FOLDER / "recipe.json").read_text()) == asdict(RobustConfig())


def test_the_stored_card_is_the_one_that_is_written() -> None:
    """All but the tables, which hold what was measured."""
    stored, written = (FOLDER / "README.md").read_text(), card(asdict(RobustConfig()), [], "THE TABLE")
    before, after = written.split("THE TABLE")
    for part in (before.split("| task |")[0], before.rpartition("## Criteria")[2], after):
        assert part in stored


def test_every_task_meets_the_criteria_in_the_stored_tables() -> None:
    stored = (FOLDER / "README.md").read_text()
    accuracies = re.findall(r"^\| `[a-z/]+` \| 1000 \| ([\d.]+) \|", stored, re.MULTILINE)
    assert len(accuracies) == 6 and all(float(accuracy) >= 0.99 for accuracy in accuracies)
    assert len(re.findall(r"\| yes \|$", stored, re.MULTILINE)) == 6


@pytest.mark.slow
def test_the_criteria_of_a_task_come_out_again() -> None:
    """Its row of the table, up to another processor's rounding of near ties."""
    (stored,) = re.findall(r"^\| `sva/wsc` \| 200 \|.*$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    found = table([judge_task(load_model("agreement-bert"), "sva/wsc", 50)]).splitlines()[-1]
    numbers, again = ([float(number) for number in re.findall(r"\d+\.\d+", line)] for line in (stored, found))
    assert len(numbers) == 14 and again == pytest.approx(numbers, abs=0.011)
