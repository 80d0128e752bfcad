"""The learning rate of an update."""

from __future__ import annotations

from agreement_models.recipe import Recipe


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    recipe = Recipe(steps=300, warmup=100, rate=1.0)
    assert [round(recipe.rate_at(s), 4) for s in (0, 49, 99, 100, 200, 300)] == [0.01, 0.5, 1.0, 1.0, 0.5, 0.0]
