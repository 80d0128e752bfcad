"""The depths that a mask keeps, by class of token."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.masks.depth_kept import DepthKept
from flowgauge.tasks.instance import Instance

DEPTHS = 5


@pytest.fixture
def labelled(make):
    """Two sentences of three and two words with [CLS] and [SEP], the labels of their words, and masks."""
    model = make.model("label")
    model.tokenizer = SimpleNamespace(
        mask_token_id=4, pad_token_id=0, convert_ids_to_tokens=lambda n: {5: "[CLS]", 6: "[SEP]"}.get(n, "w")
    )
    batch = make.batch(model, [5, 4], pairwise=False)
    batch.ids[:, 0], batch.ids[0, 4], batch.ids[1, 3] = 5, 6, 6
    labels = ((4, 2, 4), (0, 2))
    instances = tuple(
        Instance(name, (" ".join(["a", "fast", "movie"][: len(each)]),), ("yes",), condition="c", truth={"token_labels": each})
        for name, each in zip(batch.names, labels, strict=True)
    )
    made = [Explanation(mask=np.tile(np.linspace(0.1, 0.2 * n, n), (DEPTHS, 1))) for n in batch.lengths]
    return model, replace(make.by_hand(model, batch, made), instances=instances)


def test_depth_kept_by_label(labelled, value_of) -> None:
    model, one = labelled
    scores = DepthKept().score(model, [one], None)
    found = {a.variant: (a.value, a.count) for a in scores.aggregates}
    first, second = (e.mask.sum(0) for e in one.gold)
    expected = {
        "all": (np.mean([*first[1:4], *second[1:3]]), 2),
        "class/very positive": (first[[1, 3]].mean(), 1),
        "class/neutral": (np.mean([first[2], second[2]]), 2),
        "class/very negative": (second[1], 1),
        "special/[CLS]": (np.mean([first[0], second[0]]), 2),
        "special/[SEP]": (np.mean([first[4], second[3]]), 2),
    }
    assert found.keys() == expected.keys()
    for name, (value, count) in expected.items():
        assert found[name][0] == pytest.approx(value) and found[name][1] == count
    assert value_of(scores, "all", one.batch.names[0]) == pytest.approx(first[1:4].mean())


def test_depth_kept_by_slot_and_without_classes(labelled) -> None:
    model, one = labelled
    with pytest.raises(NotApplicable, match="have no slots"):
        DepthKept("slot").score(model, [one], None)
    slots = [("SUBJ", "VERB", "ADJ")[: len(i.segments[0].split())] for i in one.instances]
    named = tuple(replace(i, slots=s, truth={}) for i, s in zip(one.instances, slots, strict=True))
    scores = DepthKept("slot").score(model, [replace(one, instances=named)], None)
    found = {a.variant for a in scores.aggregates}
    assert {"class/SUBJ", "class/VERB", "class/ADJ"} < found
    with pytest.raises(NotApplicable, match="have no word labels"):
        DepthKept().score(model, [replace(one, instances=named)], None)
    with pytest.raises(UsageError, match="by must be label, slot or part_of_speech, got 'tag'"):
        DepthKept("tag")  # type: ignore[arg-type]
