"""The GRU over word vectors of an encoder: what is trained, what identifies it, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from flowgauge.core.errors import UsageError
from flowgauge.models.built.sentence_gru import SentenceGru
from flowgauge.models.built.toy_counting import ToyCounting
from flowgauge.models.built.training import InMemorySession
from flowgauge.models.load import load_model, load_word_vectors


@pytest.fixture
def maker(tiny_bert, tiny_data) -> SentenceGru:
    return SentenceGru(str(tiny_bert), "sst", epochs=3, data_dir=str(tiny_data))


def test_everything_but_the_word_vectors_is_trained(maker, tiny_bert) -> None:
    training = InMemorySession()
    weights = maker.fit(training)
    assert sorted({name.partition(".")[0] for name in weights}) == ["gru", "linear"]
    model, before = maker.build(weights), maker._untrained()
    assert (model.network.gru.weight_hh_l0 != before.network.gru.weight_hh_l0).any()
    assert (model.network.table.weight == load_model(str(tiny_bert)).word_embedding.weight).all()
    assert tuple(model.labels.values()) == ("very negative", "negative", "neutral", "positive", "very positive")
    assert [row["step"] for row in training.curve] == [1, 2, 3]


def test_the_epoch_with_the_largest_macro_f1_is_kept(maker, monkeypatch) -> None:
    """Scores that fall after the second epoch: its weights are returned, not the last."""
    scores = iter((0.2, 0.5, 0.5))
    monkeypatch.setattr("sklearn.metrics.f1_score", lambda *args, **kwargs: next(scores))
    best = maker.fit(InMemorySession())
    monkeypatch.undo()
    two = SentenceGru(maker.embeddings, "sst", epochs=2, data_dir=maker.data_dir)
    rising = iter((0.1, 0.2))
    monkeypatch.setattr("sklearn.metrics.f1_score", lambda *args, **kwargs: next(rising))
    straight = two.fit(InMemorySession())
    assert all((best[name] == straight[name]).all() for name in best)


def test_its_identity_is_what_the_folders_hold_and_not_where_they_are(maker, tiny_bert, tiny_data, tmp_path) -> None:
    moved = [Path(shutil.copytree(folder, tmp_path / name)) for folder, name in ((tiny_bert, "model"), (tiny_data, "data"))]
    there = SentenceGru(str(moved[0]), "sst", epochs=3, data_dir=str(moved[1]))
    assert there.identity() == maker.identity()
    lines = (moved[1] / "sst" / "trees_train.txt").read_text().replace("(0 ", "(4 ", 1)
    (moved[1] / "sst" / "trees_train.txt").write_text(lines)
    assert SentenceGru(str(moved[0]), "sst", epochs=3, data_dir=str(moved[1])).identity() != maker.identity()


def test_tasks_without_classes_and_bad_settings_are_refused(tiny_bert) -> None:
    with pytest.raises(UsageError, match="is trained on a task with classes, and 'sva/obj' has none"):
        SentenceGru(str(tiny_bert), "sva/obj").fit(InMemorySession())
    with pytest.raises(UsageError, match="epochs must be above 0, got 0"):
        SentenceGru(str(tiny_bert), epochs=0)
    for make in (lambda seed: SentenceGru(str(tiny_bert), seed=seed), ToyCounting):
        for seed in (-1, 2**32):
            with pytest.raises(UsageError, match=f"seed must be (at least 0|below 4294967296), got {seed}"):
                make(seed)
    with pytest.raises(UsageError, match="there is no model folder"):
        load_word_vectors("./nowhere")
    assert load_word_vectors(str(tiny_bert)).table.dtype == torch.float32
