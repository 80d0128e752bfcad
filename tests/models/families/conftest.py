"""The oracle of every family: the logits of the Hugging Face model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from flowgauge.benchmark.conformance.models import padded_left
from flowgauge.models.batch import Batch, Rows
from flowgauge.models.flow.flow_model import FlowModel

OWN_POSITIONS = {"camembert", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta"}
"""Families whose model in transformers counts positions itself, over real tokens."""


def hf_logits(model: FlowModel, batch: Batch) -> torch.Tensor:
    options = {} if model.hf.config.model_type in OWN_POSITIONS else {"position_ids": batch.positions}
    if model.hf.config.model_type == "gemma2":
        return torch.cat([one_capped(model, batch.rows(torch.tensor([row]))) for row in range(len(batch))])
    with torch.no_grad():
        output = model.hf(input_ids=batch.ids, attention_mask=batch.attention_mask.long(), **options)
    if model.head == "span":
        return side_by_side(batch, (output.start_logits, output.end_logits))
    return output.logits[torch.arange(len(batch)), batch.target] if model.head in ("masked", "next") else output.logits


def one_capped(model: FlowModel, batch: Batch) -> torch.Tensor:
    """The logits of one sentence without padding, by the attention of transformers that caps scores.

    Its default kernel leaves the cap out, and this one gives NaN in float64 where a padding token attends to nothing.
    """
    model.hf.set_attn_implementation("eager")
    with torch.no_grad():
        logits = model.hf(input_ids=batch.ids[batch.attention_mask][None]).logits
    return logits[:, -1] if model.head == "next" else logits


def side_by_side(batch: Batch, outputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """All outputs side by side, those of padding as 0."""
    return torch.cat([logits.masked_fill(~batch.attention_mask, 0) for logits in outputs], 1) if len(outputs) > 1 else outputs[0]


@pytest.fixture(params=[(head, side) for head in ("word", "label", "span") for side in ("none", "right", "left")], ids=str)
def logits_equal(request, models, batches) -> Callable[..., None]:
    """Asserts that a family's logits equal Hugging Face's, with one head and padding on one side, in both precisions."""
    head, side = request.param

    def check(family: str, tolerance: float = 1e-10, **sizes: Any) -> None:
        for dtype, bound in ((torch.float64, tolerance), (torch.float32, 1e-5)):
            model = models(family, "" if head == "word" else head, dtype, **sizes)
            batch = batches(model, [6, 6] if side == "none" else [7, 4, 5])
            batch = padded_left(batch) if side == "left" and model.head != "label" else batch
            expected, logits = hf_logits(model, batch), side_by_side(batch, model.outputs(batch))
            scale = max(1.0, float(expected.abs().max()))
            assert (logits - expected).abs().max() < bound * scale
            (trace,) = model.run(Rows(batch, model.embed(model.words(batch), batch)), keep={"attention"})  # not fused
            unfused = side_by_side(batch, model.readout(trace.site("hidden", 3), batch))
            assert (unfused - expected).abs().max() < bound * scale

    return check
