"""Trains a `Recurrent` classifier with Adam; a killed training continues after its last finished epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...tasks.instance import Instance
from ..batch import Batch
from ..inputs.encode import encode
from ..tokenizer import padding_token
from .recurrent import Recurrent
from .training import TrainingSession

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""A seed that every random generator takes."""
PART = 512
"""Instances that are encoded, or run without gradients, in one batch."""


@dataclass(frozen=True)
class RecurrentTrainingConfig:
    """Settings of a training.

    Attributes:
        epochs: Passes over the data.
        batch_size: Instances of a step.
        lr: Learning rate of Adam.
        best: The measured number by which an epoch is chosen: its weights are kept if the number is the largest so far. Empty:
            the weights of the last epoch are kept.
    """

    epochs: int
    batch_size: int
    lr: float
    best: str = ""


def read_in(model: Recurrent, instances: Sequence[Instance], labels: Mapping[str, int] | None = None) -> Batch:
    """Encodes all instances, in parts, as one batch.

    Args:
        model: The model that reads them.
        instances: The instances in the order of the batch.
        labels: The output of each class name; None: the model's own names.
    """
    parts = [encode(model, instances[i : i + PART], labels=labels) for i in range(0, len(instances), PART)]
    return replace(Batch.join(parts, padding_token(model.tokenizer)), counterpart=None)


def rows_of(data: Batch, index: Tensor) -> Batch:
    """The rows with these indices, padded to the longest of them."""
    rows = data.rows(index)
    return rows.only(rows.attention_mask)


@torch.no_grad()
def predictions(model: Recurrent, data: Batch) -> Tensor:
    """The predicted class of every instance (B,)."""
    return torch.cat([model.outputs(rows_of(data, index))[0].argmax(1) for index in torch.arange(len(data)).split(PART)])


def fit_recurrent(
    model: Recurrent,
    data: Batch,
    recipe: RecurrentTrainingConfig,
    training: TrainingSession,
    measure: Callable[[], Mapping[str, float]],
) -> dict[str, Tensor]:
    """Minimises the cross-entropy of the batch's answers.

    Args:
        model: The model; training changes its weights, but not word vectors that the network keeps fixed.
        data: The train split.
        recipe: The settings of the training.
        training: Gives the seed of the order of the data; takes the training curve and a checkpoint after each epoch.
        measure: Measures the model after each epoch; the numbers enter the training curve.

    Returns:
        The trained weights of the kept epoch, by name.
    """
    weights = model.network.trained()
    optimiser = torch.optim.Adam(list(weights.values()), lr=recipe.lr)
    state = _State(weights, optimiser, training.resume())
    steps = -(-len(data) // recipe.batch_size)
    for epoch in range(state.epoch, recipe.epochs):
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(training.seed * 100_003 + epoch))
        loss = 0.0
        for index in order.split(recipe.batch_size):
            loss += _step(model, rows_of(data, index), list(weights.values()), optimiser) / steps
        numbers = measure()
        state.after(epoch, numbers[recipe.best] if recipe.best else float(epoch))
        training.log(epoch + 1, recipe.epochs, loss=loss, **numbers)
        training.checkpoint(state.tensors())
    return state.kept


def _step(model: Recurrent, batch: Batch, weights: list[Tensor], optimiser: torch.optim.Optimizer) -> float:
    with torch.enable_grad():
        for weight in weights:
            weight.requires_grad_(True)
        loss = cross_entropy(model.outputs(batch)[0], batch.answer[:, 0])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for weight in weights:
        weight.requires_grad_(False)
    return loss.item()


class _State:
    """What a training needs to continue: weights, Adam's moments, the epoch and the weights of the best epoch so far."""

    def __init__(self, weights: Mapping[str, Tensor], optimiser: torch.optim.Optimizer, stored: Mapping[str, Tensor]) -> None:
        self.weights, self.optimiser = weights, optimiser
        self.epoch, self.best = 0, -float("inf")
        self.kept: dict[str, Tensor] = {}
        if stored:
            self._load(stored)

    def after(self, epoch: int, score: float) -> None:
        """Notes the end of an epoch; its weights are kept if its score is the largest so far."""
        self.epoch = epoch + 1
        if score > self.best:
            self.best = score
            self.kept = {name: weight.detach().clone() for name, weight in self.weights.items()}

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of a checkpoint by name."""
        moments = self.optimiser.state_dict()["state"]
        tensors = {f"adam/{i}/{name}": value for i, each in moments.items() for name, value in each.items()}
        tensors |= {f"weight/{name}": weight for name, weight in self.weights.items()}
        tensors |= {f"kept/{name}": weight for name, weight in self.kept.items()}
        return tensors | {"epoch": torch.tensor(self.epoch), "best": torch.tensor(self.best, dtype=torch.float64)}

    def _load(self, stored: Mapping[str, Tensor]) -> None:
        self.epoch, self.best = int(stored["epoch"]), float(stored["best"])
        self.kept = {name: stored[f"kept/{name}"] for name in self.weights}
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in stored.items():
            if key.startswith("adam/"):
                _, index, name = key.split("/")
                moments.setdefault(int(index), {})[name] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": moments})
        for name, weight in self.weights.items():
            weight.data.copy_(stored[f"weight/{name}"])
