"""Training of recurrent classifiers: one batch of all instances, and a killed training that continues."""

from __future__ import annotations

import pytest
import torch

from flowgauge.models.built import toy_counting
from flowgauge.models.built.recurrent import Recurrent
from flowgauge.models.built.recurrent_training import RecurrentTrainingConfig, predictions, read_in
from flowgauge.models.built.toy_counting import ToyCounting
from flowgauge.models.built.training import InMemorySession
from flowgauge.models.inputs.encode import encode
from flowgauge.tasks.toy_counting import CountingTask


@pytest.fixture
def model() -> Recurrent:
    return ToyCounting()._untrained().to(torch.device("cpu"), torch.float64)


class Killed(InMemorySession):
    """Is killed after an epoch, and keeps what was checkpointed."""

    kept: dict[str, torch.Tensor] = {}
    after = 0

    def resume(self) -> dict[str, torch.Tensor]:
        return self.kept

    def checkpoint(self, tensors) -> None:
        self.kept = {name: tensor.clone() for name, tensor in tensors.items()}
        if len(self.curve) == self.after:
            raise KeyboardInterrupt


@pytest.fixture
def quick(monkeypatch) -> None:
    monkeypatch.setattr(toy_counting, "RECIPE", RecurrentTrainingConfig(epochs=3, batch_size=64, lr=1e-3))
    monkeypatch.setattr("flowgauge.tasks.toy_counting.SHARE", {"train": 300, "test": 40})
    monkeypatch.setattr(toy_counting, "ENOUGH", -1.0)


def test_all_instances_become_one_batch_in_parts(model: Recurrent, monkeypatch) -> None:
    monkeypatch.setattr("flowgauge.models.built.recurrent_training.PART", 5)
    instances = CountingTask().instances("test", 12, 0)
    joined, whole = read_in(model, instances), encode(model, instances)
    for name in ("ids", "attention_mask", "token_type_ids", "word_ids", "answer", "against"):
        assert (getattr(joined, name) == getattr(whole, name)).all(), name
    assert (joined.names, joined.seeds) == (whole.names, whole.seeds)
    assert (predictions(model, joined) == model.outputs(whole)[0].argmax(1)).all()


def test_a_killed_training_goes_on_and_ends_with_the_same_weights(quick) -> None:
    straight = ToyCounting().fit(InMemorySession())
    killed = Killed()
    killed.after = 2
    with pytest.raises(KeyboardInterrupt):
        ToyCounting().fit(killed)
    killed.after = 99
    resumed = ToyCounting().fit(killed)
    assert [row["step"] for row in killed.curve] == [1, 2, 3]
    assert straight.keys() == resumed.keys() and all((straight[name] == resumed[name]).all() for name in straight)
    other = ToyCounting(seed=1).fit(InMemorySession(seed=1))
    assert (other["linear.weight"] != straight["linear.weight"]).any()
