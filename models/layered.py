"""The protocol of any model that methods and metrics can run: words, an embedding, layers, a readout."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from ..tasks.instance import Head
from .batch import Batch, Rows, Trace
from .shapes import Hidden, Mask, Outputs, Words


class Layered(Protocol):
    """A model as words, hidden[0..L] and a readout: for transformers `FlowModel`, for recurrent classifiers `Recurrent`.

    Attributes:
        name: The name in results.
        tokenizer: A fast tokenizer.
        head: The kind of output that the model predicts.
        n_layers: L.
        n_heads: Attention heads of a layer, 0 without attention.
        width: Width of hidden states (D).
        one_target: Whether q is read at one position; otherwise batches have no target.
        labels: Name of each output of a classifier.
        max_tokens: The most tokens that the model has positions for; None: any number.
        device: The device of the weights.
        dtype: The floating-point type of the weights.
    """

    name: str
    tokenizer: Any
    head: Head
    n_layers: int
    n_heads: int
    width: int
    one_target: bool

    @property
    def labels(self) -> Mapping[int, str]: ...
    @property
    def max_tokens(self) -> int | None: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def dtype(self) -> torch.dtype: ...
    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        """Moves the weights to a device and a floating-point type, and returns the model itself."""
        ...

    def parameters(self) -> Iterable[Tensor]:
        """Every weight."""
        ...

    def fingerprint(self) -> str:
        """A hash of everything that the outputs depend on: configuration, weights, tokenizer."""
        ...

    def maskable(self, batch: Batch) -> Mask:
        """The positions that may be masked, erased or noised: all real ones, except those that a model reads as its question."""
        ...

    def words(self, batch: Batch) -> Words:
        """Word vectors (B, N, E): the lookup of the ids, or the batch's own."""
        ...

    def embed(self, words: Words, batch: Batch) -> Hidden:
        """hidden[0] (B, N, D) from word vectors."""
        ...

    def run(self, *rows: Rows, keep: Collection[Any] = ()) -> list[Trace]:
        """Runs groups of rows through the layers, each from the layer at which it enters.

        Args:
            rows: The groups.
            keep: Sites to keep besides hidden[L].

        Returns:
            One trace for each group, in the order given.
        """
        ...

    def readout(self, hidden: Hidden, batch: Batch) -> Outputs:
        """Logits (R, C) of each output head from hidden[L]."""
        ...

    def outputs(self, batch: Batch) -> Outputs:
        """Logits (B, C) of each output head on the clean input."""
        ...
