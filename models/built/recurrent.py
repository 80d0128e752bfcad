"""`Recurrent`: words, a position-wise network, one GRU and a linear readout, as a model with no layers that mix positions."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from ...core.errors import NotApplicable
from ...tasks.instance import Head
from ..batch import Batch, Rows, Trace
from ..shapes import Hidden, Mask, Outputs, Words


class Network(nn.Module):
    """The weights of a recurrent classifier. Subclasses define the lookup of words and the inputs of the GRU.

    Args:
        table: Word vectors.
        gru: A GRU of one layer and one direction, with `batch_first`.
        linear: The readout of the GRU's last state.
    """

    def __init__(self, table: nn.Embedding, gru: nn.GRU, linear: nn.Linear) -> None:
        super().__init__()
        self.table, self.gru, self.linear = table, gru, linear

    def look_up(self, batch: Batch) -> Words:
        """Word vectors (B, N, E) of the batch's ids."""
        words: Tensor = self.table(batch.ids)
        return words

    def embed(self, words: Words, batch: Batch) -> Hidden:
        """What the GRU reads at each position: the word vectors themselves."""
        return words

    def read(self, batch: Batch) -> Mask:
        """The positions the GRU reads: all real ones."""
        return batch.attention_mask

    def trained(self) -> dict[str, nn.Parameter]:
        """The weights that training changes, by name; here all weights."""
        return dict(self.named_parameters())

    def logits(self, state: Float[Tensor, "rows state"]) -> Float[Tensor, "rows outputs"]:
        """The outputs from the GRU's last state."""
        logits: Tensor = self.linear(state)
        return logits


class Recurrent:
    """A recurrent classifier as `Layered`: hidden[0] is what the GRU reads, and the readout is the GRU with its linear layer.

    It has no layers, no attention and no single position that q reads (a batch's target is None). Outputs depend neither on
    padding nor on positions that the GRU does not read.

    Args:
        network: The weights.
        tokenizer: A fast tokenizer.
        labels: Names of the outputs, in order.
        name: The name in results.
    """

    n_layers = 0
    n_heads = 0
    one_target = False
    max_tokens: int | None = None

    def __init__(self, network: Network, tokenizer: Any, labels: tuple[str, ...], name: str) -> None:
        # Not `eval()`, in which cuDNN cannot run a GRU backwards; no part of the network behaves differently in training mode.
        self.network = network.requires_grad_(False)
        self.tokenizer, self.name = tokenizer, name
        self.head: Head = "label"
        self.labels: Mapping[int, str] = dict(enumerate(labels))
        self.width = network.gru.input_size

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.network.table.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' floating-point type."""
        return self.network.table.weight.dtype

    def to(self, device: torch.device, dtype: torch.dtype) -> Recurrent:
        """Moves the weights and returns the model itself."""
        self.network.to(device, dtype)
        return self

    def parameters(self) -> Iterable[Tensor]:
        """Every weight."""
        return self.network.parameters()

    def fingerprint(self) -> str:
        """Sha256 over the class of the network, the names of its outputs, every weight by name, and the tokenizer."""
        digest = hashlib.sha256(f"{type(self.network).__name__}{self.labels}".encode())
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        digest.update(self.tokenizer.backend_tokenizer.to_str().encode())
        return digest.hexdigest()

    def maskable(self, batch: Batch) -> Mask:
        """The positions the GRU reads."""
        return self.network.read(batch)

    def words(self, batch: Batch) -> Words:
        """Word vectors (B, N, E): the lookup, or the batch's own."""
        return self.network.look_up(batch) if batch.word_vectors is None else batch.word_vectors

    def embed(self, words: Words, batch: Batch) -> Hidden:
        """hidden[0]: what the GRU reads, position by position."""
        return self.network.embed(words, batch)

    def run(self, *rows: Rows, keep: Collection[Any] = ()) -> list[Trace]:
        """The hidden[0] of each group with its edits; the model has no other site.

        Args:
            rows: The groups, all at hidden[0].
            keep: Sites to keep: `hidden` or none.

        Raises:
            NotApplicable: A site other than `hidden` is to be kept or edited.
            ValueError: Rows that enter above hidden[0], or an edit that changes the shape.
        """
        missing = {*keep, *(site for group in rows for site in group.edits)} - {"hidden"}
        if missing:
            raise NotApplicable(f"model {self.name!r} is recurrent and has hidden[0] alone, no {', '.join(sorted(missing))}.")
        return [Trace(slice(0, len(group.hidden)), {("hidden", 0): _entered(group)}) for group in rows]

    def readout(self, hidden: Hidden, batch: Batch) -> Outputs:
        """Logits (R, C) from the GRU's state after the last position that it reads, or its initial state if it reads none."""
        read = self.network.read(batch)
        lengths = read.sum(1)
        order = (~read).to(torch.int8).argsort(dim=1, stable=True)[..., None].expand_as(hidden)
        packed = pack_padded_sequence(hidden.gather(1, order), lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False)
        _, state = self.network.gru(packed)
        return (self.network.logits(state[0] * (lengths > 0)[:, None]),)

    def outputs(self, batch: Batch) -> Outputs:
        """Logits on the clean input."""
        return self.readout(self.embed(self.words(batch), batch), batch)


def _entered(rows: Rows) -> Tensor:
    if rows.layer != 0:
        raise ValueError(f"rows enter a recurrent model at hidden[0], got hidden[{rows.layer}].")
    if "hidden" not in rows.edits:
        return rows.hidden
    edited = rows.edits["hidden"](0, rows.hidden)
    if edited.shape != rows.hidden.shape:
        raise ValueError(f"the edit of hidden[0] returned shape {tuple(edited.shape)}, expected {tuple(rows.hidden.shape)}.")
    return edited
