"""Circuit methods: their views, their limits and how they agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.models.circuits.conftest import any_model, paired

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.methods.circuits.eap_ig import AttributionPatching, EapIg
from flowgauge.methods.views import head_scores
from flowgauge.models.circuits.circuit_graph import CircuitGraph
from flowgauge.models.circuits.passes import run_plain
from flowgauge.models.outputs import value

__all__ = ["any_model", "paired"]


def test_one_published_step_is_attribution_patching(any_model, paired) -> None:
    batch = paired(any_model)
    one, patching = EapIg(steps=1).explain(any_model, batch), AttributionPatching().explain(any_model, batch)
    for a, b in zip(one, patching, strict=True):
        assert np.array_equal(a.circuit, b.circuit) and np.array_equal(a.nodes, b.nodes)
        assert a.circuit.shape == CircuitGraph(3, 4).shape and np.abs(a.circuit).max() > 0


def test_heads_of_a_circuit_are_attribution_patching_of_their_outputs(any_model, paired) -> None:
    """Against automatic differentiation of the output of the heads, which is Nanda's definition."""
    batch = paired(any_model)
    (written, stream), (other, _) = (
        run_plain(any_model, rows, any_model.embed(any_model.words(rows), rows).requires_grad_(True))
        for rows in (batch, replace(batch, ids=batch.counterpart, cache={}))
    )
    q = value(any_model.readout(stream.fed[-1], batch), batch)
    grads = torch.autograd.grad(q.sum(), written.attended)
    for row, explanation in enumerate(AttributionPatching().explain(any_model, batch)):
        wanted = [
            ((a - b) * grad[:, :, None])[row].sum((0, 2)) for a, b, grad in zip(written.heads, other.heads, grads, strict=True)
        ]
        assert head_scores(explanation) == pytest.approx(torch.stack(wanted).detach().numpy(), rel=1e-8, abs=1e-12)


def test_midpoints_are_complete_and_words_that_are_the_same_score_nothing(any_model, paired) -> None:
    batch = paired(any_model)
    for row, explanation in enumerate(EapIg(steps=100, points="midpoint").explain(any_model, batch)):
        assert explanation.values["completeness_error"] < 1e-3
        same = (batch.ids[row] == batch.counterpart[row])[: batch.lengths[row]].numpy()
        assert not explanation.tokens[same].any() and np.abs(explanation.tokens[~same]).max() > 0
        assert explanation.circuit[0].sum() == pytest.approx(explanation.tokens.sum())


def test_instances_do_not_depend_on_their_batch(any_model, paired) -> None:
    batch = paired(any_model)
    whole = EapIg().explain(any_model, batch)
    for row in range(3):
        (one,) = EapIg().explain(any_model, batch.rows(torch.tensor([row])))
        assert one.circuit == pytest.approx(whole[row].circuit, rel=1e-8, abs=1e-12)


def test_what_cannot_be_computed_is_refused(models, batches) -> None:
    with pytest.raises(NotApplicable, match="this task has no counterparts"):
        EapIg().explain(models(), batches(models(), [4]))
    with pytest.raises(UsageError, match="steps"):
        EapIg(steps=0)
    with pytest.raises(UsageError, match="points"):
        EapIg(points="left")  # type: ignore[arg-type]
