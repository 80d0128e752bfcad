"""`FlowModel`: a Hugging Face model whose loop over layers is run by flowgauge."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..batch import Batch, Rows, Site, Trace
from ..families.registry import default_baseline, model_parts
from ..layers.attention import KeyMask, mix
from ..layers.base import Tape
from ..layers.derivative_rules import see_activations_whole
from ..shapes import Hidden, Mask, Outputs, Words
from .graph import Attends
from .work import note_layer


class FlowModel:
    """A transformer as project, attend, finish; every site of the loop can be kept and edited.

    Args:
        hf: A Hugging Face model of a family in `families/registry.py`, with a masked-LM, next-token, sequence-classification or
            span head. It is put in evaluation mode, and its weights are frozen.
        tokenizer: Its fast tokenizer.
        name: The name in results.

    Raises:
        UsageError: A family, variant or head that flowgauge does not run.
    """

    def __init__(self, hf: Any, tokenizer: Any, name: str) -> None:
        self.hf = hf.eval().requires_grad_(False)
        self.tokenizer, self.name = tokenizer, name
        see_activations_whole(self.hf)
        parts = model_parts(hf, name)
        self.word_embedding, self._embed, self._readout = parts.word_embedding, parts.embed, parts.readout
        self.layers, self.head = parts.layers, parts.head
        self.n_layers, self.n_heads = len(parts.layers), parts.n_heads
        self.width, self.inner_width, self.max_tokens = parts.width, parts.inner_width, parts.max_tokens
        self.one_target, self.problem_type = self.head != "span", parts.problem_type
        self.reads_last_token = parts.reads_last_token
        self.default_baseline = default_baseline(hf.config.model_type)

    @property
    def device(self) -> torch.device:
        """The device of the word vectors, where inputs are put; all weights lie there (`to` moves them together)."""
        return self.word_embedding.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' floating-point type."""
        return self.word_embedding.weight.dtype

    @property
    def labels(self) -> Mapping[int, str]:
        """Name of each output of a classifier; empty for other heads."""
        return {int(index): str(name) for index, name in self.hf.config.id2label.items()} if self.head == "label" else {}

    def to(self, device: torch.device, dtype: torch.dtype) -> FlowModel:
        """Moves the weights and returns the model itself."""
        self.hf.to(device, dtype)
        return self

    def parameters(self) -> Iterable[Tensor]:
        """Every weight once, as tensors that take no gradient, in the order of the Hugging Face model.

        Weights that several parts share, such as a table of words that the head reads too, come once.
        """
        return self.hf.parameters()

    def fingerprint(self) -> str:
        """Sha256 over the configuration, every weight by name, and the tokenizer."""
        digest = hashlib.sha256(self.hf.config.to_json_string(use_diff=False).encode())
        for name, tensor in sorted(self.hf.state_dict().items()):
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
        digest.update(self.tokenizer.backend_tokenizer.to_str().encode())
        return digest.hexdigest()

    def maskable(self, batch: Batch) -> Mask:
        """The positions that may be masked, erased or noised: all real ones."""
        return batch.attention_mask

    def attends(self, n_tokens: int) -> Attends | None:
        """Which positions each position can attend to in a text of `n_tokens`: [layer, query, key]; None: all of them everywhere.

        Decoders attend to no later position, and layers with a window to none further away.
        """
        real = torch.ones(1, n_tokens, dtype=torch.bool)
        masks = [layer.attention.mask(real) for layer in self.layers]
        if all(mask is None for mask in masks):
            return None
        every = np.ones((n_tokens, n_tokens), bool)
        return np.stack([every if mask is None else mask[0, 0].expand(n_tokens, -1).numpy() for mask in masks])

    def words(self, batch: Batch) -> Words:
        """Word vectors (B, N, E): the lookup, or the batch's own."""
        if batch.word_vectors is not None:
            return batch.word_vectors
        words: Tensor = self.word_embedding(batch.ids)
        return words

    def embed(self, words: Words, batch: Batch) -> Hidden:
        """hidden[0] (R, N, D) from word vectors: positions, token types and norm."""
        return self._embed(words, batch)

    def readout(self, hidden: Hidden, batch: Batch) -> Outputs:
        """Logits of each output head from hidden[L].

        A span head has two output heads, start and end, with one output for each position; padding is at minus infinity. A
        multi-label head is asked about the label of each row (`Batch.label`): [0, z], so that the softmax over no and yes is the
        sigmoid of that label's logit z.

        Args:
            hidden: hidden[L] of all positions (R, N, D), or of the target alone (R, 1, D).
            batch: The instance of each row.
        """
        if not self.one_target:
            return self._readout(hidden).masked_fill(~batch.attention_mask[..., None], -torch.inf).unbind(-1)
        logits = self._readout(at_target(hidden, batch)[:, 0])
        if self.problem_type == "multi_label_classification":
            if batch.label is None:
                raise ValueError("this batch names no label to ask a multi-label head about: encode it for this model.")
            logits = torch.cat([torch.zeros_like(logits[:, :1]), logits.gather(1, batch.label[:, None])], 1)
        return (logits,)

    def outputs(self, batch: Batch) -> Outputs:
        """Logits of every output head (B, C) on the batch as it is, without any edit: embed, all layers, readout.

        A head that reads one position has one entry, at `batch.target`; a span head has two, start and end, over the tokens.

        Args:
            batch: Instances of the model.

        Raises:
            ValueError: The head has several labels and the batch names none.
        """
        (trace,) = self.run(Rows(batch, self.embed(self.words(batch), batch)))
        return self.readout(trace.site("hidden", self.n_layers), batch)

    def run(
        self,
        *rows: Rows,
        keep: Collection[Site] = (),
        tapes: list[Tape] | None = None,
        target_only: bool = False,
        until: int | None = None,
    ) -> list[Trace]:
        """Runs groups of rows through the layers as one growing batch; each group enters at its own layer.

        Args:
            rows: The groups, all padded to the same number of tokens.
            keep: Sites to keep besides hidden[L]. Keeping or editing `attention` computes weights in place of the fused kernel.
            tapes: Receives the intermediates of each layer, for `Layer.tangents`.
            target_only: Computes in the last layer only what `readout` reads: query, attention, context, skip and hidden[L] have
                one position there, the target. A group that enters at L may have that one position alone. Without effect where
                the readout reads every position.
            until: Stops at hidden[until], which is kept in the place of hidden[L]; None: L.

        Returns:
            One trace for each group, in the order given.

        Raises:
            ValueError: Groups of different numbers of tokens, or an edit that changes a shape.
        """
        loop = _Loop(
            self, rows, frozenset(keep), tapes, target_only and self.one_target, self.n_layers if until is None else until
        )
        return loop.run()


def at_target(states: Float[Tensor, "rows tokens *rest"], batch: Batch) -> Float[Tensor, "rows 1 *rest"]:
    """The state at the target of every row.

    Args:
        states: States of all positions, or of one position, which is then the target.
        batch: The instance of each row.

    Raises:
        ValueError: The batch has no target.
    """
    if batch.target is None:
        raise ValueError("this batch has no target, because its head reads every position: q is not read at a single one.")
    if states.shape[1] == 1:
        return states
    return states[torch.arange(len(states), device=states.device), batch.target][:, None]


class _Loop:
    """The state of one `FlowModel.run`: the growing batch, the groups of rows in it, and the kept sites."""

    def __init__(
        self,
        model: FlowModel,
        rows: Sequence[Rows],
        keep: frozenset[str],
        tapes: list[Tape] | None,
        target_only: bool,
        until: int,
    ) -> None:
        widths = {r.hidden.shape[1] for r in rows if not (target_only and r.layer == model.n_layers)}
        if len(widths) > 1:
            raise ValueError(f"rows that run together must have the same number of tokens, got {sorted(widths)}.")
        self.model, self.keep, self.tapes, self.target_only, self.until = model, keep, tapes, target_only, until
        self.queue = sorted(enumerate(rows), key=lambda pair: pair[1].layer)
        self.entered = [r.layer for r in rows]
        self.inside: list[tuple[slice, Rows]] = []
        self.spans: dict[int, slice] = {}
        self.kept: dict[tuple[str, int], Tensor] = {}
        self.masks: dict[tuple[int, bool, int | None], KeyMask] = {}
        self.positions: dict[int, Tensor] = {}
        self.opened = {"query", "key", "value", "attention"} & keep.union(*(r.edits for r in rows))

    def run(self) -> list[Trace]:
        hidden: Tensor | None = None
        for layer in range(self.until + 1):
            hidden = self._site("hidden", layer, self._join(hidden, layer))
            if layer == self.until:
                break
            if len(hidden):
                hidden = self._layer(layer, hidden)
        assert hidden is not None
        self.kept["hidden", self.until] = hidden
        return [Trace(self.spans[i], self.kept, entered) for i, entered in enumerate(self.entered)]

    def _join(self, hidden: Tensor | None, layer: int) -> Tensor:
        """The growing batch with the groups that enter at a layer."""
        parts = [] if hidden is None else [hidden]
        start = 0 if hidden is None else len(hidden)
        while self.queue and self.queue[0][1].layer == layer:
            index, rows = self.queue.pop(0)
            span = slice(start, start + len(rows.hidden))
            self.spans[index] = span
            self.inside.append((span, rows))
            last = self.target_only and layer == self.model.n_layers
            parts.append(at_target(rows.hidden, rows.batch) if last else rows.hidden)
            start = span.stop
        if not parts:
            first = self.queue[0][1].hidden
            return first[:0]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _real(self) -> Tensor:
        """True at the real tokens of all rows in the batch."""
        return torch.cat([rows.batch.attention_mask for _, rows in self.inside])

    def _mask(self, index: int) -> KeyMask:
        """The keys that each query of a layer attends to; layers with one rule share it until another group enters."""
        attention = self.model.layers[index].attention
        rule = (len(self.inside), attention.causal, attention.window)
        if rule not in self.masks:
            self.masks[rule] = attention.mask(self._real())
        return self.masks[rule]

    def _positions(self) -> Tensor:
        """The position of every token of all rows in the batch."""
        count = len(self.inside)
        if count not in self.positions:
            self.positions[count] = torch.cat([rows.batch.positions for _, rows in self.inside])
        return self.positions[count]

    def _site(self, site: Site, layer: int, value: Tensor) -> Tensor:
        """The value at a site after the groups' edits; kept if it was asked for."""
        if any(site in rows.edits for _, rows in self.inside):
            parts = []
            for span, rows in self.inside:
                part = value[span]
                edited = rows.edits[site](layer, part) if site in rows.edits else part
                if edited.shape != part.shape:
                    raise ValueError(
                        f"the edit of {site}[{layer}] returned shape {tuple(edited.shape)}, expected {tuple(part.shape)}."
                    )
                parts.append(edited)
            value = torch.cat(parts)
        if site in self.keep:
            self.kept[site, layer] = value
        return value

    def _layer(self, index: int, hidden: Tensor) -> Tensor:
        """hidden[index + 1] from hidden[index]."""
        layer = self.model.layers[index]
        note_layer(len(hidden))
        if self.target_only and index == self.model.n_layers - 1:
            asking = torch.cat([at_target(hidden[span], rows.batch) for span, rows in self.inside])
            at = torch.cat([rows.batch.required_positions for _, rows in self.inside])
        else:
            asking, at = hidden, None
        if at is not None and layer.attention.plain and not self.opened:
            mask = layer.attention.mask(self._real(), at)
            context = layer.attention.context_once(layer.normed(asking), layer.normed(hidden), mask)
        else:
            context = self._attend(index, asking, hidden, at)
        context = self._site("context", index, context)
        skip = self._site("skip", index, asking.view_as(asking))  # a view, so that its gradient is that of the residual alone
        tape: Tape | None = None if self.tapes is None else {}
        if tape is not None and self.tapes is not None:
            self.tapes.append(tape)
        return layer.finish(skip, context, tape)

    def _attend(self, index: int, asking: Tensor, hidden: Tensor, at: Tensor | None) -> Tensor:
        """Context vectors of the positions `at` (None: all), whose states are `asking`, with edits at every site on the way."""
        layer, positions = self.model.layers[index], self._positions()
        attention = layer.attention
        projected = layer.project(hidden, positions)
        key = attention.shared(self._site("key", index, projected.key))
        value = attention.shared(self._site("value", index, projected.value))
        query = projected.query if at is None else layer.project(asking, positions.gather(1, at)).query
        query = self._site("query", index, query)
        mask = self._mask(index) if at is None else attention.mask(self._real(), at)
        if "attention" in self.opened:
            return mix(self._site("attention", index, attention.weights(query, key, mask, at)), value)
        return attention.context(query, key, value, mask, at)
