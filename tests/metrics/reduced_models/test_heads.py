"""A model without some heads, against a literal run without them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch

from flowgauge.metrics.reduced_models.heads import entries, kept_heads, pruned_outputs, pruned_predictions
from flowgauge.metrics.reduced_models.nodes import clean_predictions
from flowgauge.models.batch import Rows
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


def test_rows_enter_at_the_lowest_layer_that_changes():
    now = np.ones((4, LAYERS, HEADS), bool)
    now[0, 2, 1] = now[1, 0, 0] = now[1, 2, 0] = now[3, 2, 3] = False
    found = entries(np.ones_like(now), now)
    assert [(at, index.tolist()) for at, index in found] == [(0, [1]), (2, [0, 3])]
    assert entries(now, now) == []


def test_logits_are_those_of_a_model_without_the_heads(model, make):
    batch = make.batch(model, [6, 5, 4])
    kept = np.random.default_rng(3).random((4, 5, LAYERS, HEADS)) < 0.6  # heads come back too
    kept[0, 0], kept[1, 2] = True, kept[1, 1]  # nothing pruned; nothing changed
    kept[2, 3, :2] = kept[2, 2, :2]  # only the last layer changes
    row = [0, 1, 2, 0]
    for step, (logits,) in enumerate(pruned_outputs(model, batch, row, kept)):
        for number, at in enumerate(row):
            torch.testing.assert_close(logits[number], literally(model, batch, at, kept[number, step]), rtol=0, atol=1e-12)
    found = pruned_predictions(model, batch, row, kept)
    assert (found[0, 0] == clean_predictions(model, batch)[0]).all()


def test_few_layers_are_computed_again(model, make, monkeypatch):
    batch = make.batch(model, [5])
    kept = np.ones((1, 3, LAYERS, HEADS), bool)
    kept[0, 0, 2, 0] = kept[0, 1:, 2, :2] = False
    ran: list[tuple[int, int]] = []
    run = FlowModel.run

    def noted(self, *rows, **how):
        ran.extend((r.layer, len(r.hidden)) for r in rows)
        return run(self, *rows, **how)

    monkeypatch.setattr(FlowModel, "run", noted)
    assert len(list(pruned_outputs(model, batch, [0], kept))) == 3
    assert ran == [(0, 1), (2, 1), (2, 1)]  # the whole model, the last layer twice, and no third time


def test_without_any_head_the_target_sees_nothing_but_itself(model, make):
    batch = make.batch(model, [6, 5, 4])  # all targets are [MASK] at the same position
    none = np.zeros((3, 1, LAYERS, HEADS), bool)
    ((logits,),) = pruned_outputs(model, batch, [0, 1, 2], none)
    assert torch.equal(logits[0], logits[1]) and torch.equal(logits[0], logits[2])
    some = none.copy()
    some[:, :, 2, 1] = True
    ((logits,),) = pruned_outputs(model, batch, [0, 1, 2], some)
    assert not torch.allclose(logits[0], logits[1])


def test_equal_rows_run_once(model, make, monkeypatch):
    batch = make.batch(model, [5, 5])
    kept = np.random.default_rng(0).random((4, 2, LAYERS, HEADS)) < 0.5
    kept[2], kept[3] = kept[0], kept[1]
    apart = [pruned_predictions(model, batch, [at], kept[[n]])[0] for n, at in enumerate([0, 1, 0, 0])]
    seen: list[list[int]] = []

    def noted(model, batch, row, kept, *stand_in):
        seen.append(row)
        return pruned_outputs(model, batch, row, kept, *stand_in)

    monkeypatch.setattr("flowgauge.metrics.reduced_models.heads.pruned_outputs", noted)
    assert (pruned_predictions(model, batch, [0, 1, 0, 0], kept) == np.array(apart)).all()
    assert sorted(seen[0]) == [0, 0, 1]


def test_every_row_is_a_row_of_the_model(model, make):
    """The clean states that rows start from are the model's, padded or not."""
    batch = make.batch(model, [6, 4])
    whole = np.ones((2, 1, LAYERS, HEADS), bool)
    ((logits,),) = pruned_outputs(model, batch, [1, 0], whole)
    (trace,) = model.run(Rows(batch, model.embed(model.words(batch), batch)))
    torch.testing.assert_close(logits, model.readout(trace.site("hidden", LAYERS), batch)[0][[1, 0]], rtol=0, atol=1e-12)
