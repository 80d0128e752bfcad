"""Repeatability: 0 where the rest of the batch and the seed change nothing, and the distance where they do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.methods.registry import METHODS
from flowgauge.metrics.tokens.repeatability import Repeatability
from flowgauge.models.batch import Batch
from flowgauge.models.inputs.encode import reseed


def scored(model, make, explain: Callable[[Batch], list[Explanation]], count: int = 3) -> dict[str, float]:
    batch = make.batch(model, [8, 7, 5, 4])
    shown = replace(make.by_hand(model, batch, explain(batch)), explain=lambda rows: explain(reseed(rows, 0)))
    aggregates = Repeatability(count).score(model, [shown], None).aggregates
    assert all(a.count == count and np.isnan(a.low) and f"{count} instances" in a.reason for a in aggregates)
    return {a.variant: a.value for a in aggregates}


@pytest.mark.parametrize("name", ["saliency", "leave-one-out", "raw-attention"])
def test_deterministic_methods_repeat_themselves(model, make, name: str) -> None:
    method = METHODS.create(name)
    assert scored(model, make, lambda rows: method.explain(model, rows)) == {"batch": 0, "seed": 0}


def test_a_random_method_moves_with_the_seed_alone(model, make) -> None:
    method = METHODS.create("random:draws=3")
    moved = scored(model, make, lambda rows: method.explain(model, rows), 4)
    assert moved["batch"] == 0 and 0.5 < moved["seed"] < 2


def test_scores_that_depend_on_the_others_of_the_batch_are_found(model, make) -> None:
    """Each score is 2 beside others and 1 alone: half of its norm."""

    def explain(rows: Batch) -> list[Explanation]:
        return [Explanation(tokens=np.full(n, 1.0 + (len(rows) > 1))) for n in rows.lengths]

    assert scored(model, make, explain) == {"batch": 0.5, "seed": 0}


def test_scores_that_grow_with_padding_are_found(model, make) -> None:
    def explain(rows: Batch) -> list[Explanation]:
        return [Explanation(heads=np.full((3, 4), float(rows.ids.shape[1]))) for _ in rows.lengths]

    assert scored(model, make, explain)["batch"] == pytest.approx((8 - 4) / 8)


def test_the_size_of_batches_does_not_choose_the_instances(model, make) -> None:
    """Whoever verifies a bundle may have other batches."""
    method = METHODS.create("random")
    whole = make.batch(model, [4, 5, 7, 8])

    def values(*parts: list[int]) -> list[float]:
        shown = []
        for index in parts:
            batch = whole.rows(torch.tensor(index))
            explained = make.by_hand(model, batch, method.explain(model, batch))
            shown.append(replace(explained, explain=lambda rows: method.explain(model, reseed(rows, 0))))
        return [a.value for a in Repeatability().score(model, shown, None).aggregates]

    together = values([0, 1, 2, 3])
    assert together == values([0, 1, 2], [3]) == values([0], [1], [2, 3]) and together[1] > 0.5


def test_without_the_method_or_scores_it_is_not_applicable(model, make) -> None:
    batch = make.batch(model, [5])
    shown = make.by_method(model, batch, "saliency")
    with pytest.raises(NotApplicable, match="flowgauge run"):
        Repeatability().score(model, [shown], None)
    (explanation,) = METHODS.create("influence-patterns:samples=3").explain(model, batch)
    bare = Explanation(patterns=explanation.patterns)
    with pytest.raises(NotApplicable, match="patterns alone"):
        Repeatability().score(model, [replace(shown, explain=lambda rows: [bare] * len(rows))], None)
