"""The parts of the card that all embedded models share."""

from __future__ import annotations

from dataclasses import asdict

from agreement_models.accuracy import Accuracy
from agreement_models.card import CORPUS, fill
from agreement_models.recipe import Recipe


def test_the_card_tells_recipe_corpus_and_each_condition() -> None:
    rows = [Accuracy("sva/obj", "SS", 250, 250), Accuracy("sva/obj", "SP", 200, 250), Accuracy("ra/na", "SS", 1, 4)]
    text = fill("{corpus}\n{settings}\n--steps {steps} --seed {seed}\n{table}", asdict(Recipe(steps=7)), rows)
    assert text.startswith(
        CORPUS + "\nseed 0, steps 7, batch 64, rate 0.001, warmup 200, decay 0.01\n--steps 7 --seed 0\n| task |"
    )
    assert "| `sva/obj` | 500 | 0.900 | 0.871 to 0.923 | SS 1.000, SP 0.800 |" in text
    assert text.endswith("| `ra/na` | 4 | 0.250 | 0.046 to 0.699 | SS 0.250 |")
