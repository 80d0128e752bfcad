"""The distance of reduced models' states from clean ones: 0 where nothing is removed, and known where it is planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.nodes import ablation_shift
from flowgauge.metrics.nodes.ablation_shift import EVERY_STATE_EQUAL, ONE_INSTANCE, AblationShift
from flowgauge.metrics.nodes.retention_curve import budget_masks
from flowgauge.metrics.reduced_models.nodes import reduced_states
from flowgauge.models.batch import Rows
from flowgauge.models.flow.graph import Subgraph
from flowgauge.models.interventions.states import clean_states


def ranked(n: int, seed: int) -> Explanation:
    return Explanation(nodes=np.random.default_rng(seed).random((4, n)))


@pytest.fixture
def shown(make, model):
    batches = [make.batch(model, [6, 6, 4], seed=3), make.batch(model, [5, 6], seed=4)]
    return [make.by_hand(model, b, [ranked(n, 10 * b.lengths[0] + r) for r, n in enumerate(b.lengths)]) for b in batches]


def test_where_nothing_is_removed_it_is_zero(model, shown, monkeypatch):
    everything = lambda explanation, size, target, steps, keep, select: np.ones((steps, 4, size), bool)  # noqa: E731
    monkeypatch.setattr(ablation_shift, "budget_masks", everything)
    rows = AblationShift(steps=3).score(model, shown, None).rows
    assert rows[rows["variant"] != "clean"]["value"].tolist() == [0.0] * 15
    assert (rows[rows["variant"] == "clean"]["value"] > 0).all()


def test_it_is_the_distance_by_hand(make, model, value_of):
    batch = make.batch(model, [5, 5, 5], seed=7)
    shown = make.by_hand(model, batch, [ranked(5, r) for r in range(3)])
    scores = AblationShift(steps=4).score(model, [shown], None)
    clean = [state.numpy() for state in clean_states(model, batch)[2:]]
    clean[-1] = clean[-1][:, [2]]
    for row, name in enumerate(batch.names):
        values = []
        for nodes in budget_masks(shown.predicted[row], 5, 2, 4, keep=True)[:-1]:
            ((_, states),) = reduced_states(model, batch, [row], [Subgraph(nodes)])
            distances = []
            for depth in (1, 2, 3):
                pool = clean[depth - 1].reshape(-1, clean[depth - 1].shape[-1])
                spread = np.sqrt(((pool - pool.mean(0)) ** 2).sum(1).mean())
                for state in states[depth][0].numpy()[nodes[depth]]:
                    distances.append(np.sqrt(((pool - state) ** 2).sum(1)).min() / spread)
            values.append(np.mean(distances))
        assert [value_of(scores, f"budget/{b}", name) for b in (25, 50, 75)] == pytest.approx(values)
        assert value_of(scores, "mean", name) == pytest.approx(np.mean(values))


def test_a_planted_shift_is_measured_in_spreads(make, model, monkeypatch):
    """All clean states of depth 1 lie in a plane through the shift's foot: the nearest clean state is the state's own."""
    batch = make.batch(model, [6, 6], seed=5)
    shown = make.by_hand(model, batch, [ranked(6, 0), ranked(6, 1)])
    whole = [state.clone() for state in clean_states(model, batch)[2:]]
    for state in whole:
        state[..., 0] = 0.0
    spreads = [ablation_shift._spread(state.flatten(0, 1)) for state in (*whole[:-1], whole[-1][:, [2]])]

    def moved(model, batch, row, kept, replaced):
        states = [state[row] + 0 for state in whole]
        for depth, state in enumerate(states):
            state[..., 0] += 2.5 * spreads[depth]
        return [(range(len(kept)), [whole[0], *states])]

    monkeypatch.setattr(ablation_shift, "clean_states", lambda model, batch: [None, None, *whole])
    monkeypatch.setattr(ablation_shift, "reduced_states", moved)
    rows = AblationShift(steps=3).score(model, [shown], None).rows
    assert rows[rows["variant"] != "clean"]["value"].tolist() == pytest.approx([2.5] * 6)


def test_batches_and_their_order_do_not_matter(make, model, shown):
    found = AblationShift(steps=3, instances=3).score(model, shown, None).rows.set_index(["instance", "variant"])["value"]
    swapped = AblationShift(steps=3, instances=3).score(model, shown[::-1], None).rows.set_index(["instance", "variant"])["value"]
    assert swapped.to_dict() == pytest.approx(found.to_dict())
    other = AblationShift(steps=3, instances=3, seed=1).score(model, shown, None).rows.set_index(["instance", "variant"])["value"]
    assert other.to_dict() != pytest.approx(found.to_dict())


def test_operators_move_states_differently_and_a_matched_budget_has_one_subgraph(make, model, shown):
    reference = shown
    values = {
        operator: AblationShift(steps=3, operator=operator).score(model, shown, None).rows["value"].dropna().sum()
        for operator in ("zero", "mean", "mask", "cut")
    }
    assert len({round(value, 6) for value in values.values()}) == 4
    matched = AblationShift(of="ablated_accuracy")
    assert (matched.reference, AblationShift().reference) == ("influence-patterns", None)
    with pytest.raises(NotApplicable, match="needs the explanations of influence-patterns"):
        matched.score(model, shown, None)
    with pytest.raises(NotApplicable, match="matched budget needs patterns"):
        matched.score(model, shown, reference)


def test_a_single_instance_has_nothing_to_compare_with(make, model):
    batch = make.batch(model, [5], seed=6)
    rows = AblationShift(steps=2).score(model, [make.by_hand(model, batch, [ranked(5, 0)])], None).rows
    assert rows[rows["variant"] == "clean"]["reason"].tolist() == [ONE_INSTANCE]
    # one target has no spread at the last depth, so that no distance can be put in its unit
    assert set(rows[rows["variant"] != "clean"]["reason"]) == {EVERY_STATE_EQUAL}


def test_several_targets_are_refused(make, model, shown):
    span = replace(shown[0], batch=replace(shown[0].batch, target=None))
    with pytest.raises(NotApplicable, match="q reads several positions"):
        AblationShift().score(model, [span], None)


def test_reduced_states_are_those_of_a_run_with_zeros(make, model, shown):
    batch, nodes = shown[0].batch, np.ones((4, 6), bool)
    nodes[1, 3] = False
    ((part, states),) = reduced_states(model, batch, [1], [Subgraph(nodes)])
    assert part == range(1) and bool((states[1][0, 3] == 0).all())
    rows = batch.rows(torch.tensor([1]))
    zero = lambda layer, value: value * torch.from_numpy(nodes[layer]).to(value)[None, :, None]  # noqa: E731
    (trace,) = model.run(Rows(rows, model.embed(model.words(rows), rows), 0, {"hidden": zero}))
    assert torch.allclose(states[-1][0], trace.site("hidden", 3)[0])


def test_many_states_that_lie_close_together_far_from_zero_have_their_distance():
    """|x|^2 + |y|^2 - 2 x y would lose it in float32, and only where there are many rows."""
    clean = 100 + torch.rand(60, 16, generator=torch.Generator().manual_seed(0))
    moved = clean + 1e-3
    found = ablation_shift._nearest(moved, clean)
    by_hand = (moved.double() - clean.double()).norm(dim=1)
    assert torch.allclose(found, by_hand, rtol=1e-9) and torch.equal(found[:3], ablation_shift._nearest(moved[:3], clean))
    assert ablation_shift._nearest(moved.bfloat16(), clean.bfloat16()).isfinite().all()
