"""The oracle of every family: the logits of the Hugging Face model."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from flowgauge.models.batch import Batch, Rows
from flowgauge.models.flow.flow_model import FlowModel


def hf_logits(model: FlowModel, batch: Batch) -> torch.Tensor:
    with torch.no_grad():
        output = model.hf(input_ids=batch.ids, attention_mask=batch.attention_mask.long())
    if model.head == "span":
        return side_by_side(batch, (output.start_logits, output.end_logits))
    return output.logits[torch.arange(len(batch)), batch.target] if model.head == "masked" else output.logits


def side_by_side(batch: Batch, outputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """All outputs side by side, those of padding as 0."""
    return torch.cat([logits.masked_fill(~batch.attention_mask, 0) for logits in outputs], 1) if len(outputs) > 1 else outputs[0]


@pytest.fixture(params=[(head, lengths) for head in ("masked", "label", "span") for lengths in ([6, 6], [7, 4, 5])], ids=str)
def logits_equal(request, models, batches) -> Callable[[str], None]:
    """Asserts that a family's logits equal Hugging Face's, with one head, with and without padding, in both precisions."""
    head, lengths = request.param

    def check(family: str) -> None:
        for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
            model = models(family, head, dtype)
            batch = batches(model, lengths)
            expected, logits = hf_logits(model, batch), side_by_side(batch, model.outputs(batch))
            scale = max(1.0, float(expected.abs().max()))
            assert (logits - expected).abs().max() < tolerance * scale
            (trace,) = model.run(Rows(batch, model.embed(model.words(batch), batch)), keep={"attention"})  # not fused
            unfused = side_by_side(batch, model.readout(trace.site("hidden", 3), batch))
            assert (unfused - expected).abs().max() < tolerance * scale

    return check
