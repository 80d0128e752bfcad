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
    """The weights of a recurrent classifier; subclasses say how words are looked up and what the GRU reads of them.

    Args:
        table: Word vectors.
        gru: Single-layer, one direction, `batch_first`.
        linear: From its last state.
    """

    def __init__(self, table: nn.Embedding, gru: nn.GRU, linear: nn.Linear) -> None:
        super().__init__()
        self.table, self.gru, self.linear = table, gru, linear

    def look_up(self, batch: Batch) -> Words:
        """Word vectors."""
        found: Tensor = self.table(batch.ids)
        return found

    def embed(self, words: Words, batch: Batch) -> Hidden:
        """What the GRU reads at each position: the word vectors themselves."""
        return words

    def read(self, batch: Batch) -> Mask:
        """The positions the GRU reads: all real ones."""
        return batch.attention_mask

    def trained(self) -> dict[str, nn.Parameter]:
        """The weights that training changes, by name: all."""
        return dict(self.named_parameters())

    def logits(self, state: Float[Tensor, "rows state"]) -> Float[Tensor, "rows outputs"]:
        """The outputs from the GRU's last state."""
        found: Tensor = self.linear(state)
        return found


class Recurrent:
    """A recurrent classifier as `Layered`: hidden[0] is what the GRU reads, and the readout is the GRU with its linear layer.

    It has no layers, no attention and no single position that q reads (a batch's target is None). What padding holds, and
    positions that the GRU does not read, changes nothing.

    Args:
        network: Its weights.
        tokenizer: A fast tokenizer.
        labels: Names of its outputs, in order.
        name: What results call it.
    """

    n_layers = 0
    n_heads = 0
    one_target = False
    max_tokens: int | None = None

    def __init__(self, network: Network, tokenizer: Any, labels: tuple[str, ...], name: str) -> None:
        # Not `eval()`: cuDNN has no backward for it, and there is nothing here that training mode changes.
        self.network = network.requires_grad_(False)
        self.tokenizer, self.name = tokenizer, name
        self.head: Head = "label"
        self.labels: Mapping[int, str] = dict(enumerate(labels))
        self.width = network.gru.input_size

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.network.table.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' floating-point type."""
        return self.network.table.weight.dtype

    def to(self, device: torch.device, dtype: torch.dtype) -> Recurrent:
        """Moves the weights; returns itself."""
        self.network.to(device, dtype)
        return self

    def parameters(self) -> Iterable[Tensor]:
        """Every weight."""
        return self.network.parameters()

    def fingerprint(self) -> str:
        """Sha256 over the kind of network, its outputs, every weight by name, and the tokenizer."""
        found = hashlib.sha256(f"{type(self.network).__name__}{self.labels}".encode())
        for name, tensor in sorted(self.network.state_dict().items()):
            found.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            found.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        found.update(self.tokenizer.backend_tokenizer.to_str().encode())
        return found.hexdigest()

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
        """Gives each group's hidden[0], edited; nothing else is there to run or to keep.

        Raises:
            NotApplicable: A site other than `hidden` is to be kept or edited.
            ValueError: Rows that enter above hidden[0], or an edit that changes the shape.
        """
        others = {*keep, *(site for group in rows for site in group.edits)} - {"hidden"}
        if others:
            raise NotApplicable(f"model {self.name!r} is recurrent and has hidden[0] alone, no {', '.join(sorted(others))}.")
        return [Trace(slice(0, len(group.hidden)), {("hidden", 0): _entered(group)}) for group in rows]

    def readout(self, hidden: Hidden, batch: Batch) -> Outputs:
        """Logits (R, C) from the GRU's state after the last position it reads; where it reads none, from its first state."""
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
