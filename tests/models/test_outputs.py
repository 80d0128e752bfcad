"""Quantities, predictions and divergence, by hand and over padding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from flowgauge.models.batch import Batch
from flowgauge.models.interventions.states import blend, clean_states, outputs_from
from flowgauge.models.outputs import correct, divergence, least_flip, prediction, strongest_other, value
from flowgauge.tasks.instance import Quantity


def test_quantities_and_predictions_by_hand(batch: Batch):
    from flowgauge.tasks.instance import Quantity

    one = replace(batch.rows(torch.tensor([0, 0])), answer=torch.tensor([[1], [1]]), against=torch.tensor([[0], [0]]), cache={})
    logits = torch.tensor([[1.0, 3.0, 5.0], [2.0, 2.0, 0.0]], dtype=torch.float64)
    assert value((logits,), one).tolist() == [2.0, 0.0]
    assert prediction((logits,), one).tolist() == [[1], [0]]  # among the pair; a tie is not the answer
    assert correct((logits,), one).tolist() == [True, False]
    assert prediction((logits,), replace(one, pairwise=False)).tolist() == [[2], [0]]
    probability = value((logits,), replace(one, quantity=Quantity("probability")))
    assert torch.allclose(probability, logits.softmax(1)[:, 1])
    assert torch.allclose(value((logits,), replace(one, quantity=Quantity("log_probability"))), probability.log())
    assert value((logits,), replace(one, quantity=Quantity("logit"))).tolist() == [3.0, 2.0]
    assert strongest_other(logits, torch.tensor([2, 0])).tolist() == [1, 1]
    assert divergence((logits,), (logits,)).abs().max() == 0
    p, r = logits[:1].softmax(1), logits[1:].softmax(1)
    assert torch.allclose(divergence((logits[:1],), (logits[1:],)), (r * (r / p).log()).sum(1))


def test_divergence_and_its_gradient_pass_over_padding(models, batches, single):
    model = models("bert", "span")
    batch = batches(model, [7, 4, 5])
    states = clean_states(model, batch)
    clean = model.outputs(batch)
    assert divergence(clean, clean).tolist() == [0.0] * 3
    keep = torch.full(batch.ids.shape, 0.7, dtype=torch.float64, requires_grad=True)
    masked = outputs_from(model, batch, 2, blend(states[2], keep, torch.zeros(16, dtype=torch.float64)))
    found = divergence(masked, clean)
    (gradient,) = torch.autograd.grad(found.sum(), keep)
    assert (
        torch.isfinite(gradient).all()
        and (gradient[batch.attention_mask] != 0).any()
        and (gradient[~batch.attention_mask] == 0).all()
    )
    for row, length in enumerate(batch.lengths):
        p, q = ([logits[row, :length].log_softmax(0) for logits in outputs] for outputs in (clean, masked))
        by_hand = sum((a.exp() * (a - b)).sum() for a, b in zip(p, q, strict=True))  # KL(start) + KL(end)
        assert torch.allclose(found[row], by_hand, atol=1e-12)
    assert torch.autograd.gradcheck(
        lambda k: divergence(outputs_from(model, batch, 2, blend(states[2], k, torch.zeros(16, dtype=torch.float64))), clean),
        keep,
    )


@pytest.mark.parametrize("form", ["logit_difference", "logit", "probability", "log_probability"])
def test_every_quantity_is_finite_with_its_gradient(models, batches, single, form):
    model = models("distilbert", "span")
    batch = replace(batches(model, [6, 4]), quantity=Quantity(form), cache={})
    words = model.words(batch).clone().requires_grad_(True)
    q = value(model.outputs(replace(batch, word_vectors=words, cache={})), batch)
    (gradient,) = torch.autograd.grad(q.sum(), words)
    assert torch.isfinite(gradient).all() and (gradient[1, 4:] == 0).all()
    alone = single(batch, 1)
    assert torch.allclose(value(model.outputs(alone), alone)[0], q[1], atol=1e-12)


def test_the_least_divergence_that_changes_a_prediction_by_brute_force(batch: Batch):
    """Against a search over all distributions that prefer another class."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(len(batch), 4, generator=generator, dtype=torch.float64)
    several = replace(batch, pairwise=False, cache={})
    for row, cost in enumerate(least_flip((logits,), several).tolist()):
        p = logits[row].softmax(0).numpy()
        best = p.argmax()
        found = [_nearest(p, best, other) for other in range(4) if other != best]
        assert cost == pytest.approx(min(found), abs=1e-5) and cost > 1e-3
    two_heads = replace(several, answer=several.answer.expand(-1, 2), against=several.against.expand(-1, 2))
    both = least_flip((logits, 0 * logits), two_heads)
    assert both.tolist() == [0.0] * len(batch), "a tie at one head changes the prediction for nothing"


def test_only_a_pair_competes_where_only_a_pair_is_asked_for(batch: Batch):
    one = replace(batch.rows(torch.tensor([0, 0])), answer=torch.tensor([[1], [0]]), against=torch.tensor([[0], [1]]), cache={})
    p = torch.tensor([[0.2, 0.3, 0.5]] * 2, dtype=torch.float64)
    expected = 0.3 * np.log(0.3 / 0.25) + 0.2 * np.log(0.2 / 0.25)
    assert least_flip((p.log(),), replace(one, pairwise=True)).tolist() == pytest.approx([expected] * 2)


def _nearest(p: np.ndarray, best: int, other: int) -> float:
    """The least KL(p || q) of the distributions q that give `other` as much as `best`, by a search that knows no formula."""
    constraints = [{"type": "eq", "fun": lambda q: q.sum() - 1}, {"type": "ineq", "fun": lambda q: q[other] - q[best]}]
    start, options = np.full(len(p), 1 / len(p)), {"ftol": 1e-12}
    loss = lambda q: float((p * np.log(p / q)).sum())  # noqa: E731
    return float(minimize(loss, start, method="SLSQP", bounds=[(1e-9, 1)] * len(p), constraints=constraints, options=options).fun)
