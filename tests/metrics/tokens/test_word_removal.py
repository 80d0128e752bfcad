"""What is left of a text, and the probability of the prediction on it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.metrics.tokens.conftest import ranked

from flowgauge.core.errors import NotApplicable
from flowgauge.metrics.registry import METRICS
from flowgauge.metrics.tokens.word_removal import clean_probability, masked, removable
from flowgauge.models.flow.flow_model import FlowModel


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


def test_each_text_runs_once_and_whole_texts_once_for_all_metrics(model, make, monkeypatch):
    """Against the naive loop: every draw, metric and share by itself, on one text without padding."""
    shown = make.by_method(model, make.batch(model, [7, 6]), "random:draws=pairs:4")
    asked: list[tuple[int, ...]] = []
    outputs = FlowModel.outputs

    def noted(self, batch):
        asked.extend(tuple(ids[keep].tolist()) for ids, keep in zip(batch.ids, batch.attention_mask, strict=True))
        return outputs(self, batch)

    monkeypatch.setattr(FlowModel, "outputs", noted)
    rows, runs = {}, {}
    for name in ("comprehensiveness", "sufficiency"):
        rows[name] = METRICS.create(name).score(model, [shown], None).rows
        runs[name] = list(asked)
        asked.clear()
    monkeypatch.undo()
    whole = [tuple(ids[:n].tolist()) for ids, n in zip(shown.batch.ids, shown.batch.lengths, strict=True)]
    assert [runs["comprehensiveness"].count(text) for text in whole] == [1, 1] and not {*whole} & {*runs["sufficiency"]}
    for texts in runs.values():  # four words in one text and three in the other: sets of one word, and of two of either
        assert len(texts) == len(set(texts)) <= 2 + (4 + 6) + (3 + 3) < 2 * 8 * 5
    alone: dict[str, list[float]] = {key: [] for key in rows}
    for at, (predicted, text) in enumerate(zip(shown.predicted, whole, strict=True)):
        single = shown.predicted_batch.rows(torch.tensor([at])).only(shown.batch.attention_mask[[at]])
        words = np.flatnonzero(removable(single).numpy()[0])
        for draw in predicted.draws:
            order = words[np.argsort(-draw.tokens[words], kind="stable")]
            for name, of_metric in alone.items():
                for share in (1, 5, 10, 20, 50):
                    top = order[: -(-share * len(words) // 100)]
                    gone = top if name == "comprehensiveness" else np.setdiff1d(words, top)
                    stay = torch.tensor([[position not in gone for position in range(len(text))]])
                    of_metric.append(clean_probability(model, single)[0] - clean_probability(model, single.only(stay))[0])
    for name, table in rows.items():
        found = table[table["variant"] != "aopc"]["value"].to_numpy()
        np.testing.assert_allclose(found, alone[name], rtol=0, atol=1e-12)
