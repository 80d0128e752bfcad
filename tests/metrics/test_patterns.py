"""Metrics that read patterns, with exact numbers from patterns made by hand: 3 layers, 4 heads, 5 tokens, target 2."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.methods.patterns.influence_patterns import InfluencePatterns
from flowgauge.metrics.base import ExplainedBatch
from flowgauge.metrics.patterns.alignment_rate import AlignmentRate
from flowgauge.metrics.patterns.concentration import Concentration
from flowgauge.metrics.patterns.path_share import PathShare
from flowgauge.metrics.patterns.skip_share import SkipShare, skip_parts
from flowgauge.metrics.summary import summarise
from flowgauge.metrics.tokens.completeness_error import CompletenessError
from flowgauge.models.flow.chain_rule import pattern_influence, single
from flowgauge.models.flow.graph import ALL_HEADS, NO_EDGE, SKIP, Patterns
from flowgauge.models.flow.trace import path_trace
from flowgauge.models.outputs import value

T = 2
ALL = [Concentration(), PathShare(), SkipShare(influence=False), AlignmentRate()]


def aggregate(scores, variant):
    found = {a.variant: a for a in scores.aggregates or summarise(scores.rows)}
    return found[variant]


@pytest.fixture
def shown(make, model):
    """Two instances: words 0 (g = 2) and 1 (g = 1) positive and 3 (g = -4) negative; then one positive word, the target."""
    first = make.paths(
        [2.0, 1.0, -4.0],
        [[0, 0, 0, T], [1, 0, T, T], [3, T, T, T]],
        [1.0, 0.5, -1.0],
        [[SKIP, SKIP, 3], [0, 1, SKIP], [2, SKIP, 0]],
        [0.4, 0.2, -0.8],
    )
    second = make.paths([2.0], [[T, T, T, T]], [1.8], [[SKIP, SKIP, SKIP]], [0.9])
    batch = make.batch(model, [5, 4])
    return make.by_hand(model, batch, [make.explained(5, first), make.explained(4, second)])


def test_concentration(model, shown, value_of):
    scores = Concentration().score(model, [shown], None)
    expected = {
        "positive/embedding": [1.5 / 3, 0.9], "negative/embedding": [0.25, np.nan],
        "positive/attention": [0.6 / 3, 0.45], "negative/attention": [0.2, np.nan],
    }  # fmt: skip
    for variant, values in expected.items():
        assert [value_of(scores, variant, name) for name in shown.batch.names] == pytest.approx(values, nan_ok=True)
    undefined = aggregate(scores, "negative/embedding")
    assert (undefined.value, undefined.count, undefined.undefined) == (0.25, 1, 1)
    assert undefined.reason == "no word has negative influence."
    corpus = aggregate(scores, "positive/embedding/corpus")
    assert (corpus.value, corpus.count) == (pytest.approx(3.3 / 5), 2)
    assert (corpus.low, corpus.high) == (pytest.approx(0.5), pytest.approx(0.9))
    assert aggregate(scores, "negative/attention/corpus").value == pytest.approx(0.2)


def test_concentration_without_influence_at_the_attention_level(make, model):
    flat = make.explained(5, make.paths([2.0], [[0, 0, 0, T]], [1.0]))
    scores = Concentration().score(model, [make.by_hand(model, make.batch(model, [5]), [flat])], None)
    assert aggregate(scores, "positive/embedding").value == 0.5
    assert aggregate(scores, "positive/attention").reason == "the patterns have no influence at the attention level."
    with pytest.raises(StopIteration):
        next(a for a in scores.aggregates if a.variant == "positive/attention/corpus")


def test_concentration_needs_influence(make, model):
    unsigned = Explanation(patterns=make.paths([0.5], [[0, 0, 0, T]]))
    with pytest.raises(NotApplicable, match="patterns come without token scores"):
        Concentration().score(model, [make.by_hand(model, make.batch(model, [5]), [unsigned])], None)


def test_path_share(model, shown, value_of):
    scores = PathShare().score(model, [shown], None)
    # first: hidden[1] = {0}, hidden[2] = {0, 2}: 2 sources x 2 ways.
    # Its heads: (0,0) skip and head 0, (1,0) skip, (1,2) head 1, (2,2) head 3 and skip. So hidden[1][0]: 1 (skip from 0) + 2
    # (head 0 from 0 or 1) = 3; hidden[2]: 3 (by skip) and 3 (by head 1); the target: 6 (head 3 from both) + 3 (skip from 2) = 9.
    assert value_of(scores, "embedding", shown.batch.names[0]) == 4 / 5**3
    assert value_of(scores, "attention", shown.batch.names[0]) == 9 / 21**3
    assert value_of(scores, "embedding", shown.batch.names[1]) == 1 / 4**3
    assert value_of(scores, "attention", shown.batch.names[1]) == 1 / 17**3


def test_path_share_of_no_words_and_of_no_heads(make, model, value_of):
    batch = make.batch(model, [5, 5])
    negative = make.explained(5, make.paths([-1.0], [[0, 0, 0, T]]))
    everything = make.explained(5, make.paths([1.0] * 5, [[i, i, i, T] for i in range(5)]))
    scores = PathShare().score(model, [make.by_hand(model, batch, [negative, everything])], None)
    assert [value_of(scores, "embedding", name) for name in batch.names] == [0.0, 1.0]
    assert aggregate(scores, "attention").reason == "the patterns have no attention level."


def test_skips_are_counted_with_multiplicity(model, shown, value_of):
    scores = SkipShare(influence=False).score(model, [shown], None)
    # 9 edges, by word 0: 0-0, 0-0, 0-2; word 1: 1-0, 0-2, 2-2; word 3: 3-2, 2-2, 2-2
    expected = {
        "skip_share": [4 / 9, 1.0],
        "same_position_share": [5 / 9, 1.0],
        "skip_given_same": [4 / 5, 1.0],
        "ceiling": [2 / 3, 1.0],
    }
    for variant, values in expected.items():
        assert [value_of(scores, variant, name) for name in shown.batch.names] == pytest.approx(values)


def test_skips_of_no_words_are_undefined(make, model):
    nothing = Patterns(
        np.zeros(0, int), np.zeros(0), np.zeros(0), np.zeros((0, 4, 1), int), np.zeros(0), np.zeros((0, 3, 1, 1), int)
    )
    away = make.paths([1.0], [[0, 1, 0, T]], [1.0], [[0, 0, 0]], [1.0])
    shown = make.by_hand(
        model, make.batch(model, [5, 5]), [Explanation(tokens=np.zeros(5), patterns=nothing), make.explained(5, away)]
    )
    scores = SkipShare(samples=2).score(model, [shown], None)
    reasons = {(r.variant, r.instance): r.reason for r in scores.rows.itertuples() if np.isnan(r.value)}
    first, second = shown.batch.names
    assert reasons[("skip_share", first)] == reasons[("influence_weighted", first)] == "no word has a pattern."
    assert reasons[("skip_given_same", second)] == "no edge stays at its position."
    assert reasons[("influence_weighted/skip_given_same", second)] == "no edge stays at its position."
    assert aggregate(scores, "influence_weighted").value == 0.0


def test_skip_parts_are_those_of_brute_force(make, model):
    """The part through layer l's skip is the sum over every choice of heads and skips at the other layers."""
    batch = make.batch(model, [5, 4])
    trace = path_trace(model, batch, samples=3)
    paths = torch.tensor([[0, 0, 0, T], [1, 1, T, T], [0, 3, 1, T]])
    skips, total = skip_parts(single(trace, 0), paths)
    codes = torch.cartesian_prod(*[torch.arange(-1, 4)] * 3)
    for m, path in enumerate(paths):
        every = pattern_influence(trace, 0, path.expand(len(codes), 4), codes)
        assert float(total[m]) == pytest.approx(float(every.sum()), abs=1e-10)
        for layer in range(3):
            assert float(skips[m, layer]) == pytest.approx(float(every[codes[:, layer] == -1].sum()), abs=1e-10)
    assert (skips[2] == 0).all() and (abs(skips[0, :2]) > 1e-6).all()


def test_influence_weighted_skips(make, model, value_of):
    batch = make.batch(model, [5, 4])
    shown = make.by_method(model, batch, "influence-patterns:samples=3")
    scores = SkipShare(samples=3).score(model, [shown], None)
    trace = path_trace(model, batch, samples=3)
    for row, name in enumerate(batch.names):
        positions = shown.gold[row].patterns.positions[..., 0]
        skips, total = (x.numpy() for x in skip_parts(single(trace, row), torch.from_numpy(positions)))
        assert total == pytest.approx(shown.gold[row].patterns.influence, abs=1e-10)
        heads, same = abs(total[:, None] - skips), positions[:, 1:] == positions[:, :-1]
        assert value_of(scores, "influence_weighted", name) == pytest.approx(abs(skips).sum() / (abs(skips) + heads).sum())
        expected = abs(skips[same]).sum() / (abs(skips) + heads)[same].sum()
        assert value_of(scores, "influence_weighted/skip_given_same", name) == pytest.approx(expected)


def test_alignment(model, shown, value_of):
    from flowgauge.metrics.patterns.alignment_rate import input_attention

    weights = input_attention(model, shown)
    assert weights[0][0].sum(-1) == pytest.approx(np.ones((4, 5)))
    best = [
        [weights[layer][0, :, i, p].argmax() for layer, p, i in path]
        for path in ([(2, 0, T)], [(0, 1, 0), (1, 0, T)], [(0, 3, T), (2, T, T)])
    ]
    scores = AlignmentRate().score(model, [shown], None)
    chosen = [[3], [0, 1], [2, 0]]
    aligned = sum(int(a == b) for x, y in zip(best, chosen, strict=True) for a, b in zip(x, y, strict=True))
    pooled = aggregate(scores, "alignment_rate")
    assert (pooled.value, pooled.count, pooled.undefined) == (aligned / 5, 1, 1)
    assert pooled.reason == "no edge of the patterns takes a single head."
    assert aggregate(scores, "chance").value == 0.25


def test_alignment_is_pooled_over_edges(make, model):
    """One instance takes the best head on its three edges, the other takes it once and a worse one twice."""
    from flowgauge.metrics.patterns.alignment_rate import input_attention

    batch = make.batch(model, [5, 5])
    path = [0, 1, 3, T]
    empty = make.by_hand(model, batch, [Explanation(tokens=np.zeros(5))] * 2)
    weights = input_attention(model, empty)
    best = [[int(weights[layer][row, :, path[layer + 1], path[layer]].argmax()) for layer in range(3)] for row in range(2)]
    heads = [best[0], [best[1][0], (best[1][1] + 1) % 4, SKIP]]
    made = [make.explained(5, make.paths([1.0], [path], [1.0], [h], [1.0])) for h in heads]
    scores = AlignmentRate().score(model, [make.by_hand(model, batch, made)], None)
    assert aggregate(scores, "alignment_rate").value == 4 / 5
    assert aggregate(scores, "mean").value == 0.75


def test_all_heads_at_once_are_no_choice(make, model, value_of):
    replaced = make.paths([1.0], [[0, 0, 0, T]], [1.0], [[ALL_HEADS, ALL_HEADS, 1]])
    shown = make.by_hand(model, make.batch(model, [5]), [make.explained(5, replaced)])
    assert value_of(SkipShare(influence=False).score(model, [shown], None), "skip_share") == 0.0
    scores = AlignmentRate().score(model, [shown], None)
    assert aggregate(scores, "mean").value in (0.0, 1.0)
    # 4 heads at 0, 4 heads again, one head at the target: 1 x 4 x 4 x 1 paths
    assert value_of(PathShare().score(model, [shown], None), "attention") == 16 / 21**3


def test_bundles_of_two_nodes_a_layer(make, model, value_of):
    """One word, two nodes at hidden[1]: four edges, two of which could be skips."""
    positions = np.array([[[0, -1], [0, 1], [T, -1], [T, -1]]])
    heads = np.full((1, 3, 2, 2), NO_EDGE)
    heads[0, 0, 0, 0], heads[0, 0, 1, 0] = SKIP, 2
    heads[0, 1, 0] = [1, 3]
    heads[0, 2, 0, 0] = SKIP
    bundle = Patterns(np.array([0]), np.array([2.0]), np.array([1.5]), positions, np.array([0.5]), heads)
    shown = make.by_hand(model, make.batch(model, [5]), [make.explained(5, bundle)])
    assert value_of(Concentration().score(model, [shown], None), "positive/attention") == 0.25
    assert value_of(PathShare().score(model, [shown], None), "embedding") == 2 / 5**3
    # (0,0) skip, (0,1) head 2, (1,2) heads 1 and 3, (2,2) skip: two nodes at hidden[1], two heads onward
    assert value_of(PathShare().score(model, [shown], None), "attention") == 4 / 21**3
    scores = SkipShare(samples=2).score(model, [shown], None)
    assert value_of(scores, "skip_share") == 2 / 5 and value_of(scores, "same_position_share") == 2 / 5
    assert aggregate(scores, "influence_weighted").reason.startswith("the patterns are bundles")


def test_completeness(make, model, value_of):
    batch = make.batch(model, [4, 4])
    with torch.no_grad():
        q = value(model.outputs(batch), batch).tolist()
    first = Explanation(tokens=np.ones(4), values={"q_baseline": q[0] - 3.5})
    second = Explanation(tokens=np.ones(4), values={"q_baseline": q[1]})
    scores = CompletenessError().score(model, [make.by_hand(model, batch, [first, second])], None)
    assert value_of(scores, "absolute") == pytest.approx((0.5 + 4) / 2)
    assert aggregate(scores, "relative").value == pytest.approx(0.5 / 3.5)
    assert aggregate(scores, "relative").reason == "q is the same at the input and at the baseline."
    with pytest.raises(NotApplicable, match="reports no q_baseline"):
        CompletenessError().score(model, [make.by_hand(model, batch, [Explanation(tokens=np.ones(4))] * 2)], None)


def test_completeness_layer_by_layer(make, model, value_of):
    batch = make.batch(model, [3, 3])
    edges = np.zeros((3, 2, 3, 3))
    edges[0, 0, 0, 1], edges[0, 1, 1, 1], edges[2, 0, 0, 0] = 0.5, -0.2, 0.4
    first = Explanation(edges=edges, values={"change/1": 0.2, "change/2": 0.0, "change/3": 0.6})
    still = Explanation(edges=0 * edges, values={"change/1": 0.0, "change/2": 0.0, "change/3": 0.0})
    scores = CompletenessError().score(model, [make.by_hand(model, batch, [first, still])], None)
    name = batch.names[0]
    assert [value_of(scores, f"layer/{layer}/absolute", name) for layer in (1, 2, 3)] == pytest.approx([0.1, 0, 0.2])
    assert value_of(scores, "layers/absolute", name) == pytest.approx(0.2)
    assert value_of(scores, "layers/relative", name) == pytest.approx(0.3 / 0.8)
    assert aggregate(scores, "layers/relative").undefined == 1
    assert np.isnan(aggregate(scores, "absolute").value) and "see layers/relative" in aggregate(scores, "absolute").reason


def test_completeness_of_attention_attribution_falls_with_its_steps(make, model, value_of):
    batch = make.batch(model, [5, 4])
    found = []
    for steps in (5, 40):
        shown = make.by_method(model, batch, f"attattr:steps={steps}")
        scores = CompletenessError().score(model, [shown], None)
        for name, one in zip(batch.names, shown.gold, strict=True):
            assert value_of(scores, "layers/absolute", name) == pytest.approx(one.values["completeness_error"], abs=1e-12)
        found.append(value_of(scores, "layers/relative"))
    assert 0 < found[1] < 0.25 * found[0]


def test_completeness_of_influence_patterns_is_the_traces(model, make, value_of):
    batch = make.batch(model, [5, 4])
    shown = make.by_method(model, batch, "influence-patterns:samples=3")
    trace = path_trace(model, batch, samples=3)
    expected = (trace.g.sum(1) - (trace.q - trace.q_baseline)).abs().mean().item()
    assert value_of(CompletenessError().score(model, [shown], None), "absolute") == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", ALL, ids=lambda m: m.name)
def test_methods_without_patterns_are_not_applicable(make, model, metric):
    batch = make.batch(model, [5])
    shown = make.by_hand(model, batch, [Explanation(nodes=np.ones((4, 5)))])
    with pytest.raises(NotApplicable, match="the method gives nodes, and this metric reads patterns"):
        metric.score(model, [shown], None)
    flat = make.explained(5, make.paths([1.0], [[0, 0, 0, T]]))
    several = replace(batch, target=None)
    with pytest.raises(NotApplicable, match="q reads several positions"):
        metric.score(model, [ExplainedBatch(several, several, shown.instances, (flat,), (flat,))], None)


@pytest.mark.parametrize("metric", [SkipShare(influence=False), AlignmentRate()], ids=lambda m: m.name)
def test_patterns_without_heads_are_not_applicable(make, model, metric):
    flat = make.explained(5, make.paths([1.0], [[0, 0, 0, T]]))
    with pytest.raises(NotApplicable, match="the patterns have no attention level"):
        metric.score(model, [make.by_hand(model, make.batch(model, [5]), [flat])], None)


def test_wide_bundles_of_the_method_itself(make, model):
    batch = make.batch(model, [5])
    made = InfluencePatterns(samples=2, k=2).explain(model, batch)
    shown = make.by_hand(model, batch, made)
    assert aggregate(SkipShare(influence=False).score(model, [shown], None), "same_position_share").value < 1
    assert aggregate(PathShare().score(model, [shown], None), "embedding").value > 0


def test_a_word_with_two_patterns_counts_once(make, model, value_of):
    batch = make.batch(model, [5])
    shown = make.by_hand(model, batch, [make.explained(5, make.paths([1.0, 1.0], [[0, 0, 0, 2], [0, 1, 1, 2]], [0.5, 0.4]))])
    assert value_of(Concentration().score(model, [shown], None), "positive/embedding") == pytest.approx(0.9)


def test_draws_are_not_instances(make, model):
    batch = make.batch(model, [5, 5])
    one = make.explained(5, make.paths([1.0], [[0, 0, 0, 2]], [0.5], heads=[[0, 0, 0]]))
    for metric, variant in ((Concentration(), "positive/embedding/corpus"), (AlignmentRate(), "alignment_rate")):
        shown = make.by_hand(model, batch, [Explanation(draws=(one,) * 20)] * 2)
        assert aggregate(metric.score(model, [shown], None), variant).count == 2
