"""q as plain functions, for the tests of methods that remove words."""

from __future__ import annotations

import pytest
from tests.models.conftest import ENCODERS

from flowgauge.models.batch import Batch
from flowgauge.models.built.recurrent import Recurrent
from flowgauge.models.inputs.encode import encode
from flowgauge.tasks.toy_counting import CountingTask

FAMILIES = list(ENCODERS)


def hf_q(model, batch, row):
    """q of word vectors by the Hugging Face model."""
    mask, length = batch.attention_mask[row : row + 1], batch.lengths[row]

    def forward(words):
        logits = model.hf(inputs_embeds=words, attention_mask=mask[:, :length].expand(len(words), -1).long()).logits
        logits = logits[:, int(batch.target[row])] if model.head == "masked" else logits
        return logits[:, int(batch.answer[row, 0])] - logits[:, int(batch.against[row, 0])]

    return forward


@pytest.fixture(scope="module")
def digits(counting: Recurrent) -> Batch:
    return encode(counting, [i for i in CountingTask().instances("test", 40, 0) if len(i.segments[1].split()) > 3][:12])
