"""A verifier fetches no model that only a submitter names."""

from __future__ import annotations

import pytest

from flowgauge.benchmark.verification.fetched_models import refuse_fetching
from flowgauge.benchmark.verification.recompute_scores import ScoreRecomputer
from flowgauge.core.errors import FlowgaugeError


def of_model(record, name: str):
    return record.model_copy(update={"asked": {**record.asked, "model": name}})


@pytest.mark.parametrize("name", ["some/model", "bert-base-uncased", "sst-gru:embeddings=some/model", "/nowhere/model"])
def test_a_model_that_the_submitter_names_is_not_fetched(explained, name: str) -> None:
    (record,) = explained.records()
    with pytest.raises(FlowgaugeError, match=r"is not fetched, because the submitter alone names it: .* with --model"):
        refuse_fetching(of_model(record, name), None)
    refuse_fetching(of_model(record, name), "bert-base-uncased")


@pytest.mark.parametrize(
    "name", ["agreement-bert", "toy-counting", "planted:depth=6", "sst-gru:task=sst", "sst-gru:embeddings=agreement-bert"]
)
def test_models_of_flowgauge_are_taken_as_they_are(explained, name: str) -> None:
    (record,) = explained.records()
    refuse_fetching(of_model(record, name), None)


def test_scores_of_such_a_model_are_not_recomputed(explained, monkeypatch: pytest.MonkeyPatch) -> None:
    (record,) = explained.records()
    monkeypatch.setattr(type(explained), "records", lambda store: [of_model(record, "some/model")])
    with pytest.raises(FlowgaugeError, match="its model 'some/model' is not fetched"):
        ScoreRecomputer(device="cpu").encoded(explained, of_model(record, "some/model"))
