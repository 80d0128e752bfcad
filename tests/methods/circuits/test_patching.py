"""Exact patching as methods: views, signs, and the first-order estimates of it."""

from __future__ import annotations

import numpy as np
import pytest
from tests.models.circuits.conftest import any_model, paired

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.methods.circuits.eap_ig import AttributionPatching
from flowgauge.methods.circuits.patching import ActivationPatching, EdgePatching
from flowgauge.models.circuits.exact_patching import patched_edges, patched_states

__all__ = ["any_model", "paired"]


def test_views_are_the_losses_of_each_instance(any_model, paired) -> None:
    batch = paired(any_model)
    states, edges = patched_states(any_model, batch, "text"), patched_edges(any_model, batch)
    for row, (one, other) in enumerate(
        zip(ActivationPatching().explain(any_model, batch), EdgePatching().explain(any_model, batch), strict=True)
    ):
        length = batch.lengths[row]
        assert np.array_equal(one.nodes, states.nodes[row, :, :length].numpy()) and np.array_equal(one.tokens, one.nodes[0])
        assert np.array_equal(one.heads, states.heads[row].numpy()) and np.array_equal(other.circuit, edges[row].numpy())
        # one word differs, so that exchanging it exchanges everything
        assert one.tokens[1] == pytest.approx(float(states.q[row] - states.q_counterpart[row]))
        assert np.abs(np.delete(one.tokens, 1)).max() < 1e-12


def test_denoising_of_the_only_word_that_differs_regains_everything(any_model, paired) -> None:
    batch = paired(any_model)
    noised, denoised = (ActivationPatching(into).explain(any_model, batch) for into in ("text", "counterpart"))
    for a, b in zip(noised, denoised, strict=True):
        assert a.tokens == pytest.approx(b.tokens)
        assert not np.allclose(a.heads, b.heads)


def test_edges_to_the_logits_of_a_sum_are_estimated_well(models, paired) -> None:
    """Only the last norm stands between a writer and the logits, so that one gradient is close there."""
    model = models("gpt2")
    batch = paired(model)
    exact, estimate = EdgePatching().explain(model, batch), AttributionPatching().explain(model, batch)
    for one, other in zip(exact, estimate, strict=True):
        assert np.corrcoef(one.circuit[:, -1], other.circuit[:, -1])[0, 1] > 0.95


def test_what_cannot_be_exchanged_is_refused(models, batches) -> None:
    for plugin in (ActivationPatching(), EdgePatching()):
        with pytest.raises(NotApplicable, match="no text here has a counterpart"):
            plugin.explain(models(), batches(models(), [4]))
    with pytest.raises(UsageError, match="into"):
        ActivationPatching("both")  # type: ignore[arg-type]


@pytest.mark.parametrize(("nodes", "heads"), [(True, False), (False, True), (False, False)])
def test_states_that_are_not_exchanged(any_model, paired, nodes, heads) -> None:
    batch, whole = paired(any_model), ActivationPatching()
    method = ActivationPatching(nodes=nodes, heads=heads)
    expected = whole.explain(any_model, batch)
    for one, other in zip(method.explain(any_model, batch), expected, strict=True):
        assert one.views == method.gives and one.values == other.values
        for view in one.views:
            np.testing.assert_allclose(getattr(one, view), getattr(other, view), rtol=1e-9, atol=1e-12)
