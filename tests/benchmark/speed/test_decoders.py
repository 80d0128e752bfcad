"""The cost of influence patterns on decoders: what is timed, and that it is timed in one run."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from flowgauge.benchmark.speed import decoders
from flowgauge.benchmark.speed.decoders import measure_decoder, plain_pass, random_decoder
from flowgauge.benchmark.speed.peers.published_attattr import batch_of
from flowgauge.methods.gradients.integrated_gradients import IntegratedGradients
from flowgauge.models.baseline import baseline_words


@pytest.mark.parametrize("family", decoders.FAMILIES)
def test_a_tiny_decoder_is_measured(family, monkeypatch):
    ran: list[Any] = []

    def counted(*asked: Any) -> None:
        ran.append(asked)
        plain_pass(*asked)

    monkeypatch.setattr(decoders, "plain_pass", counted)
    cost = measure_decoder(family, tokens=4, texts=2, samples=3, repeats=2, layers=2, width=16, heads=2, vocabulary=40)
    assert cost.family == family and 0 < cost.low <= cost.ratio <= cost.high and cost.seconds > 0
    assert len(ran) == 3


def test_the_pass_takes_the_gradients_of_integrated_gradients(monkeypatch):
    model = random_decoder("llama", layers=2, width=16, heads=2, vocabulary=40).to(torch.device("cpu"), torch.float64)
    ids = torch.randint(10, 40, (2, 4), generator=torch.Generator().manual_seed(0))
    batch = batch_of(ids, 38, 39, 3, pairwise=True)
    kept: list[Any] = []
    grad = torch.autograd.grad

    def noted(*asked: Any) -> Any:
        kept.append(grad(*asked))
        return kept[-1]

    monkeypatch.setattr(torch.autograd, "grad", noted)
    plain_pass(model, batch, 3)
    monkeypatch.undo()
    ((gradients,),) = kept
    delta = model.words(batch) - baseline_words(model, batch, "pad")
    expected = (gradients.unflatten(0, (2, 3)).mean(1) * delta).sum(-1)
    for found, row in zip(IntegratedGradients("midpoint", 3, "pad").explain(model, batch), expected.numpy(), strict=True):
        assert found.tokens == pytest.approx(row, rel=1e-4, abs=1e-9)
