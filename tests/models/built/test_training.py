"""The session of a training in memory."""

from __future__ import annotations

import torch

from flowgauge.models.built.training import InMemorySession


def test_it_keeps_the_curve_and_no_checkpoint() -> None:
    session = InMemorySession(seed=3)
    session.log(1, 2, loss=0.5)
    session.checkpoint({"weight": torch.ones(1)})
    session.log(2, 2, loss=0.25)
    assert session.curve == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}]
    assert session.resume() == {} and session.seed == 3
