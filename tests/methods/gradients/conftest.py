"""Model families and batches for the tests of gradient methods."""

from __future__ import annotations

from tests.models.conftest import ENCODERS

FAMILIES = list(ENCODERS)


def start(model, batch):
    return model.embed(model.words(batch), batch)
