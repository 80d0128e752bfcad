"""The Trainer of `--ablation-robust`: every step runs the model with states replaced at random, as ablations replace them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import transformers
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...models.batch import Batch, cell_seed
from ...models.flow.flow_model import FlowModel
from ...models.interventions.random_replacement import RandomReplacement, last_states
from ...models.load import Base


class ReducedStatesTrainer(transformers.Trainer):  # type: ignore[misc]
    """Hugging Face's Trainer, whose training loss is that of reduced models; evaluation is that of the whole one.

    The loop over layers is flowgauge's own, so that what is replaced is what metrics replace in any family. Dropout inside layers
    is not drawn: replaced states take its place.

    Args:
        base: The model and its tokenizer.
        replacement: Which states are replaced.
        options: Of the Trainer.
    """

    def __init__(self, base: Base, replacement: RandomReplacement, **options: Any) -> None:
        self.flow = FlowModel(base.hf, base.tokenizer, "trained")
        base.hf.requires_grad_(True)  # a flow model freezes its weights
        self.replacement = replacement
        super().__init__(base.hf, **options)

    def compute_loss(self, model: Any, inputs: Mapping[str, Tensor], return_outputs: bool = False, **rest: Any) -> Any:
        """The mean cross-entropy in nats: in training of the reduced models, each step's draw seeded by seed and step."""
        if not model.training:
            return super().compute_loss(model, inputs, return_outputs, **rest)
        generator = torch.Generator().manual_seed(cell_seed(self.args.seed, str(self.state.global_step)))
        loss, logits = reduced_loss(self.flow, inputs, self.replacement, generator)
        return (loss, {"logits": logits}) if return_outputs else loss


def reduced_loss(
    flow: FlowModel, inputs: Mapping[str, Tensor], replacement: RandomReplacement, generator: torch.Generator
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The mean cross-entropy of models reduced at random, in nats, and the logits of each output head.

    Args:
        flow: The model.
        inputs: What the Trainer collates: tokens, mask, and `labels` or the ends of spans.
        replacement: Which states are replaced.
        generator: Draws them.
    """
    batch = _batch(flow, inputs)
    kept = replacement.kept(batch.attention_mask, flow.n_layers, generator)
    logits = flow.readout(last_states(flow, batch, kept), batch)
    names = ("labels",) if "labels" in inputs else ("start_positions", "end_positions")
    losses = [cross_entropy(each, inputs[name]) for each, name in zip(logits, names, strict=True)]
    return torch.stack(losses).mean(), logits


def _batch(flow: FlowModel, inputs: Mapping[str, Tensor]) -> Batch:
    """The texts as a batch: a classifier reads the last real token of decoders and the first of encoders."""
    ids, real = inputs["input_ids"], inputs["attention_mask"].bool()
    rows, length = ids.shape
    ends = length - 1 - real.flip(1).int().argmax(1) if flow.reads_last_token else real.int().argmax(1)
    nothing = ids.new_zeros(rows, 1)
    return Batch(
        ids, real, inputs.get("token_type_ids", torch.zeros_like(ids)), ids.new_full((rows, length, 2), -1), nothing, nothing,
        ends if flow.one_target else None, tuple(str(row) for row in range(rows)), (0,) * rows,
    )  # fmt: skip
