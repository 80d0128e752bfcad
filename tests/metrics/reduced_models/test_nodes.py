"""The reduced model, against a loop over the Hugging Face model's own submodules."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flowgauge.metrics.reduced_models.nodes import ablated_predictions, clean_predictions, reduced_outputs
from flowgauge.models.flow.graph import Subgraph


def naive_logits(model, batch, row: int, kept: Subgraph, hidden=None, context=None, cut: bool = False) -> torch.Tensor:
    """One instance without padding, position by position, head by head.

    `hidden(l, i)` and `context(l, i, head)` replace what is not kept; without them, zeros do.
    """
    zero = lambda *_: 0.0  # noqa: E731
    hidden, context = hidden or zero, context or zero
    pick = lambda stays, value, other: value if stays else torch.zeros_like(value) + other  # noqa: E731
    bert, n = model.hf.bert, batch.lengths[row]
    h = bert.embeddings(batch.ids[row : row + 1, :n])[0]
    h = torch.stack([pick(kept.nodes[0, i], h[i], hidden(0, i)) for i in range(n)])
    for number, layer in enumerate(bert.encoder.layer):
        a, o = layer.attention.self, layer.attention.output
        size = a.attention_head_size
        nxt = []
        seen = [p for p in range(n) if kept.nodes[number, p] or not cut]
        for i in range(n):
            made = []
            for head in range(model.n_heads):
                part = slice(head * size, (head + 1) * size)
                scores = [a.query(h[i])[part] @ a.key(h[p])[part] / size**0.5 for p in seen]
                weights = torch.stack(scores).softmax(0) if seen else torch.zeros(0)
                mixed = sum((w * a.value(h[p])[part] for w, p in zip(weights, seen, strict=True)), torch.zeros(size).double())
                made.append(pick(kept.heads is None or kept.heads[number, i, head], mixed, context(number, i, head)))
            skip = pick(kept.skips is None or kept.skips[number, i], h[i], hidden(number, i))
            middle = o.LayerNorm(o.dense(torch.cat(made)) + skip)
            inner = layer.intermediate.intermediate_act_fn(layer.intermediate.dense(middle))
            out = layer.output.LayerNorm(layer.output.dense(inner) + middle)
            nxt.append(pick(kept.nodes[number + 1, i], out, hidden(number + 1, i)))
        h = torch.stack(nxt)
    at = int(batch.target[row])
    if hasattr(model.hf, "cls"):
        return model.hf.cls(h[None])[0, at]
    return model.hf.classifier(bert.pooler(h[None]))[0]


def random_subgraph(rng, n: int, attention: bool, layers: int = 3, heads: int = 4, target: int = 2) -> Subgraph:
    nodes = rng.random((layers + 1, n)) < 0.6
    nodes[-1] = np.arange(n) == target
    if not attention:
        return Subgraph(nodes)
    return Subgraph(nodes, rng.random((layers, n, heads)) < 0.6, rng.random((layers, n)) < 0.6)


def logits_of(model, batch, rows, kept):
    index = torch.tensor(rows)
    hidden = model.embed(model.words(batch), batch)[index]
    with torch.no_grad():
        return reduced_outputs(model, batch.rows(index), hidden, kept)[0]


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("head", ["masked", "label"])
def test_the_reduced_model_is_the_naive_loop(make, head, attention):
    model = make.model(head)
    batch = make.batch(model, [6, 4])
    rng = np.random.default_rng(0)
    target = 2 if head == "masked" else 0
    rows = [0, 1, 0]
    kept = [random_subgraph(rng, batch.lengths[r], attention, target=target) for r in rows]
    found = logits_of(model, batch, rows, kept)
    for row, subgraph, logits in zip(rows, kept, found, strict=True):
        with torch.no_grad():
            assert logits.numpy() == pytest.approx(naive_logits(model, batch, row, subgraph).numpy(), abs=1e-10)


def test_everything_kept_is_the_model_itself(model, batch):
    n = batch.lengths[0]
    everything = Subgraph(np.ones((4, n), bool), np.ones((3, n, 4), bool), np.ones((3, n), bool))
    for kept in (everything, Subgraph(everything.nodes)):
        assert logits_of(model, batch, [0], [kept]).numpy() == pytest.approx(model.outputs(batch)[0][:1].numpy(), abs=1e-12)


def test_nothing_kept_is_a_constant(model, batch):
    nothing = [Subgraph(np.zeros((4, n), bool)) for n in batch.lengths]
    found = logits_of(model, batch, [0, 1, 2, 3], nothing)
    zero = model.readout(torch.zeros(4, 6, 16, dtype=torch.float64), batch)[0]
    assert found.numpy() == pytest.approx(zero.detach().numpy(), abs=1e-12)


@pytest.mark.parametrize("part", ["nodes", "heads", "skips"])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_every_intervention_bites(model, batch, part, layer):
    n = batch.lengths[0]
    parts = {"nodes": np.ones((4, n), bool), "heads": np.ones((3, n, 4), bool), "skips": np.ones((3, n), bool)}
    whole = Subgraph(**parts)
    at = 2 if part != "nodes" and layer == 2 else 1  # at the last layer only the target is read
    less = {name: mask.copy() for name, mask in parts.items()}
    less[part][(layer, at, 1) if part == "heads" else (layer, at)] = False
    one, other = logits_of(model, batch, [0, 0], [whole, Subgraph(**less)])
    assert abs(one - other).max() > 1e-4


def test_predictions_of_mixed_levels_in_any_order_and_in_small_pieces(model, batch, monkeypatch):
    rng = np.random.default_rng(1)
    rows = [int(r) for r in rng.integers(0, 4, 30)]
    kept = [random_subgraph(rng, batch.lengths[r], bool(k % 2)) for k, r in enumerate(rows)]
    rows, kept = rows + rows[:5], kept + kept[:5]
    whole = ablated_predictions(model, batch, rows, kept)
    monkeypatch.setattr("flowgauge.metrics.reduced_models.nodes.ELEMENTS", 1)
    assert (ablated_predictions(model, batch, rows, kept) == whole).all()
    for row, subgraph, found in zip(rows, kept, whole, strict=True):
        logits = naive_logits(model, batch, row, subgraph)
        assert found[0] == (8 if logits[8] > logits[11] else 11)
    assert set(whole[:, 0]) == {8, 11}


def test_equal_questions_run_once(model, batch, monkeypatch):
    asked: list[int] = []

    def counted(model, rows, hidden, kept, *stand_in):
        asked.append(len(kept))
        return reduced_outputs(model, rows, hidden, kept, *stand_in)

    monkeypatch.setattr("flowgauge.metrics.reduced_models.nodes.reduced_outputs", counted)
    n, nodes = batch.lengths[0], np.ones((4, 6), bool)
    attention = Subgraph(nodes, np.ones((3, n, 4), bool), np.ones((3, n), bool))
    ablated_predictions(model, batch, [0, 0, 1, 0], [Subgraph(nodes), Subgraph(nodes.copy()), Subgraph(nodes), attention])
    assert asked == [2, 1]


def test_clean_predictions(model, make):
    batch = make.batch(model, [6, 5], pairwise=False)
    assert clean_predictions(model, batch)[:, 0].tolist() == model.outputs(batch)[0].argmax(1).tolist()
