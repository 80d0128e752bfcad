"""Raw attention, rollout and flow: closed forms, brute force, and networkx where it is installed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from flowgauge.core.errors import UsageError
from flowgauge.methods.attention.attention_flow import AttentionFlow
from flowgauge.methods.attention.attention_graph import attention_maps
from flowgauge.methods.attention.attention_paths import AttentionPaths
from flowgauge.methods.attention.attention_rollout import AttentionRollout, rollout, target_rows
from flowgauge.methods.attention.max_flow import bottom_flows, target_flows
from flowgauge.methods.attention.raw_attention import RawAttention
from flowgauge.models.flow.layer import PostNorm

METHODS = [RawAttention(), AttentionRollout(), AttentionRollout(0.3, 2), AttentionFlow(), AttentionFlow(normalise=False)]


def random_graph(n_layers, n, seed=0, sharp=1.0):
    """Rows of a softmax; the sharper, the further from uniform."""
    scores = torch.randn(1, n_layers, n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * sharp
    return 0.5 * scores.softmax(-1) + 0.5 * torch.eye(n, dtype=torch.float64)


def smallest_cut(graph, target, layer, sink):
    """Brute force: the smallest capacity that leaves any set of nodes holding the source and not the sink."""
    inner = [(depth, i) for depth in range(layer + 1, len(graph)) for i in range(graph.shape[-1])]
    best = np.inf
    for side in itertools.product((False, True), repeat=len(inner)):
        near = {(len(graph), target), *(node for node, chosen in zip(inner, side, strict=True) if chosen)}
        cut = 0.0
        for depth, i in near:
            below = range(graph.shape[-1]) if depth - 1 > layer else (sink,)
            cut += sum(graph[depth - 1, i, p] for p in below if (depth - 1, p) not in near)
        best = min(best, cut)
    return best


def test_rollout_of_identity_attention_is_the_identity():
    eye = torch.eye(5, dtype=torch.float64).expand(1, 4, 5, 5)
    assert (rollout(eye)[0, -1] == torch.eye(5)).all()
    assert target_rows(eye, torch.tensor([3]))[0].tolist() == [[0, 0, 0, 1, 0]] * 5
    assert target_flows(eye[0].numpy(), 3).tolist() == [[0, 0, 0, 1, 0]] * 5


def test_rollout_of_uniform_attention_has_a_closed_form():
    n, layers = 5, 4
    eye, uniform = torch.eye(n, dtype=torch.float64), torch.full((n, n), 1 / n, dtype=torch.float64)
    found = rollout((0.5 * eye + 0.5 * uniform).expand(2, layers, n, n))
    for depth in range(layers + 1):
        expected = 2.0**-depth * eye + (1 - 2.0**-depth) * uniform
        assert torch.allclose(found[1, depth], expected, atol=1e-15)


def test_rows_from_the_top_are_those_of_the_whole_product():
    graph, target = torch.cat([random_graph(4, 6, s) for s in range(3)]), torch.tensor([0, 5, 2])
    whole, rows = rollout(graph), target_rows(graph, target)
    assert torch.allclose(whole.sum(-1), torch.ones(3, 5, 6, dtype=torch.float64), atol=1e-14)
    assert torch.allclose(rows[:, 0], whole[torch.arange(3), -1, target], atol=1e-15)
    assert torch.allclose(rows[:, 2], (graph[:, 3] @ graph[:, 2])[torch.arange(3), target], atol=1e-15)


def test_rollout_conserves_flow_in_every_layer(model, batch):
    weights = attention_maps(model, batch)
    for row, (n, found) in enumerate(zip(batch.lengths, AttentionRollout(0.4).explain(model, batch), strict=True)):
        product = torch.eye(n, dtype=torch.float64)
        for layer in weights:
            product = (0.6 * layer[row].mean(0)[:n, :n] + 0.4 * torch.eye(n, dtype=torch.float64)) @ product
        assert found.tokens == pytest.approx(product[2].numpy(), abs=1e-15)
        assert found.flows.sum(2) == pytest.approx(np.repeat(found.tokens[:, None], 4, 1), abs=1e-15)
        assert found.flows.sum(0) == pytest.approx(found.nodes, abs=1e-15)
        assert found.nodes.sum(1) == pytest.approx(np.ones(4), abs=1e-14)
        assert found.flows[:, 0] == pytest.approx(np.diag(found.tokens), abs=1e-15)
        assert found.nodes[3].tolist() == [0, 0, 1, *[0] * (n - 3)]


def test_flows_are_sums_over_paths(model, batch):
    found, edges = AttentionRollout().explain(model, batch)[2], AttentionPaths().explain(model, batch)[2].edges[:, 0]
    through = np.zeros((4, 4, 4))
    for walk in itertools.product(range(4), repeat=3):
        product = edges[0, walk[1], walk[0]] * edges[1, walk[2], walk[1]] * edges[2, 2, walk[2]]
        for depth, i in enumerate((*walk, 2)):
            through[walk[0], depth, i] += product
    assert found.flows == pytest.approx(through, abs=1e-15)


def test_depth_reads_a_lower_layer_and_passes_the_target_on(model, batch):
    for method in (AttentionRollout(depth=1), AttentionFlow(depth=1)):  # one layer: flow = rollout = its own weights
        for row, found in enumerate(method.explain(model, batch)):
            edges = AttentionPaths().explain(model, batch)[row].edges
            assert found.tokens == pytest.approx(edges[0, 0, 2], abs=1e-12)
            assert found.nodes[1:].tolist() == [np.eye(len(found.tokens))[2].tolist()] * 3
    assert AttentionRollout(depth=3).explain(model, batch)[0].tokens.tolist() == pytest.approx(
        AttentionRollout().explain(model, batch)[0].tokens.tolist(), abs=0
    )


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
@pytest.mark.parametrize("sharp", [0.3, 3.0])
def test_flow_is_the_smallest_cut(layers, sharp):
    graph = random_graph(layers, 3, layers, sharp)[0].numpy()
    for target in range(3):
        found = target_flows(graph, target)
        expected = [[smallest_cut(graph, target, layer, sink) for sink in range(3)] for layer in range(layers)]
        assert found[:-1] == pytest.approx(np.array(expected), abs=1e-8)
        assert found[-1].tolist() == np.eye(3)[target].tolist()


def test_flow_is_networkx_flow():
    networkx = pytest.importorskip("networkx")
    graph = random_graph(5, 6, 3, 2.0)[0].numpy()
    whole = networkx.DiGraph()
    for layer, i, p in itertools.product(range(5), range(6), range(6)):
        whole.add_edge((layer + 1, i), (layer, p), capacity=graph[layer, i, p])
    found = target_flows(graph, 4)
    for layer, sink in itertools.product(range(5), range(6)):
        assert found[layer, sink] == pytest.approx(networkx.maximum_flow_value(whole, (5, 4), (layer, sink)), abs=1e-8)


def test_what_reaches_a_node_can_go_on_to_the_words():
    """The reading of nodes: with all words joined in one sink, what passes the node is what can reach it."""
    networkx = pytest.importorskip("networkx")
    graph = random_graph(4, 4, 5, 2.0)[0].numpy()
    found = target_flows(graph, 0)
    for node in itertools.product((1, 2, 3), range(4)):
        through = networkx.DiGraph()
        for layer, i, p in itertools.product(range(4), range(4), range(4)):
            ends = [(layer + 1, i), (layer, p) if layer else "words"]
            if all(end == "words" or end[0] != node[0] or end == node for end in ends):
                known = through.get_edge_data(*ends, {"capacity": 0.0})["capacity"]
                through.add_edge(*ends, capacity=known + graph[layer, i, p])
        assert found[node] == pytest.approx(networkx.maximum_flow_value(through, (4, 0), "words"), abs=1e-8)


@pytest.mark.parametrize("sharp", [0.1, 1.0, 5.0])
def test_flow_lies_between_rollout_and_what_its_ends_carry(sharp):
    for seed in range(5):
        graph = random_graph(5, 7, seed, sharp)
        flows, rows = target_flows(graph[0].numpy(), 1), target_rows(graph, torch.tensor([1]))[0].numpy()
        assert (flows >= rows - 1e-8).all()
        assert (flows[:-1] <= np.minimum(1, graph[0].sum(1).numpy()) + 1e-8).all()
        assert flows[-2] == pytest.approx(rows[-2], abs=1e-15)  # one layer: both are its weights
    assert flows.max() <= 1


def test_flow_does_not_depend_on_the_order_of_positions():
    graph, order = random_graph(4, 6, 8)[0].numpy(), np.random.default_rng(0).permutation(6)
    moved = graph[:, order][:, :, order]
    assert bottom_flows(moved, int(np.flatnonzero(order == 3)[0])) == pytest.approx(bottom_flows(graph, 3)[order], abs=1e-8)


def test_normalised_flow_sums_to_one_in_every_layer(model, batch):
    raw, shares = AttentionFlow(normalise=False).explain(model, batch), AttentionFlow().explain(model, batch)
    for one, two in zip(raw, shares, strict=True):
        assert one.tokens.sum() > 1.2  # words are asked for one by one
        assert two.nodes == pytest.approx(one.nodes / one.nodes.sum(1, keepdims=True), abs=1e-15)
        assert two.nodes.sum(1) == pytest.approx(np.ones(4)) and (two.tokens == two.nodes[0]).all()


def test_raw_attention_is_the_models_own(model, batch):
    model.hf.set_attn_implementation("eager")
    own = model.hf(input_ids=batch.ids, attention_mask=batch.attention_mask.long(), output_attentions=True).attentions
    for row, (n, found) in enumerate(zip(batch.lengths, RawAttention().explain(model, batch), strict=True)):
        expected = torch.stack([layer[row, :, :n, :n] for layer in own]).detach().numpy()
        assert found.edges == pytest.approx(expected, abs=1e-12)
        assert found.tokens == pytest.approx(expected[2, :, 2].mean(0), abs=1e-12)
        (first,) = RawAttention(depth=1).explain(model, batch)[row : row + 1]
        assert first.tokens == pytest.approx(expected[0, :, 2].mean(0), abs=1e-12)


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert"])
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_padding_changes_nothing(models, batches, single, family, method):
    for head in ("masked", "label"):
        model = models(family, head)
        batch = batches(model, [6, 4])
        together = method.explain(model, batch)
        for row in range(2):
            (alone,) = method.explain(model, single(batch, row))
            for view in method.gives:
                assert getattr(together[row], view) == pytest.approx(getattr(alone, view), abs=1e-8)


@pytest.mark.parametrize("method", METHODS[1:], ids=str)
def test_the_order_of_heads_is_nothing_to_rollout_and_flow(models, batches, method):
    model = models()
    before = method.explain(model, batches(model, [5]))[0]
    turn_heads(model.layers[1], [2, 0, 3, 1])
    after = method.explain(model, batches(model, [5]))[0]
    for view in method.gives:
        assert getattr(after, view) == pytest.approx(getattr(before, view), abs=1e-8)


def turn_heads(layer: PostNorm, order: list[int]) -> None:
    """The same layer with its heads in another order."""
    rows = torch.arange(layer.query.out_features).unflatten(0, (layer.heads, -1))[order].flatten()
    with torch.no_grad():
        for part in (layer.query, layer.key, layer.value):
            part.weight.copy_(part.weight[rows].clone())
            part.bias.copy_(part.bias[rows].clone())
        layer.output.weight.copy_(layer.output.weight[:, rows].clone())


@pytest.mark.parametrize("method", [AttentionRollout, AttentionFlow, RawAttention])
def test_depths_that_no_model_has_are_refused(model, batch, method):
    with pytest.raises(UsageError, match="counts layers from 1, got 0"):
        method(depth=0)
    with pytest.raises(UsageError, match="depth is 4, but 'tiny-bert' has 3 layers"):
        method(depth=4).explain(model, batch)


@pytest.mark.parametrize("method", [AttentionRollout, AttentionFlow, AttentionPaths])
def test_a_residual_is_a_share(method):
    with pytest.raises(UsageError, match=r"must lie in \[0, 1\], got 1.5"):
        method(residual=1.5)
