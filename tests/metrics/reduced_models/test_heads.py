"""A model without some heads, against a literal run without them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch

from flowgauge.metrics.reduced_models.heads import kept_heads, pruned_outputs, pruned_predictions
from flowgauge.models.flow.flow_model import FlowModel

LAYERS, HEADS = 3, 4


def literally(model: FlowModel, batch, row: int, kept: np.ndarray) -> torch.Tensor:
    """Logits of one sentence without padding, through the whole network, with the weights of pruned heads' outputs as zeros."""
    one = batch.rows(torch.tensor([row]))
    n = batch.lengths[row]
    cut = {name: getattr(one, name)[:, :n] for name in ("ids", "attention_mask", "token_type_ids", "word_ids")}
    one = replace(one, **cut, cache={})
    size, weights = model.width // HEADS, [layer.attention.output.weight.data for layer in cast(Any, model.layers)]
    saved = [weight.clone() for weight in weights]
    try:
        for weight, heads in zip(weights, kept, strict=True):
            for head in np.flatnonzero(~heads):
                weight[:, head * size : (head + 1) * size] = 0
        return model.outputs(one)[0][0]
    finally:
        for weight, before in zip(weights, saved, strict=True):
            weight.copy_(before)


def test_heads_pruned_by_hand():
    score = np.array([[0.5, 0.1, 0.5], [0.9, 0.2, 0.0]])
    left = lambda **how: [np.flatnonzero(step).tolist() for step in kept_heads(score, **how)]  # noqa: E731
    assert left(steps=4, most_first=False) == [[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4], [0, 2, 3], [2, 3], []]
    assert left(steps=4, most_first=True) == [[0, 1, 2, 3, 4, 5], [0, 1, 2, 4, 5], [1, 4, 5], [1, 5], []]
    assert left(steps=3, most_first=True, per_layer=True) == [[0, 1, 2, 3, 4, 5], [1, 2, 4, 5], [1, 5], []]
    pruned = (~kept_heads(np.random.default_rng(0).random((12, 12)), 10, most_first=True)).sum((1, 2))
    assert pruned.tolist() == [0, 14, 28, 43, 57, 72, 86, 100, 115, 129, 144]  # floor(144 r), exact where floats are not


def test_logits_are_those_of_a_model_without_the_heads(model, make):
    batch = make.batch(model, [6, 5, 4])
    kept = np.random.default_rng(3).random((8, LAYERS, HEADS)) < 0.6
    kept[0], kept[1] = True, False
    kept[3], kept[4, :2] = kept[2], kept[2, :2]  # the same model, and one that differs in the last layer alone
    row = [0, 1, 2, 2, 2, 0, 1, 0]
    (logits,) = pruned_outputs(model, batch, row, kept)
    for number, at in enumerate(row):
        torch.testing.assert_close(logits[number], literally(model, batch, at, kept[number]), rtol=0, atol=1e-12)
    (whole,) = model.outputs(batch)
    torch.testing.assert_close(logits[0], whole[0], rtol=0, atol=1e-12)


def test_layers_run_once_for_each_set_of_heads_up_to_them(model, make, monkeypatch):
    batch = make.batch(model, [5, 5])
    kept = np.ones((5, LAYERS, HEADS), bool)
    kept[1, 2, 0] = kept[2, 2, :2] = kept[3, 0, 0] = False
    kept[4] = kept[1]
    ran: list[tuple[int, int]] = []
    run = FlowModel.run

    def noted(self, *rows, **how):
        ran.extend((r.layer, len(r.hidden)) for r in rows)
        return run(self, *rows, **how)

    monkeypatch.setattr(FlowModel, "run", noted)
    pruned_outputs(model, batch, [0, 0, 0, 0, 1], kept)
    # Layer 0: the whole model and row 3, and the other instance; layer 2: rows 0, 1 and 2 apart, row 3, and the other instance.
    assert ran == [(0, 3), (1, 3), (2, 5)]


def test_without_any_head_the_target_sees_nothing_but_itself(model, make):
    batch = make.batch(model, [6, 5, 4])  # all targets are [MASK] at the same position
    none = np.zeros((3, LAYERS, HEADS), bool)
    (logits,) = pruned_outputs(model, batch, [0, 1, 2], none)
    assert torch.equal(logits[0], logits[1]) and torch.equal(logits[0], logits[2])
    some = none.copy()
    some[:, 2, 1] = True
    (logits,) = pruned_outputs(model, batch, [0, 1, 2], some)
    assert not torch.allclose(logits[0], logits[1])


def test_equal_models_run_once(model, make, monkeypatch):
    batch = make.batch(model, [5, 5])
    kept = np.random.default_rng(0).random((4, 2, LAYERS, HEADS)) < 0.5
    kept[2], kept[3, 0], kept[3, 1] = kept[0], kept[0, 1], kept[1, 0]
    row = [0, 1, 0, 0]
    apart = [[literally(model, batch, at, left) for left in steps] for at, steps in zip(row, kept, strict=True)]
    asked: list[tuple[int, bytes]] = []

    def noted(model, batch, row, kept, *stand_in):
        asked.extend((at, left.tobytes()) for at, left in zip(row, kept, strict=True))
        return pruned_outputs(model, batch, row, kept, *stand_in)

    monkeypatch.setattr("flowgauge.metrics.reduced_models.heads.pruned_outputs", noted)
    monkeypatch.setattr("flowgauge.metrics.reduced_models.heads.ELEMENTS", 4 * model.width * 5 * 3)  # three at once
    found = pruned_predictions(model, batch, row, kept)
    assert len(asked) == len(set(asked)) == 5  # of eight: two of instance 0 again, and one of them once more
    for number, at in enumerate(row):
        answer, against = batch.answer[at], batch.against[at]
        for step, logits in enumerate(apart[number]):
            assert found[number, step] == (answer if logits[answer] > logits[against] else against)
