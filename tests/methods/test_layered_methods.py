"""Methods of words and states on a recurrent model: what they give there, by hand, and nothing where nothing may be masked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.methods.gradients.integrated_gradients import IntegratedGradients
from flowgauge.methods.gradients.saliency import GradientXInput, Saliency
from flowgauge.methods.perturbation.leave_one_out import LeaveOneOut
from flowgauge.methods.perturbation.shapley_and_lime import KernelShap, Lime, ShapleySampling
from flowgauge.methods.random import Random
from flowgauge.models.baseline import baseline_words
from flowgauge.models.batch import Batch
from flowgauge.models.built.recurrent import Recurrent
from flowgauge.models.built.toy_counting import ToyCounting
from flowgauge.models.inputs.encode import encode
from flowgauge.models.interventions.states import clean_states, outputs_from
from flowgauge.models.outputs import value
from flowgauge.tasks.toy_counting import CountingTask

TOKEN_METHODS = [
    Saliency(), GradientXInput(), LeaveOneOut("zero"), LeaveOneOut("delete"), ShapleySampling(4, baseline="zero"),
    Lime(30, alpha=0.0, baseline="zero"), KernelShap(40, baseline="zero"), IntegratedGradients(baseline="zero"),
]  # fmt: skip


@pytest.fixture
def model() -> Recurrent:
    return ToyCounting()._untrained().to(torch.device("cpu"), torch.float64)


@pytest.fixture
def batch(model: Recurrent) -> Batch:
    found = encode(model, CountingTask().instances("test", 10, 0))
    assert min(found.lengths) <= 4 and max(found.lengths) >= 10
    return found


def q(model, batch, words=None):
    on = batch if words is None else replace(batch, word_vectors=words, cache={})
    return value(model.outputs(on), on)


@pytest.mark.parametrize("method", TOKEN_METHODS, ids=lambda m: m.name)
def test_digits_are_scored_and_the_query_is_not(model, batch, method) -> None:
    assert not method.needs & {"transformer", "target"}
    for found, n in zip(method.explain(model, batch), batch.lengths, strict=True):
        assert found.tokens.shape == (n,)
        assert (found.tokens[:2] == 0).all()
        assert (found.tokens[2:] != 0).all() or method.name == "lime"
        assert found.tokens[2:].any()


@pytest.mark.parametrize("method", TOKEN_METHODS, ids=lambda m: m.name)
def test_batches_do_not_matter(model, batch, method) -> None:
    whole = method.explain(model, batch)
    for row in (0, 4):
        one = batch.rows(torch.tensor([row]))
        (alone,) = method.explain(model, one.only(one.attention_mask))
        assert alone.tokens == pytest.approx(whole[row].tokens, abs=1e-6)


def test_leave_one_out_by_hand(model, batch) -> None:
    found, deleted = (LeaveOneOut(how).explain(model, batch) for how in ("zero", "delete"))
    for row, n in enumerate(batch.lengths):
        one = batch.rows(torch.tensor([row]))
        one = one.only(one.attention_mask)
        for j in range(2, n):
            words = model.words(one).clone()
            words[0, j] = 0
            assert found[row].tokens[j] == pytest.approx(float(q(model, one) - q(model, one, words)), abs=1e-12)
            without = one.only(torch.arange(n)[None] != j)
            assert deleted[row].tokens[j] == pytest.approx(float(q(model, one) - q(model, without)), abs=1e-12)


def test_gradients_by_hand(model, batch) -> None:
    words = model.words(batch).detach().requires_grad_(True)
    (grad,) = torch.autograd.grad(q(model, batch, words).sum(), words)
    product = (grad * words).sum(-1).detach()
    for row, n in enumerate(batch.lengths):
        assert GradientXInput().explain(model, batch)[row].tokens[2:] == pytest.approx(product[row, 2:n].numpy(), abs=1e-12)
        assert Saliency().explain(model, batch)[row].tokens[2:] == pytest.approx(grad[row, 2:n].norm(dim=-1).numpy(), abs=1e-12)


def test_shapley_values_are_complete_and_exact_where_they_can_be(model, batch) -> None:
    change = q(model, batch) - q(model, batch, baseline_words(model, batch, "zero"))
    for found, expected in zip(ShapleySampling(4, baseline="zero").explain(model, batch), change.tolist(), strict=True):
        assert found.tokens.sum() == pytest.approx(expected, abs=1e-6)
    short = torch.tensor([row for row, n in enumerate(batch.lengths) if 2 < n <= 7])
    few = batch.rows(short)
    sampled = ShapleySampling(400, baseline="zero").explain(model, few)
    fitted = KernelShap(2**5, baseline="zero").explain(model, few)  # five digits at most: every coalition of them
    for one, exact, expected in zip(sampled, fitted, change[short].tolist(), strict=True):
        assert exact.tokens == pytest.approx(one.tokens, abs=0.1 * abs(one.tokens).max())
        assert exact.tokens.sum() == pytest.approx(expected, abs=1e-4)
    assert len(fitted) > 1


def test_the_baseline_leaves_the_query(model, batch) -> None:
    words, zero = model.words(batch), baseline_words(model, batch, "zero")
    read = model.maskable(batch)
    assert (zero[read] == 0).all() and (zero[:, :2] == words[:, :2]).all()
    with pytest.raises(NotApplicable, match=r"no mask token; choose baseline pad or zero\."):
        baseline_words(model, batch, "mask")
    with pytest.raises(NotApplicable, match=r"no table of words .* choose baseline zero"):
        baseline_words(model, batch, "mean")


@pytest.mark.parametrize("states", ["zero", "path"])
def test_integrated_gradients_of_states_are_complete(model, batch, states) -> None:
    """Nodes sum to F(h) - F(start); gauss-legendre leaves no quadrature error to speak of."""
    found = IntegratedGradients("gauss-legendre", 32, "zero", states=states).explain(model, batch)
    hidden = clean_states(model, batch)[1]
    start = torch.zeros_like(hidden) if states == "zero" else model.embed(baseline_words(model, batch, "zero"), batch)
    change = q(model, batch) - value(outputs_from(model, batch, 1, start), batch)
    for row, one in enumerate(found):
        assert one.nodes.shape == (1, batch.lengths[row])
        assert one.nodes.sum() == pytest.approx(float(change[row]), abs=1e-6)
        assert (one.nodes[0, :2] == 0).all()
    assert abs(change).min() > 1e-6


def test_integrated_gradients_from_zero_states_are_complete_in_a_transformer(models, batches) -> None:
    model = models("bert")
    for name, weight in model.hf.named_parameters():
        if name.endswith("bias"):  # without biases a layer norm jumps at zero states, and no quadrature sees that
            weight.data.normal_(generator=torch.Generator().manual_seed(len(name)))
    on = batches(model, [6, 4])
    q_clean = value(model.outputs(on), on)
    found = IntegratedGradients("gauss-legendre", 64, states="zero").explain(model, on)
    for depth, state in enumerate(clean_states(model, on)[1:]):
        change = q_clean - value(outputs_from(model, on, depth + 1, torch.zeros_like(state)), on)
        for row, one in enumerate(found):
            error = abs(one.nodes[depth].sum() - float(change[row]))
            assert error < 5e-3
            assert one.values["node_completeness_error"] >= error - 1e-6
    path = IntegratedGradients("gauss-legendre", 64).explain(model, on)
    assert abs(path[0].nodes[1] - found[0].nodes[1]).max() > 1e-3
    assert path[0].tokens == pytest.approx(found[0].tokens)


def test_random_scores_have_the_shapes_of_a_model_without_layers(model, batch) -> None:
    one = Random(3).explain(model, batch)[0].draws[0]
    n = batch.lengths[0]
    assert (one.tokens.shape, one.nodes.shape, one.units.shape) == ((n,), (1, n), (0, n, 1))
    assert np.unique(one.tokens).size == n


def test_another_start_is_refused() -> None:
    with pytest.raises(UsageError, match="states must be path or zero"):
        IntegratedGradients(states="mask")
