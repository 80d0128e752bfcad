"""What is left of a text, and the probability of the prediction on it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.metrics.tokens.conftest import ranked

from flowgauge.core.errors import NotApplicable
from flowgauge.metrics.tokens.word_removal import clean_probability, masked, removable


def test_what_can_be_removed_are_words(model, make):
    batch = make.batch(model, [6, 4])  # [CLS] w w w w [SEP], the target at 2
    assert removable(batch).tolist() == [[False, True, False, True, True, False], [False, True, False, False, False, False]]


@pytest.mark.parametrize("keep", [False, True])
def test_ties_go_to_lower_positions(keep):
    candidates = np.array([False, *[True] * 9, False])
    left = ranked([9.0, 1, 1, 3, 1, 1, 1, 1, 1, 2, 9.0], candidates).left([0, 1, 2, 5], keep)
    tops = [[], [3], [3, 9], [1, 2, 3, 4, 9]]
    for row, top in zip(left, tops, strict=True):
        assert np.flatnonzero(row[1:10] if keep else ~row[1:10]).tolist() == [position - 1 for position in top]
        assert row[[0, 10]].all()


def test_what_takes_a_masked_words_place(model, make, monkeypatch):
    batch = make.batch(model, [5])
    stay = torch.tensor([[1, 0, 1, 1, 1]], dtype=torch.bool)
    for named, expected in (({"mask": 4, "unk": 3}, 4), ({"mask": None, "unk": 3}, 3), ({"pad": 0}, 0)):
        monkeypatch.setattr(model, "tokenizer", SimpleNamespace(**{f"{k}_token_id": v for k, v in named.items()}))
        assert masked(model, batch, stay).ids[0].tolist() == [*batch.ids[0, :1].tolist(), expected, *batch.ids[0, 2:].tolist()]
    monkeypatch.setattr(model, "tokenizer", SimpleNamespace(mask_token_id=None))
    with pytest.raises(NotApplicable, match="use operator=delete"):
        masked(model, batch, stay)


def test_the_probability_of_pairs_is_of_the_two(model, make):
    batch = make.batch(model, [5, 6])
    with torch.no_grad():
        q = (model.outputs(batch)[0].gather(1, batch.answer) - model.outputs(batch)[0].gather(1, batch.against))[:, 0]
    assert clean_probability(model, batch) == pytest.approx(q.sigmoid().numpy())
    whole = model.outputs(batch)[0].softmax(1).gather(1, batch.answer)[:, 0].detach().numpy()
    assert clean_probability(model, replace(batch, pairwise=False)) == pytest.approx(whole)
