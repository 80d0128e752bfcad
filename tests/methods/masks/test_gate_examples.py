"""Which train instances are held out, which are drawn, and that clean states do not depend on the cache."""

import numpy as np
import torch

from flowgauge.methods.masks import gate_examples
from flowgauge.methods.masks.gate_examples import CleanRun, GateExamples


def test_a_tenth_is_held_out_and_never_drawn(model, batch) -> None:
    data = [batch, batch.rows(torch.arange(2))]
    examples = GateExamples(model, data, seed=0)
    total = sum(len(b) for b in data)
    assert sum(map(len, examples.held)) == max(1, round(0.1 * total))
    for held, used, b in zip(examples.held, examples.used, data, strict=True):
        assert sorted([*held, *used]) == list(range(len(b)))
    names = {data[k].names[row] for k in range(2) for row in examples.used[k]}
    drawn = examples.draw(np.random.default_rng(1), 3)
    assert set(drawn.batch.names) <= names and len(drawn.batch) <= 3


def test_states_are_the_same_where_they_are_not_kept(model, batch, monkeypatch) -> None:
    cached = GateExamples(model, [batch], 0)
    monkeypatch.setattr(gate_examples, "CACHE", 0)
    computed = GateExamples(model, [batch], 0)
    assert cached.cached and not computed.cached
    first, second = cached.get(0, np.array([1])), computed.get(0, np.array([1]))
    for a, b in zip((*first.states, *first.outputs), (*second.states, *second.outputs), strict=True):
        torch.testing.assert_close(a, b)
    assert isinstance(first, CleanRun) and first.batch.names == (batch.names[1],)


def test_a_single_instance_is_used_and_checked(model, batch) -> None:
    examples = GateExamples(model, [batch.rows(torch.tensor([0]))], 0)
    assert [rows.tolist() for rows in examples.held] == [rows.tolist() for rows in examples.used] == [[0]]
    assert [len(run.batch) for run in examples.checks()] == [1]


def test_draws_are_of_the_whole_split_and_run_as_each_instance_by_itself(model, batch, batches, monkeypatch) -> None:
    data = [batch.rows(torch.arange(2)), batches(model, [9, 8])]
    for cache in (gate_examples.CACHE, 0):
        monkeypatch.setattr(gate_examples, "CACHE", cache)
        examples = GateExamples(model, data, 0)
        examples.used = [np.arange(len(part)) for part in data]
        drawn = examples.draw(np.random.default_rng(0), 9)
        assert len(drawn.batch) == 4 and drawn.batch.ids.shape[1] == 9
        for row, (part, at) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
            single = CleanRun.of(model, data[part].rows(torch.tensor([at])))
            n = single.batch.lengths[0]
            assert torch.equal(drawn.batch.ids[row, :n], single.batch.ids[0, :n]) and drawn.batch.lengths[row] == n
            for whole, alone in zip(drawn.states, single.states, strict=True):
                torch.testing.assert_close(whole[row, :n], alone[0, :n])
            for whole, alone in zip(drawn.outputs, single.outputs, strict=True):
                torch.testing.assert_close(whole[row], alone[0])
