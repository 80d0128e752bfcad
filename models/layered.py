"""What methods and metrics may ask of any model: words, an embedding, layers, a readout."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from ..tasks.instance import Head
from .batch import Batch, Rows, Trace
from .shapes import Hidden, Mask, Outputs, Words


class Layered(Protocol):
    """A model as words, hidden[0..L] and a readout; `FlowModel` is one, recurrent models and what is built by hand are others.

    Attributes:
        name: What results call it.
        tokenizer: Its fast tokenizer, or what stands for one.
        head: What it predicts.
        n_layers: L.
        n_heads: Attention heads a layer, 0 where there is no attention.
        width: Of hidden states.
        one_target: Whether q is read at one position; else a batch has no target.
        labels: Name of each output, of classifiers.
        max_tokens: The most tokens that it has positions for; None: any number.
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
    def to(self, device: torch.device, dtype: torch.dtype) -> Self: ...
    def parameters(self) -> Iterable[Tensor]: ...
    def fingerprint(self) -> str: ...
    def maskable(self, batch: Batch) -> Mask:
        """The positions that may be masked, erased or noised: all real ones, unless the model reads some as its question."""
        ...

    def words(self, batch: Batch) -> Words: ...
    def embed(self, words: Words, batch: Batch) -> Hidden: ...
    def run(self, *rows: Rows, keep: Collection[Any] = ()) -> list[Trace]: ...
    def readout(self, hidden: Hidden, batch: Batch) -> Outputs: ...
    def outputs(self, batch: Batch) -> Outputs: ...
