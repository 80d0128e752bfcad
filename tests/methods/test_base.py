"""The other methods, against captum and by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from captum.attr import LayerConductance, LayerIntegratedGradients

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.methods.attention.attention_paths import AttentionPaths
from flowgauge.methods.base import explanations, method
from flowgauge.methods.explanation import Explanation
from flowgauge.methods.gradients.conductance import Conductance
from flowgauge.methods.gradients.integrated_gradients import IntegratedGradients
from flowgauge.methods.gradients.internal_influence import InternalInfluence
from flowgauge.methods.patterns.influence_patterns import InfluencePatterns
from flowgauge.methods.patterns.repl_skip import ReplacedSkips
from flowgauge.methods.random import Random
from flowgauge.methods.views import best_paths, edge_flows, mean_edges, positive_words, rank_nodes
from flowgauge.models.flow.graph import ALL_HEADS, SKIP, Patterns, Subgraph, all_paths
from flowgauge.models.flow.trace import path_trace


def hf_q(model, batch):
    """q from token ids by the Hugging Face model itself, as captum's layer methods want it."""

    def forward(ids, mask):
        logits = model.hf(input_ids=ids, attention_mask=mask).logits
        logits = logits[:, int(batch.target[0])] if model.head == "masked" else logits
        return logits[:, int(batch.answer[0, 0])] - logits[:, int(batch.against[0, 0])]

    return forward


@pytest.mark.parametrize(("rule", "captum_rule"), [("midpoint", "riemann_middle"), ("gauss-legendre", "gausslegendre")])
@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert"])
def test_integrated_gradients_equal_captums_layer_integrated_gradients(models, batches, family, rule, captum_rule):
    model = models(family)
    model.hf.set_attn_implementation("eager")
    batch = batches(model, [6, 5])
    found = IntegratedGradients(rule=rule, samples=20).explain(model, batch)
    baseline = torch.full_like(batch.ids, model.tokenizer.mask_token_id)
    oracle = LayerIntegratedGradients(hf_q(model, batch), model.word_embedding)
    kwargs = {"additional_forward_args": (batch.attention_mask.long(),), "n_steps": 20, "method": captum_rule}
    if family == "roberta":  # positions follow the ids: give it those of the input
        kwargs["additional_forward_args"] = (batch.attention_mask.long(),)
    expected = oracle.attribute(batch.ids, baseline, **kwargs).sum(-1)
    g = path_trace(model, batch, rule, 20).g
    for row, n in enumerate(batch.lengths):
        if family == "roberta" and n < 6:
            continue  # the padded baseline has no padding ids, so captum's positions differ
        assert abs(found[row].tokens - expected[row, :n].detach().numpy()).max() < 1e-5
        assert abs(g[row, :n].numpy() - expected[row, :n].detach().numpy()).max() < 1e-5


def test_integrated_gradients_are_complete_at_every_layer(model, batch):
    trace = path_trace(model, batch, samples=50)
    for row, found in enumerate(IntegratedGradients().explain(model, batch)):
        change = float(trace.q[row] - trace.q_baseline[row])
        assert found.tokens.sum() == pytest.approx(change, abs=2e-3)
        assert found.nodes.sum(1) == pytest.approx(np.full(4, change), abs=2e-3)
        assert found.values["completeness_error"] == pytest.approx(float(trace.completeness[row]), abs=1e-6)


def test_conductance_sums_to_g_at_every_layer_and_equals_captums(model, batches):
    batch = batches(model, [6, 6])
    model.hf.set_attn_implementation("eager")
    found = Conductance(samples=200).explain(model, batch)
    patterns = InfluencePatterns(samples=200).explain(model, batch)
    baseline = torch.full_like(batch.ids, model.tokenizer.mask_token_id)
    words, base = model.word_embedding(batch.ids).detach(), model.word_embedding(baseline).detach()

    def forward(vectors):
        logits = model.hf(inputs_embeds=vectors, attention_mask=torch.ones(vectors.shape[:2], dtype=torch.long)).logits[:, 2]
        return logits[:, 7] - logits[:, 8]

    for row in range(2):
        assert found[row].nodes.sum(1) == pytest.approx(np.full(4, found[row].tokens.sum()), abs=1e-9)
        sign = np.where(found[row].tokens < 0, -1, 1)
        assert found[row].flows.sum(2) * sign[:, None] == pytest.approx(np.repeat(found[row].tokens[:, None], 4, 1), abs=1e-9)
        influence = patterns[row].patterns
        assert found[row].tokens[influence.source] == pytest.approx(influence.total, abs=1e-12)
    for layer in range(3):
        oracle = LayerConductance(forward, model.hf.bert.encoder.layer[layer]).attribute(
            words, base, n_steps=200, method="riemann_middle"
        )
        expected = oracle.detach().sum(-1).numpy()
        for row in range(2):
            scale = abs(expected[row]).max()
            assert abs(found[row].nodes[layer + 1] - expected[row]).max() < 0.02 * scale  # captum's own quadrature error


def test_internal_influence_is_the_mean_gradient(model, batch):
    trace = path_trace(model, batch)
    found = InternalInfluence().explain(model, batch)
    expected = trace.grad_hidden[2].unflatten(0, (3, 50)).mean(1).sum(-1)
    assert found[1].nodes[2] == pytest.approx(expected[1, :5].numpy())
    assert found[1].nodes[3][[0, 1, 3, 4]].tolist() == [0, 0, 0, 0]  # q reads the target only


def test_attention_paths_are_the_best_of_all(model, batch):
    found = AttentionPaths().explain(model, batch)[2]
    edges = found.edges[:, 0]
    assert edges.sum(-1) == pytest.approx(np.ones((3, 4)))
    for path, product in zip(found.patterns.positions[..., 0], found.patterns.influence, strict=True):
        every = {
            walk: edges[0, walk[1], walk[0]] * edges[1, walk[2], walk[1]] * edges[2, 2, walk[2]]
            for walk in itertools.product([path[0]], range(4), range(4))
        }
        assert product == pytest.approx(max(every.values()))
        assert every[tuple(path[:3])] == pytest.approx(product)


def test_repl_skip_opens_all_heads_where_a_skip_was(model, batch):
    patterns = InfluencePatterns(samples=5).explain(model, batch)[0].patterns
    replaced = ReplacedSkips(samples=5).explain(model, batch)[0].patterns
    assert (patterns.heads == SKIP).any()
    assert ((replaced.heads == ALL_HEADS) == (patterns.heads == SKIP)).all()
    assert (replaced.heads[patterns.heads != SKIP] == patterns.heads[patterns.heads != SKIP]).all()


def test_random_depends_on_the_seed_of_the_instance_alone(model, batch, single):
    together = Random(draws=3).explain(model, batch)
    (own,) = Random(draws=3).explain(model, single(batch, 1))
    assert len(own.draws) == 3
    assert (own.draws[2].nodes == together[1].draws[2].nodes).all()
    assert not (together[0].draws[0].nodes[:, :4] == together[2].draws[0].nodes).all()


def test_remembered_patterns_are_charged(model, batch):
    method = InfluencePatterns(samples=3)
    first = method.explain(model, batch)
    again = method.explain(model, batch)
    assert again[0] is first[0] and len(batch.cache["charges"]) == 1


@pytest.fixture
def edges():
    rng = np.random.default_rng(0)
    return rng.random((3, 4, 4))


def test_edge_flows_equal_brute_force(edges):
    flows, paths = edge_flows(edges, 1), best_paths(edges, 1)
    walks = {}
    for walk in itertools.product(range(4), repeat=3):
        walks[(*walk, 1)] = edges[0, walk[1], walk[0]] * edges[1, walk[2], walk[1]] * edges[2, 1, walk[2]]
    for j, depth, i in itertools.product(range(4), range(4), range(4)):
        through = [p for w, p in walks.items() if w[0] == j and w[depth] == i]
        assert flows[j, depth, i] == pytest.approx(max(through, default=0))
    for j in range(4):
        best = max((p, w) for w, p in walks.items() if w[0] == j)
        assert paths.product[j] == pytest.approx(best[0]) and tuple(paths.positions[j]) == best[1]


def test_negative_edges_count_as_nothing():
    edges = np.array([[[[0.6, -2.0], [1.0, 0.0]], [[0.0, -1.0], [-3.0, 0.5]]]])
    assert mean_edges(edges)[0] == pytest.approx(np.array([[0.3, 0.0], [0.0, 0.25]]))


def test_rank_nodes_reads_each_view():
    nodes = np.array([[0.0, 1, 2], [5, 1, 5], [0, 3, 1]])
    ranking = rank_nodes(Explanation(nodes=nodes), np.array([0, 1]), 2)
    assert ranking.own.tolist() == [[True, True, False], [True, False, False], [False, False, True]]
    assert (ranking.score == nodes).all()
    flows = np.zeros((3, 3, 3))
    flows[0, 1], flows[1, 1], flows[2, 1] = [3, 1, 0], [0, 1, 4], [0, 9, 0]
    ranking = rank_nodes(Explanation(flows=flows), np.array([0, 1]), 2)
    assert ranking.own[1].tolist() == [True, False, True] and ranking.score[1].tolist() == [3, 1, 4]
    patterns = Patterns(
        np.array([0, 1]), np.array([1.0, -1]), np.array([0.5, -0.8]), np.array([[[0], [1], [2]], [[1], [0], [2]]])
    )
    ranking = rank_nodes(Explanation(tokens=np.array([1.0, -1, 0]), patterns=patterns), np.array([0]), 2)
    assert ranking.own.tolist() == [[True, False, False], [False, True, False], [False, False, True]]
    assert ranking.score[1].tolist() == [0, 0.5, 0]
    ranking = rank_nodes(Explanation(mask=np.arange(12.0).reshape(4, 3)), np.array([1]), 0)
    assert ranking.score.tolist() == [[3, 4, 5], [6, 7, 8], [9, 10, 11]]
    with pytest.raises(NotApplicable, match="gives mask of words, from which nodes cannot be ranked"):
        rank_nodes(Explanation(mask=np.arange(12.0).reshape(4, 3), fill=np.zeros((1, 5))), np.array([1]), 0)
    with pytest.raises(NotApplicable, match="gives tokens, from which nodes cannot be ranked"):
        rank_nodes(Explanation(tokens=np.ones(3)), np.array([0]), 2)
    with pytest.raises(NotApplicable, match="gives nodes, from which no word's sign"):
        positive_words(Explanation(nodes=nodes))


def test_path_counts_equal_enumeration():
    rng = np.random.default_rng(3)
    for _ in range(20):
        nodes, heads, skips = rng.random((4, 3)) < 0.7, rng.random((3, 3, 2)) < 0.5, rng.random((3, 3)) < 0.5
        count, count_heads = 0, 0
        for walk in itertools.product(range(3), repeat=4):
            if walk[-1] == 1 and all(nodes[depth, i] for depth, i in enumerate(walk)):
                count += 1
                ways = [int(heads[n, walk[n + 1]].sum()) + (skips[n, walk[n]] if walk[n] == walk[n + 1] else 0) for n in range(3)]
                count_heads += int(np.prod(ways))
        assert Subgraph(nodes).paths(1) == count
        assert Subgraph(nodes, heads, skips).paths(1) == count_heads
    whole = Subgraph(np.ones((7, 11), bool), np.ones((6, 11, 8), bool), np.ones((6, 11), bool))
    assert whole.paths(7) == all_paths(6, 11, 8) == 89**6


def test_explanations_refuse_what_is_not_one():
    with pytest.raises(ValueError, match="'tokens' has 1 of 2 values that are NaN"):
        Explanation(tokens=np.array([1, np.nan]))
    with pytest.raises(ValueError, match="'nodes' must have 2 axes"):
        Explanation(nodes=np.ones(3))
    with pytest.raises(ValueError, match="at least one view"):
        Explanation()
    with pytest.raises(ValueError, match="heads must be"):
        Patterns(np.array([0]), np.ones(1), np.ones(1), np.zeros((1, 3, 1), int), heads=np.zeros((1, 3, 1, 1), int))
    with pytest.raises(ValueError, match="needs heads and skips"):
        Subgraph(np.ones((2, 2), bool), np.ones((1, 2, 2), bool))


def test_explanations_trim_padding_and_refuse_wrong_shapes(batch):
    made = explanations(batch, tokens=torch.arange(18.0).reshape(3, 6), flows=torch.zeros(3, 6, 4, 6))
    assert made[2].tokens.tolist() == [12, 13, 14, 15] and made[2].flows.shape == (4, 4, 4)
    with pytest.raises(ValueError, match=r"'tokens' has shape \(3, 5\); expected one row for each of 3 instances with 6 tokens"):
        explanations(batch, tokens=torch.zeros(3, 5))
    with pytest.raises(ValueError, match="no view is called 'saliency'"):
        explanations(batch, saliency=torch.zeros(3, 6))


def test_a_plain_function_is_a_method(model, batch):
    @method("mine", gives={"tokens"})
    def mine(model, batch, scale=2.0):
        """Position times scale."""
        return explanations(batch, tokens=torch.arange(6.0).expand(3, -1) * scale)

    assert mine.name == "mine" and mine.flowgauge_kind == "method"
    assert mine(scale=3.0).explain(model, batch)[1].tokens.tolist() == [0, 3, 6, 9, 12]
    assert mine().options == {"scale": 2.0}
    with pytest.raises(UsageError, match="names the view 'token'"):
        method("x", gives={"token"})
    with pytest.raises(UsageError, match=r"method 'x' declares needs='layered'.*declare 'transformer'"):
        method("x", gives={"tokens"}, needs={"layered"})
