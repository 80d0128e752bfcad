"""The encoder that agreement-bert was trained from: it is of its architecture, and answers the tasks' sentences."""

from __future__ import annotations

import json

import pytest
import torch

from flowgauge.models.flow.flow_model import FlowModel
from flowgauge.models.inputs.encode import batches
from flowgauge.models.load import load_model
from flowgauge.models.outputs import value
from flowgauge.models.zoo import ZOO
from flowgauge.tasks.agreement import AgreementTask
from flowgauge.tasks.lexicon import templates


@pytest.fixture(scope="module")
def plain_model() -> FlowModel:
    return load_model("agreement-bert-plain")


def test_architecture_and_tokenizer_are_those_of_agreement_bert_and_weights_are_not(
    plain_model: FlowModel, agreement_model: FlowModel
) -> None:
    plain, own = ZOO["agreement-bert-plain"], ZOO["agreement-bert"]
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        assert json.loads((plain / name).read_text()) == json.loads((own / name).read_text())
    assert plain_model.fingerprint() != agreement_model.fingerprint()


@pytest.mark.parametrize("name", list(templates()))
def test_it_answers_the_tasks(plain_model: FlowModel, name: str) -> None:
    encoded = batches(plain_model, AgreementTask(name).instances("test", 20, 3))
    assert encoded.skipped == ()
    with torch.no_grad():
        assert all((value(plain_model.outputs(batch), batch) > 0).all() for batch in encoded.batches)
