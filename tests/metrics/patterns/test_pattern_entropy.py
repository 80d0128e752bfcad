"""Pattern entropy: 3 layers, 5 tokens, target 2, patterns made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.metrics.conftest import drawn_from

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.patterns.pattern_entropy import PatternEntropy, binary_entropy, entropy_aggregates
from flowgauge.models.outputs import value

T = 2


def h(p: float) -> float:
    return -p * np.log2(p) - (1 - p) * np.log2(1 - p) if 0 < p < 1 else 0.0


@pytest.fixture
def shown(make, model):
    """Four instances; word 1 goes by node 0 at hidden[1] once in four, else by 1; word 3 is negative in the last two."""
    made = []
    for n in range(4):
        totals = [1.0 + n, -2.0 if n > 1 else 2.0]
        made.append(make.explained(5, make.paths(totals, [[1, 0 if n == 0 else 1, T, T], [3, T, T, T]])))
    return make.by_hand(model, make.batch(model, [5] * 4), made, slots=True)


def aggregates(scores):
    return {a.variant: a for a in scores.aggregates}


def test_entropy_by_hand(model, shown):
    found = aggregates(PatternEntropy().score(model, [shown], None))
    # token 1 is slot s0, token 3 is slot s2; word 1 uses nodes (0,1), (1,0), (1,1), (2,2), (3,2)
    assert found["slot/s0"].value == pytest.approx(2 * h(0.25) / 20)
    assert found["slot/s0/used"].value == pytest.approx(2 * h(0.25) / 5)
    assert (found["slot/s2"].value, found["slot/s2/used"].value) == (0.0, 0.0)
    # the union of Pi_+: word 3 and its node (1,2) in the first two alone
    assert found["union"].value == pytest.approx((2 * h(0.25) + 2 * h(0.5)) / 20)
    assert found["union/used"].value == pytest.approx((2 * h(0.25) + 2 * h(0.5)) / 7)
    assert found["influence/s0"].value == 2.5 and found["influence/s2"].value == 2.0
    assert found["influence/s1"].value == 0.0  # the gap
    assert found["q"].value == pytest.approx(value(model.outputs(shown.batch), shown.batch).mean().item())
    assert {"slot/s1", "slot/[CLS]", "slot/[SEP]"}.isdisjoint(found)
    assert found["union"].count == 4 and found["union"].reason == "an interval needs 32 instances, and there are 4."


def test_q_and_influence_have_rows_and_entropy_has_none(model, shown):
    rows = PatternEntropy().score(model, [shown], None).rows
    assert rows[rows["variant"] == "influence/s0"]["value"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert not rows["variant"].str.startswith(("union", "slot")).any()


def test_a_method_without_signs_takes_the_words_of_the_reference(make, model, shown):
    unsigned = [Explanation(patterns=e.patterns) for e in shown.gold]
    other = make.by_hand(model, shown.batch, unsigned, slots=True)
    found, expected = (
        aggregates(PatternEntropy().score(model, [other], [shown])),
        aggregates(PatternEntropy().score(model, [shown], [shown])),
    )
    assert str(found) == str(expected)  # scores without spread have NaN for an interval
    assert not {"union", "influence/s0"} & set(aggregates(PatternEntropy().score(model, [other], None)))


def test_the_set_is_pooled_over_batches(make, model, shown):
    halves = []
    for part in (slice(0, 2), slice(2, 4)):
        batch = shown.batch.rows(torch.arange(4)[part])
        halves.append(make.by_hand(model, batch, shown.gold[part], slots=True))
    assert (
        aggregates(PatternEntropy().score(model, halves, None))["union"].value
        == aggregates(PatternEntropy().score(model, [shown], None))["union"].value
    )


def test_the_interval_is_corrected_for_the_bias():
    used = np.zeros((40, 3), bool)
    used[:10, 0], used[:, 1] = True, True
    whole, ever = entropy_aggregates("x", used, drawn_from([""] * 40))
    assert [whole.value, ever.value] == pytest.approx([h(0.25) / 3, h(0.25) / 2])
    bias = -1 / (2 * 40 * np.log(2)) / 3  # to first order: -1 / (2 n) nats a node (Miller 1955)
    assert whole.bias == pytest.approx(bias, rel=0.05)
    slope = np.log2(0.75 / 0.25) * np.sqrt(0.25 * 0.75 / 39) / 3  # the delta method
    assert whole.high - whole.low == pytest.approx(2 * 2.02 * slope, rel=0.1)
    assert ever.high == pytest.approx(1.5 * whole.high)


def test_the_interval_covers_the_entropy_of_many_instances():
    """Sparse patterns of 32 instances; the plug-in estimate lies below the truth by more than the interval's half width."""
    rng, hits, below = np.random.default_rng(0), 0, 0
    share = rng.beta(0.3, 3, 104) * (rng.random(104) < 0.3)
    truth = binary_entropy(share).mean()
    for _ in range(300):
        union, _ = entropy_aggregates("x", rng.random((32, 104)) < share, drawn_from([""] * 32))
        hits += union.low <= truth <= union.high
        below += union.value < truth
    assert 0.92 <= hits / 300 <= 0.98
    assert below / 300 > 0.6


def test_binary_entropy():
    assert binary_entropy(np.array([0, 0.25, 0.5, 1])).tolist() == pytest.approx([0, 0.8112781244591328, 1, 0])
    assert binary_entropy(np.array([1 + 1e-16, -1e-18])).tolist() == [0.0, 0.0]


def test_only_one_template_can_be_scored(make, model, shown):
    free = make.by_hand(model, shown.batch, shown.gold)
    with pytest.raises(NotApplicable, match="the instances have no template"):
        PatternEntropy().score(model, [free], None)
    batch = make.batch(model, [5, 4])
    flat = [make.explained(n, make.paths([1.0], [[0, 0, 0, T]])) for n in (5, 4)]
    with pytest.raises(NotApplicable, match="different templates"):
        PatternEntropy().score(model, [make.by_hand(model, batch, flat, slots=True)], None)
    nodes = make.by_hand(model, make.batch(model, [5]), [Explanation(nodes=np.ones((4, 5)))], slots=True)
    with pytest.raises(NotApplicable, match="this metric reads patterns"):
        PatternEntropy().score(model, [nodes], None)
