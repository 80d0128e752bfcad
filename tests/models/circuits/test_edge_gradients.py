"""First-order effects of edges against exchanged edges, and their sums."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from flowgauge.models.circuits import edge_gradients
from flowgauge.models.circuits.edge_gradients import edge_effects
from flowgauge.models.circuits.interchange import circuit_values
from flowgauge.models.circuits.passes import graph_of, run_plain
from flowgauge.models.outputs import value


class Shrunk:
    """A model whose words are moved a part of the way from the counterpart to the text."""

    def __init__(self, model, batch, part: float) -> None:
        self.model, self.text, self.part = model, batch, part

    def __getattr__(self, name: str):
        return getattr(self.model, name)

    def words(self, batch):
        table = self.model.word_embedding
        text = table(self.text.ids)[: len(batch)]
        flipped = table(self.text.counterpart)[: len(batch)]
        is_text = torch.equal(batch.ids, self.text.ids[: len(batch)])
        return text if is_text else text + self.part * (flipped - text)


def test_effects_are_the_loss_from_exchanging_each_edge_to_first_order(any_model, paired) -> None:
    """The error falls with the square of the difference between text and counterpart."""
    batch, graph = paired(any_model).rows(torch.tensor([0])), graph_of(any_model)
    edges = torch.from_numpy(graph.edges())
    without = edges & ~torch.eye(edges.numel(), dtype=torch.bool)[edges.flatten()].unflatten(1, graph.shape)
    errors, sizes = [], []
    for part in (1e-2, 1e-3):
        near = Shrunk(any_model, batch, part)
        effects = edge_effects(near, batch, torch.ones(1))
        lost = effects.q - circuit_values(near, batch, without[None])[0]
        scores = effects.circuit[0][edges]
        errors.append(float((scores - lost).abs().max()))
        sizes.append(float(lost.abs().max()))
    assert sizes[1] == pytest.approx(sizes[0] / 10, rel=0.2)  # effects are of first order,
    assert errors[1] < errors[0] / 50 and errors[1] < 0.05 * sizes[1]  # and errors of second order


def test_edges_of_a_writer_sum_to_the_whole_derivative_by_it(any_model, paired) -> None:
    batch, graph = paired(any_model), graph_of(any_model)
    effects = edge_effects(any_model, batch, torch.ones(1))
    start = any_model.embed(any_model.words(batch), batch).requires_grad_(True)
    written, stream = run_plain(any_model, batch, start)
    q = value(any_model.readout(stream.fed[-1], batch), batch)
    other, _ = run_plain(any_model, *_flipped(any_model, batch))
    grads = torch.autograd.grad(q.sum(), [written.start, *written.attended, *written.fed])
    n_layers = any_model.n_layers
    per_head = [
        ((written.heads[layer] - other.heads[layer]) * grads[1 + layer][:, :, None]).sum((1, 3)) for layer in range(n_layers)
    ]
    for layer in range(n_layers):
        torch.testing.assert_close(effects.circuit[:, graph.head_writers(layer)].sum(-1), per_head[layer])
        fed = ((written.fed[layer] - other.fed[layer]) * grads[1 + n_layers + layer]).sum((1, 2))
        torch.testing.assert_close(effects.circuit[:, graph.feed_forward_writer(layer)].sum(-1), fed)
    torch.testing.assert_close(effects.circuit[:, 0].sum(-1), effects.nodes[:, 0].sum(-1))
    assert not effects.circuit[:, ~torch.from_numpy(graph.edges())].any()


def _flipped(model, batch):
    other = replace(batch, ids=batch.counterpart)
    return other, model.embed(model.words(other), other)


def test_midpoints_reach_the_difference_of_text_and_counterpart(any_model, paired) -> None:
    effects = edge_effects(any_model, paired(any_model), (torch.arange(100, dtype=torch.float64) + 0.5) / 100)
    torch.testing.assert_close(
        effects.circuit[:, 0].sum(-1), effects.q - effects.q_counterpart, rtol=1e-3, atol=5e-4
    )  # OPT has kinks


def test_parts_of_a_batch_give_what_the_batch_gives(any_model, paired, monkeypatch) -> None:
    batch = paired(any_model)
    whole = edge_effects(any_model, batch, torch.tensor([0.5, 1.0]))
    monkeypatch.setattr(edge_gradients, "MOST_NUMBERS", 1)
    for once, apart in zip(whole, edge_effects(any_model, batch, torch.tensor([0.5, 1.0])), strict=True):
        torch.testing.assert_close(once, apart)


@pytest.mark.parametrize("readers", [1, 4])
def test_walks_that_carry_few_readers_give_the_same_effects(any_model, paired, monkeypatch, readers: int) -> None:
    batch = paired(any_model)
    whole = edge_effects(any_model, batch, torch.ones(1))
    monkeypatch.setattr(edge_gradients, "affordable", lambda each, share, most=None: readers if most is None else most)
    assert torch.allclose(edge_effects(any_model, batch, torch.ones(1)).circuit, whole.circuit, rtol=0, atol=1e-12)
