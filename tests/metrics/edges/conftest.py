"""A classifier to attack, and a sentence of two segments."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from flowgauge.methods.explanation import Explanation
from flowgauge.tasks.instance import Instance

CLS, SEP = 2, 3


PAIR = [(-1, -1), (0, 0), (0, 0), (0, 1), (-1, -1), (1, 0), (1, 1), (-1, -1)]  # [CLS] a ##b c [SEP] d e [SEP]


@pytest.fixture(scope="session")
def classifier(make):
    """Three classes; its tokenizer names tokens by their ids."""
    made = make.model(head="label", type_vocab_size=2)
    drawn = make.batch(made, [8] * 40, seed=9, pairwise=False)
    drawn.ids[:, 0] = CLS
    with torch.no_grad():
        made.hf.classifier.bias -= made.outputs(drawn)[0].mean(0)  # so that words decide between the classes
    made.tokenizer = SimpleNamespace(mask_token_id=4, pad_token_id=0, convert_ids_to_tokens=lambda ids: [f"t{i}" for i in ids])
    return made


@pytest.fixture
def shown(make, classifier):
    batch = make.batch(classifier, [8] * 8 + [6] * 8, pairwise=False)
    batch.ids[:, 0] = CLS  # as everywhere, so that the prediction hangs on the words
    edges = [np.random.default_rng(row).random((3, 4, n, n)) for row, n in enumerate(batch.lengths)]
    predicted = classifier.outputs(batch)[0].argmax(1)
    wrong = (predicted + 1 + torch.arange(16) % 2) % 3
    answer = torch.where(torch.arange(16) % 4 == 0, wrong, predicted)[:, None]  # three quarters are right
    batch = replace(batch, answer=answer, cache={})
    found = make.by_hand(classifier, batch, [Explanation(edges=e) for e in edges])
    instances = tuple(
        Instance(i.id, (" ".join(f"w{n}" for n in range(size - 2)),), (f"c{int(a)}",))
        for i, size, a in zip(found.instances, batch.lengths, answer[:, 0], strict=True)
    )
    return replace(found, instances=instances)
