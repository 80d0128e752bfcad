"""The command line of the scripts: it trains, measures and writes the card, or measures alone."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from agreement_models.accuracy import Accuracy
from agreement_models.card import fill
from agreement_models.command import run_command
from agreement_models.recipe import RECIPE, Recipe


def run(*arguments: str, trained: list[Recipe]) -> None:
    def train(out: Path, recipe: Recipe) -> None:
        trained.append(recipe)
        out.mkdir(exist_ok=True)
        (out / RECIPE).write_text(json.dumps(asdict(recipe)))

    rows = [Accuracy("sva/obj", "SS", 3, 4)]
    run_command("Trains.", Recipe, train, lambda _: rows, lambda r, a: fill("steps {steps}\n{table}", r, a), arguments)


def test_it_trains_measures_and_writes_the_card(tmp_path: Path) -> None:
    trained: list[Recipe] = []
    run("--out", str(tmp_path / "new"), "--steps", "2", "--seed", "5", trained=trained)
    assert trained == [Recipe(steps=2, seed=5)]
    text = (tmp_path / "new/README.md").read_text()
    assert text.startswith("steps 2\n") and "| `sva/obj` | 4 | 0.750 |" in text


def test_it_measures_alone_with_the_recipe_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / RECIPE).write_text(json.dumps(asdict(Recipe(steps=9))))
    trained: list[Recipe] = []
    run("--out", str(tmp_path), "--evaluate", trained=trained)
    assert trained == [] and (tmp_path / "README.md").read_text().startswith("steps 9\n")


def test_a_folder_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(trained=[])
    assert "--out" in capsys.readouterr().err
