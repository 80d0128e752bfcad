"""The receptive field: distances by hand, controls, and what counts as an edge."""

from __future__ import annotations

import numpy as np
import pytest

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.edges.receptive_field import NO_EDGES, ReceptiveField, bins

TARGET = 2


def edges_of(*layers: dict[tuple[int, int], float], n: int = 6, heads: int = 1) -> Explanation:
    edges = np.zeros((len(layers), heads, n, n))
    for layer, given in enumerate(layers):
        for at, score in given.items():
            edges[layer, :, *at] = score / heads
    return Explanation(edges=edges)


def values(scores) -> dict[str, float]:
    return {a.variant: a.value for a in scores.aggregates}


@pytest.fixture
def scored(make, model):
    def score(explanations, lengths=None, **settings):
        batch = make.batch(model, lengths or [6] * len(explanations))
        return ReceptiveField(**settings).score(model, [make.by_hand(model, batch, explanations)], None)

    return score


def test_the_graph_by_hand(scored):
    first = {(0, 1): 1.0, (5, 0): 0.9, (3, 1): 0.5, (2, 2): 1.25, (4, 0): -3.0}  # 0.5 is tau of 1.25, which is no edge itself
    last = {(2, 5): 0.9, (2, 3): 0.01, (1, 4): 1.0, (0, 3): 5.0}  # only the target's row
    for heads in (1, 4):
        found = values(scored([edges_of(first, {}, last, heads=heads)]))
        assert found["layer/1/mean"] == (1 + 5) / 2
        assert found["layer/1/local"] == 0.5
        assert found["layer/1/relative"] == pytest.approx(3 / (7 / 3))  # (N + 1) / 3 for pairs of N = 6
        assert found["layer/3/mean"] == (3 + 1) / 2
        assert found["layer/3/relative"] == pytest.approx(2 / ((2 + 1 + 1 + 2 + 3) / 5))
        assert [found[f"layer/1/distance/{b}"] for b in ("1", "2", "3-4", "5-8")] == [0.5, 0, 0, 0.5]
        assert found["mean"] == (3 + 2) / 2
        assert np.isnan(found["layer/2/mean"])


def test_scores_as_weights_by_hand(scored):
    one = edges_of({(0, 1): 3.0, (5, 0): 1.0, (3, 0): -7.0}, {(0, 2): 1.0}, {(2, 0): 0.25})
    assert values(scored([one], weights="score"))["layer/1/mean"] == (3 * 1 + 1 * 5) / 4
    assert values(scored([one], weights="score"))["layer/1/distance/5-8"] == 0.25
    other = edges_of({(0, 1): 100.0}, {(0, 1): 1.0}, {(2, 1): 1.0})
    assert values(scored([one, other], weights="score"))["layer/1/mean"] == (2 + 1) / 2  # every instance alike


def test_the_graph_pools_edges(scored):
    one, other = edges_of({(0, 1): 1.0}), edges_of({(0, 3): 1.0, (1, 4): 1.0, (5, 2): 0.9})
    both = edges_of({}, {(2, 4): 1.0})
    pad = lambda e: Explanation(edges=np.concatenate([e.edges, both.edges[1:]]))  # noqa: E731
    found = scored([pad(one), pad(other)])
    assert values(found)["layer/1/mean"] == (1 + 3 + 3 + 3) / 4
    assert found.rows["value"].tolist() == [(1 + 2) / 2, (3 + 2) / 2]
    assert values(found)["mean"] == 2.0


def test_uniform_scores_are_at_chance(scored):
    found = values(scored([Explanation(edges=np.ones((3, 2, n, n))) for n in (6, 6, 6)]))
    assert [found[f"layer/{layer}/relative"] for layer in (1, 2, 3)] == [1.0, 1.0, 1.0]
    assert found["layer/1/mean"] == pytest.approx(7 / 3)
    assert sum(found[f"layer/2/distance/{b.name}"] for b in bins(6)) == pytest.approx(1)


def test_a_band_is_local_and_padding_is_nothing(scored, make, model):
    band = [Explanation(edges=np.stack([np.eye(n, k=1) + np.eye(n, k=-1)] * 3)[:, None]) for n in (6, 4)]
    found = scored(band, [6, 4])
    assert {a.value for a in found.aggregates if a.variant.endswith(("/mean", "/local", "/distance/1"))} == {1.0}
    alone = scored(band[:1], [6])
    assert values(alone)["mean"] == values(found)["mean"] == 1.0


def test_intervals_and_undefined_instances(scored):
    drawn = np.random.default_rng(0)
    some = [Explanation(edges=drawn.random((2, 3, 6, 6))) for _ in range(13)]
    nothing = Explanation(edges=np.zeros((2, 3, 6, 6)))
    found = scored([*some, nothing])
    layer = next(a for a in found.aggregates if a.variant == "layer/1/mean")
    assert layer.low < layer.value < layer.high
    assert (layer.count, layer.undefined, layer.reason) == (13, 1, NO_EDGES)
    assert found.rows["reason"].tolist() == [""] * 13 + [NO_EDGES]
    assert next(a for a in found.aggregates if a.variant == "mean").undefined == 1
    few = next(a for a in scored([*some[:6], nothing]).aggregates if a.variant == "layer/1/mean")
    assert (
        np.isnan(few.low)
        and few.reason == f"{NO_EDGES[:-1]}; an interval needs 12 instances, and the 6 are worth 5.9 of equal weight."
    )


def test_draws_are_averaged(scored):
    near, far = edges_of({(0, 1): 1.0}, {(2, 3): 1.0}), edges_of({(0, 5): 1.0}, {(2, 3): 1.0})
    found = values(scored([Explanation(draws=(near, far))]))
    assert found["layer/1/mean"] == 3.0


def test_other_views_are_not_applicable(make, model):
    shown = make.by_hand(model, make.batch(model, [5]), [Explanation(nodes=np.ones((4, 5)))])
    with pytest.raises(NotApplicable, match="the method gives nodes, and this metric reads edges"):
        ReceptiveField().score(model, [shown], None)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": "x"}, "weights must be graph or score"),
        ({"tau": 1.0}, "tau must be below 1"),
        ({"local": 0}, "above 0"),
    ],
)
def test_refused_settings(settings, message):
    with pytest.raises(UsageError, match=message):
        ReceptiveField(**settings)


@pytest.mark.parametrize("window", [2, 9])
def test_a_decoder_is_held_against_pairs_that_it_can_connect(models, batches, make, window):
    model = models("mistral", sliding_window=window)
    explanation = Explanation(edges=np.ones((3, 1, 6, 6)))
    shown = make.by_hand(model, batches(model, [6]), [explanation])
    found = values(ReceptiveField().score(model, [shown], None))
    pairs = [i - p for i in range(6) for p in range(i) if i - p < window]
    assert found["layer/1/mean"] == pytest.approx(np.mean(pairs)) and found["layer/1/relative"] == pytest.approx(1.0)
    assert found["layer/3/mean"] == pytest.approx(np.mean([d for d in range(1, 6) if d < window])), "the last position asks"
