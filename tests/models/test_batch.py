"""Batches: rows, deletion of tokens, seeds, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from flowgauge.methods.perturbation.leave_one_out import LeaveOneOut
from flowgauge.metrics.tokens.word_removal import removable
from flowgauge.models.outputs import value


def test_deletion_moves_the_span_and_never_takes_its_ends(models, batches):
    model = models("bert", "span")
    batch = batches(model, [7, 5])  # answer (1, 2) against (3, 0)
    shorter = batch.only(torch.arange(7) != torch.tensor([[4], [9]]))
    assert shorter.answer.tolist() == [[1, 2], [1, 2]] and shorter.against.tolist() == [[3, 0], [3, 0]]
    later = replace(batch, answer=torch.tensor([[4, 5], [2, 4]]), against=torch.tensor([[2, 6], [1, 3]]), cache={})
    moved = later.only(torch.arange(7) != torch.tensor([[1], [0]]))
    assert (moved.answer.tolist(), moved.against.tolist()) == ([[3, 4], [1, 3]], [[1, 5], [0, 2]])
    assert torch.equal(moved.ids[0, moved.answer[0]], later.ids[0, later.answer[0]])
    with pytest.raises(ValueError, match="where q is read"):
        batch.only(torch.arange(7).expand(2, -1) != 2)
    tokens = LeaveOneOut("delete").explain(model, later)[0].tokens
    assert [at for at, score in enumerate(tokens) if score == 0] == [2, 4, 5, 6]
    assert removable(later)[0].nonzero()[:, 0].tolist() == [0, 1, 3]
    without = later.rows(torch.tensor([0])).only(torch.arange(7)[None] != 3)
    fall = value(model.outputs(later), later)[0] - value(model.outputs(without), without)[0]
    assert tokens[3] == pytest.approx(float(fall), abs=1e-12)


def test_every_field_has_a_row_for_each_name(batch):
    with pytest.raises(ValueError, match="a batch of 3 instances has 2 rows of answer; every field needs one row each"):
        replace(batch, answer=batch.answer[:2])
    with pytest.raises(ValueError, match="a batch of 3 instances has 1 seeds; every instance needs one"):
        replace(batch, seeds=(1,))


def test_rows_are_repeated_and_reordered_with_their_seeds_and_an_empty_cache(batch):
    batch.cache["shared"] = 1
    picked = batch.rows(torch.tensor([2, 0, 2]))
    assert (picked.names, picked.seeds, picked.cache) == (("i2", "i0", "i2"), (2, 0, 2), {})
    assert torch.equal(picked.ids, batch.ids[[2, 0, 2]]) and picked.lengths == [4, 6, 4]
    first, again = (torch.rand(3, generator=picked.generators()[i]) for i in (0, 2))
    assert torch.equal(first, again)


def test_deletion_closes_up_the_tokens_and_counts_the_target_anew(batch):
    shorter = batch.only(torch.arange(6).expand(3, -1) != 1)
    assert shorter.target.tolist() == [1, 1, 1] and shorter.lengths == [5, 4, 3]
    assert torch.equal(shorter.ids[0], batch.ids[0, [0, 2, 3, 4, 5]])
    with pytest.raises(ValueError, match="must include the target of every row"):
        batch.only(torch.arange(6).expand(3, -1) != 2)


def test_only_keeps_and_moves_along(model, batches):
    batch = batches(model, [6, 5])
    keep = torch.tensor([[1, 0, 1, 1, 0, 1], [1, 1, 1, 0, 1, 1]], dtype=torch.bool)
    left = batch.only(keep)
    assert left.lengths == [4, 4] and left.target.tolist() == [1, 2]
    assert left.ids.tolist() == [batch.ids[0][[0, 2, 3, 5]].tolist(), batch.ids[1][[0, 1, 2, 4]].tolist()]
    assert left.word_ids[0, :, 1].tolist() == batch.word_ids[0][[0, 2, 3, 5], 1].tolist()
    with pytest.raises(ValueError, match="must include the target of every row"):
        batch.only(keep & (torch.arange(6) != 2))


def test_only_moves_replaced_word_vectors_along(model, batches):
    batch = batches(model, [6, 5])
    keep = torch.tensor([[1, 0, 1, 1, 0, 1], [1, 1, 1, 0, 1, 1]], dtype=torch.bool)
    moved = replace(batch, word_vectors=model.words(batch).detach() + 0.1).only(keep)
    assert torch.equal(moved.word_vectors[0], (model.words(batch)[0] + 0.1)[[0, 2, 3, 5]])
