"""Runs from replaced states, against the clean run and against runs one by one."""

from __future__ import annotations

import torch

from flowgauge.models.interventions.states import blend, clean_states, outputs_from, outputs_from_each


def test_clean_states_give_the_clean_outputs_from_every_depth(model, batch):
    states = clean_states(model, batch)
    (clean,) = model.outputs(batch)
    assert len(states) == model.n_layers + 2
    for depth, state in enumerate(states):
        torch.testing.assert_close(outputs_from(model, batch, depth, state)[0], clean)


def test_a_blend_is_exact_where_keep_is_0_or_1():
    states, fill = torch.tensor([[[2.0, 4.0], [6.0, 8.0], [1.0, 3.0]]]), torch.tensor([0.0, 1.0])
    keep = torch.tensor([[1.0, 0.0, 0.5]])
    assert blend(states, keep, fill).tolist() == [[[2.0, 4.0], [0.0, 1.0], [0.5, 2.0]]]


def test_several_depths_in_one_run_are_the_runs_one_by_one(model, batch):
    states = clean_states(model, batch)
    changed = {depth: states[depth] * torch.linspace(0, 2, states[depth].shape[-1]) for depth in (0, 2, 4)}
    (together,) = outputs_from_each(model, batch, changed)
    apart = torch.cat([outputs_from(model, batch, depth, state)[0] for depth, state in changed.items()])
    torch.testing.assert_close(together, apart)
    assert (together[: len(batch)] - model.outputs(batch)[0]).abs().max() > 1e-3
