"""Classes of tokens."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import pytest

from flowgauge.core.errors import NotApplicable
from flowgauge.metrics.masks.token_classes import parts_of_speech, token_classes
from flowgauge.tasks.instance import Instance


def test_parts_of_speech() -> None:
    if importlib.util.find_spec("HanTa") is None:
        with pytest.raises(NotApplicable, match=r"pip install 'flowgauge\[pos\]'"):
            parts_of_speech(("fast",))
        pytest.skip("HanTa is not installed: pip install 'flowgauge[pos]'")
    found = parts_of_speech(tuple(["a", "fast", ",", "highly", "enjoyable", "movie", "that", "he", "saw", "."]))
    assert found == ["DET", "ADJ", "PUNCT", "ADV", "ADJ", "NOUN", "SCONJ", "PRON", "VERB", "PUNCT"]


def test_classes_by_label_and_slot(make) -> None:
    model = make.model("label")
    model.tokenizer = SimpleNamespace(mask_token_id=4, pad_token_id=0, convert_ids_to_tokens=lambda token: f"<{token}>")
    batch = make.batch(model, [5, 4], pairwise=False)
    batch.ids[:, 0], batch.ids[0, 4] = 5, 6
    instance = Instance("a", ("so good film",), ("yes",), slots=("ADV", "ADJ", "NOUN"), truth={"token_labels": (2, 4)})
    assert token_classes(model, batch, 0, instance, "label") == ["<5>", "neutral", "very positive", "unlabelled", "<6>"]
    assert token_classes(model, batch, 0, instance, "slot") == ["<5>", "ADV", "ADJ", "NOUN", "<6>"]
    with pytest.raises(NotApplicable, match="no slots: use by=label or by=part_of_speech"):
        token_classes(model, batch, 0, Instance("b", ("so",), ("yes",)), "slot")
