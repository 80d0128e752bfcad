"""The recurrent classifier of De Cao et al. 2020: a GRU over the fixed word vectors of a pretrained encoder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from ...core.errors import UsageError
from ...core.registry import Spec
from ...core.settings import Settings
from ...tasks.fingerprint import fingerprint
from ...tasks.registry import load_task, takes_data
from ..load import WordVectors, load_word_vectors
from .builder import model
from .recurrent import Network, Recurrent
from .recurrent_training import RecurrentTrainingConfig, Seed, fit_recurrent, predictions, read_in
from .training import TrainingSession

BATCH_SIZE = 64
LR = 1e-3


class SentenceNetwork(Network):
    """A GRU as wide as the word vectors (E), which are not trained, and a linear layer on its last state.

    hidden[0] is the word vector itself; the GRU reads special tokens too. Source: De Cao et al. 2020, section 4, as in their
    published code.

    Args:
        vectors: Word vectors (V, E).
        classes: The number of classes.
    """

    def __init__(self, vectors: Tensor, classes: int) -> None:
        width = vectors.shape[1]
        gru = nn.GRU(width, width, batch_first=True)
        super().__init__(nn.Embedding.from_pretrained(vectors), gru, nn.Linear(width, classes))

    def trained(self) -> dict[str, nn.Parameter]:
        """The weights that training changes, by name: all but the word vectors."""
        return {name: weight for name, weight in self.named_parameters() if name != "table.weight"}


@model("sst-gru")
@dataclass(frozen=True)
class SentenceGru(Settings):
    """A GRU over the frozen word vectors of an encoder (`embeddings=MODEL`), trained here on the train split of `task` (`sst`).

    The epoch with the largest macro-F1 on the validation split is kept, as De Cao et al. 2020 did.

    Attributes:
        embeddings: The encoder: an embedded model's name, a Hugging Face name or a folder.
        task: A classification task by name.
        seed: Of the initial weights and the order of the data.
        epochs: Passes over the train split.
        data_dir: Folder of published data sets; empty: the plan's, $FLOWGAUGE_DATA, else the Hub.

    Raises:
        UsageError: A setting out of range.
    """

    embeddings: str = "bert-base-uncased"
    task: str = "sst"
    seed: Seed = 0
    epochs: PositiveInt = 10
    data_dir: str = ""

    @cached_property
    def _vectors(self) -> WordVectors:
        return load_word_vectors(self.embeddings)

    @cached_property
    def _task(self) -> Any:
        spec = Spec.parse(self.task)
        folder = {"data_dir": self.data_dir} if self.data_dir and takes_data(spec) else {}
        task = load_task(Spec(spec.name, {**spec.settings, **folder}))
        if task.head != "label" or not getattr(task, "classes", ()):
            raise UsageError(
                f"model 'sst-gru' is trained on a task with classes, and {self.task!r} has none: choose sst or sst/binary."
            )
        return task

    def identity(self) -> dict[str, Any]:
        """What determines the weights: hashes of word vectors, tokenizer and data, without their folders."""
        vectors = self._vectors
        digest = hashlib.sha256(vectors.table.contiguous().view(torch.uint8).numpy().tobytes())
        digest.update(vectors.tokenizer.backend_tokenizer.to_str().encode())
        splits = {split: fingerprint(self._task.instances(split, None, 0)) for split in ("train", "validation")}
        return {"embeddings": digest.hexdigest(), "task": self._task.name, **splits, "seed": self.seed, "epochs": self.epochs}

    def fit(self, training: TrainingSession) -> Mapping[str, Tensor]:
        """Trains all weights but the word vectors; the curve has accuracy and macro-F1 on the validation split.

        Args:
            training: Gives the seed and the last checkpoint, takes checkpoints and the training curve.
        """
        from sklearn.metrics import f1_score

        model = self._untrained()
        data, held_out = (read_in(model, self._task.instances(split, None, 0)) for split in ("train", "validation"))
        gold = held_out.answer[:, 0]

        def measure() -> dict[str, float]:
            predicted = predictions(model, held_out)
            every = range(len(model.labels))
            macro = f1_score(gold.numpy(), predicted.numpy(), labels=every, average="macro", zero_division=0)
            return {"accuracy": float((predicted == gold).double().mean()), "macro_f1": float(macro)}

        recipe = RecurrentTrainingConfig(self.epochs, BATCH_SIZE, LR, best="macro_f1")
        return fit_recurrent(model, data, recipe, training, measure)

    def build(self, weights: Mapping[str, Tensor]) -> Recurrent:
        """The model with its trained weights, in float32 on the CPU."""
        model = self._untrained()
        model.network.load_state_dict({"table.weight": self._vectors.table, **weights})
        return model

    def _untrained(self) -> Recurrent:
        vectors, classes = self._vectors, tuple(self._task.classes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = SentenceNetwork(vectors.table.clone(), len(classes))
        return Recurrent(network, vectors.tokenizer, classes, "sst-gru")
