"""Model families and batches for the tests of gradient methods."""

from __future__ import annotations

FAMILIES = ["bert", "roberta", "electra", "distilbert"]


def start(model, batch):
    return model.embed(model.words(batch), batch)
