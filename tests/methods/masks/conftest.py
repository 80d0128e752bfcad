"""Toy models, data and settings for the tests of masks."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from flowgauge.methods.masks.diffmask import DiffMaskHidden, DiffMaskInput
from flowgauge.models.batch import Batch
from flowgauge.models.built.recurrent import Recurrent
from flowgauge.models.built.toy_counting import ToyCounting
from flowgauge.models.flow.flow_model import FlowModel
from flowgauge.models.inputs.encode import batches, encode
from flowgauge.models.outputs import divergence
from flowgauge.tasks.registry import load_task
from flowgauge.tasks.toy_counting import CountingTask


class Linear:
    """Word vectors 3 e_i + 1 at position i of four; one logit of 4 h_0 + h_1, the other 0; position 3 may not be masked."""

    name, n_layers, width, dtype = "linear", 0, 4, torch.float64
    weights = torch.tensor([4.0, 1.0, 0.0, 0.0], dtype=torch.float64)

    def maskable(self, batch):
        """All but the last."""
        return batch.attention_mask & (torch.arange(4) < 3)

    def words(self, batch):
        """The same for every instance."""
        return (3 * torch.eye(4, dtype=torch.float64) + 1).expand(len(batch), 4, 4)

    def embed(self, words, batch):
        """They are hidden[0]."""
        return words

    def run(self, *rows, keep=()):
        """Nothing to run."""
        return [SimpleNamespace(site=lambda name, layer, group=group: group.hidden) for group in rows]

    def readout(self, hidden, batch):
        """Reads dimension i at position i."""
        one = hidden.diagonal(dim1=1, dim2=2) @ self.weights
        return (torch.stack([torch.zeros_like(one), one], -1),)

    def outputs(self, batch):
        """Of the words."""
        return self.readout(self.words(batch), batch)


@pytest.fixture
def toy() -> Recurrent:
    return ToyCounting()._untrained().to(torch.device("cpu"), torch.float64)


@pytest.fixture
def digits(toy: Recurrent) -> Batch:
    return encode(toy, CountingTask().instances("test", 12, 0))


@pytest.fixture
def four(model, batches) -> Batch:
    return batches(model, [4, 4])


METHODS = {"input": DiffMaskInput, "hidden": DiffMaskHidden}


QUICK = {"steps": 30, "batch": 4, "margin": 50.0, "warmup": 0}


@pytest.fixture(scope="module")
def flow(tiny_flows) -> FlowModel:
    return tiny_flows("bert", "label")


@pytest.fixture(scope="module")
def data(flow, tiny_data):
    instances = load_task(f"sst2:data_dir={tiny_data}").instances("train", None, 0)
    return batches(flow, instances, batch_size=5, labels={"negative": 0, "positive": 1}).batches


@pytest.fixture(params=["input", "hidden"])
def kind(request) -> str:
    return request.param


def short(counting, words, count=3):
    """Instances with as many digits to mask."""
    found = [i for i in CountingTask().instances("test", None, 0) if len(i.segments[1].split()) == words]
    return encode(counting, found[:count])


def masked_divergence(model, batch, keep):
    """KL by hand: the words at 0 are zero vectors."""
    words = model.words(batch) * torch.where(model.maskable(batch), keep, 1.0)[..., None]
    return divergence(model.outputs(replace(batch, word_vectors=words)), model.outputs(batch))
