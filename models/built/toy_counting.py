"""The model of the toy task: a feed-forward network over each digit and the query, and a GRU with two inputs that counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...core.errors import FlowgaugeError
from ...core.settings import Settings
from ...tasks.toy_counting import CLASSES, CountingTask
from ..batch import Batch
from ..shapes import Hidden, Mask, Words
from .builder import model
from .recurrent import Network, Recurrent
from .recurrent_training import RecurrentTrainingConfig, Seed, fit_recurrent, predictions, read_in
from .training import TrainingSession

DIGITS = 10
WIDTH = 64
ENOUGH = 0.99
"""Accuracy on held-out examples that a model must exceed, because only a model that counts has known attributions."""
RECIPE = RecurrentTrainingConfig(epochs=50, batch_size=128, lr=1e-3)


class CountingNetwork(Network):
    """hidden[0] at a digit is a tanh network over (n, m, digit), 192 -> 64 -> 2; at the query, which the GRU skips, it is 0.

    Digits of the query and of the sequence have word vectors of their own. Source: De Cao et al. 2020, section 3, as in their
    published code.
    """

    def __init__(self) -> None:
        rows = DIGITS + 1  # the last is padding
        super().__init__(nn.Embedding(2 * rows, WIDTH), nn.GRU(2, WIDTH, batch_first=True), nn.Linear(WIDTH, 1))
        self.encoder = nn.Sequential(nn.Linear(3 * WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 2))

    def look_up(self, batch: Batch) -> Words:
        """Word vectors (B, N, E): those of the query for the first text, those of the sequence for the second."""
        words: Tensor = self.table(batch.ids + (DIGITS + 1) * (batch.token_type_ids == 0))
        return words

    def embed(self, words: Words, batch: Batch) -> Hidden:
        """hidden[0] (B, N, 2): the network over the two vectors of the query and that of each position."""
        query = words[:, :2].flatten(1)[:, None].expand(-1, words.shape[1], -1)
        hidden: Tensor = self.encoder(torch.cat([query, words], -1))
        return hidden * self.read(batch)[..., None]

    def read(self, batch: Batch) -> Mask:
        """The positions that the GRU reads: the digits of the sequence."""
        return batch.attention_mask & (batch.token_type_ids == 1)

    def logits(self, state: Tensor) -> Tensor:
        """[0, z], so that the softmax over `no` and `yes` is the Bernoulli distribution of the logit z."""
        z = self.linear(state)
        return torch.cat([torch.zeros_like(z), z], -1)


def digit_tokenizer() -> Any:
    """A fast tokenizer with one token for each digit, whose id is the digit; the query is segment 0."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.WordLevel({**{str(i): i for i in range(DIGITS)}, "[PAD]": DIGITS}, unk_token="[PAD]"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.post_processor = processors.TemplateProcessing(single="$A", pair="$A:0 $B:1", special_tokens=[])
    names = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="[PAD]", unk_token="[PAD]", model_input_names=names)


@model("toy-counting")
@dataclass(frozen=True)
class ToyCounting(Settings):
    """Counts digits of `toy/counting`: a feed-forward network and a GRU, trained here to above 99 % on held-out examples.

    Attributes:
        seed: Of the initial weights and the order of the data.

    Raises:
        UsageError: A seed out of range.
    """

    seed: Seed = 0

    def fit(self, training: TrainingSession) -> Mapping[str, Tensor]:
        """Trains on the task's train split and measures the accuracy on its test split.

        Args:
            training: Gives the seed and the last checkpoint, takes checkpoints and the training curve.

        Raises:
            FlowgaugeError: The accuracy on the test split is not above 99 %.
        """
        model, task = self._untrained(), CountingTask()
        data, held_out = (read_in(model, task.instances(split)) for split in ("train", "test"))

        def accuracy() -> dict[str, float]:
            return {"accuracy": float((predictions(model, held_out) == held_out.answer[:, 0]).double().mean())}

        weights = fit_recurrent(model, data, RECIPE, training, accuracy)
        reached = accuracy()["accuracy"]
        if reached <= ENOUGH:
            raise FlowgaugeError(
                f"toy-counting:seed={self.seed} reached an accuracy of {reached:.1%}, and attributions are compared on a "
                f"model above {ENOUGH:.0%}: choose another seed."
            )
        return weights

    def build(self, weights: Mapping[str, Tensor]) -> Recurrent:
        """The model with its trained weights, in float32 on the CPU."""
        model = self._untrained()
        model.network.load_state_dict(dict(weights))
        return model

    def _untrained(self) -> Recurrent:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = CountingNetwork()
        return Recurrent(network, digit_tokenizer(), CLASSES, "toy-counting")
