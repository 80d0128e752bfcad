"""Path samples of texts that are too long to keep every site of every sample at once.

Only hidden[l] and dq/dhidden[l] of every sample are kept, and where even these are too many, the words of the path alone. All
else is computed again, a piece of the samples and a layer at a time, when it is asked for. Means are sums over pieces.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple, overload

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jvp

from ..baseline import baseline_words
from ..batch import Batch, Rows
from ..layers.base import Projected, Tangents, Tape
from ..memory import affordable, layer_bytes, memory_budget
from ..outputs import value
from .flow_model import FlowModel
from .quadrature import Quadrature
from .trace import PathTrace, as_heads_read, ends_of, response_of
from .work import Work

STATES, PIECE = 1 / 2, 1 / 8
"""Shares of the memory budget: of the states that are kept, and of the sites of one layer that are computed at once."""
_HOLDING: weakref.WeakSet[SplitTrace] = weakref.WeakSet()
"""Split traces that keep states; one at a time may."""


class SampleStates(NamedTuple):
    """What is kept of the samples of a piece, in rows (instance, sample) with samples fastest.

    Attributes:
        hidden: hidden[l], l = 0..L (R, N, D).
        grad_hidden: dq/dhidden[l], l = 0..L (R, N, D).
        grad_words: dq/d word vectors (R, N, E).
    """

    hidden: list[Tensor]
    grad_hidden: list[Tensor]
    grad_words: Tensor


class LayerSites(NamedTuple):
    """The sites of one layer for the samples of a piece, with the names and shapes of `PathTrace`."""

    projected: Projected
    attention: Tensor
    response: Tensor
    context: Tensor
    skip: Tensor
    grad_context: Tensor
    grad_skip: Tensor
    tangents: Tangents


@dataclass(eq=False)
class SamplePiece:
    """Some samples of the path of every instance of a batch.

    Attributes:
        model: The model.
        rows: One row for each instance and sample.
        words: Their word vectors (R, N, E).
    """

    model: FlowModel
    rows: Batch
    words: Float[Tensor, "rows tokens word"]
    _states: SampleStates | None = None
    _layer: tuple[int, LayerSites] | None = None

    def states(self) -> SampleStates:
        """Every hidden state and its gradient: a run without autograd, then back through one layer at a time."""
        if self._states is None:
            self._states = self._run()
        return self._states

    def forget(self, states: bool) -> None:
        """Drops the sites of the last layer, and the states too where that is asked for."""
        self._layer = None
        if states:
            self._states = None

    def sites(self, layer: int) -> LayerSites:
        """The sites of a layer; those of the last one asked for are kept."""
        if self._layer is None or self._layer[0] != layer:
            self._layer = None
            self._layer = layer, self._sites(layer)
        return self._layer[1]

    def _step(self, layer: int, hidden: Tensor) -> Tensor:
        """hidden[layer + 1]."""
        (trace,) = self.model.run(Rows(self.rows, hidden, layer), until=layer + 1)
        return trace.whole("hidden", layer + 1)

    def _run(self) -> SampleStates:
        model, depth = self.model, self.model.n_layers
        with torch.no_grad():
            hidden = [model.embed(self.words, self.rows)]
            for layer in range(depth):
                hidden.append(self._step(layer, hidden[-1]))
        read: Callable[[Tensor], Tensor] = lambda last: value(model.readout(last, self.rows), self.rows)  # noqa: E731
        grads = [_pulled(read, hidden[-1], None)]
        for layer in range(depth - 1, -1, -1):
            grads.append(_pulled(partial(self._step, layer), hidden[layer], grads[-1]))
        grad_words = _pulled(lambda words: model.embed(words, self.rows), self.words, grads[-1])
        return SampleStates(hidden, grads[::-1], grad_words)

    @torch.no_grad()
    def _sites(self, layer: int) -> LayerSites:
        states, tapes = self.states(), list[Tape]()
        keep = ("query", "key", "value", "attention", "context", "skip")
        rows = Rows(self.rows, states.hidden[layer], layer)
        (trace,) = self.model.run(rows, keep=keep, tapes=tapes, until=layer + 1)  # type: ignore[arg-type]
        query, key, values, attention, context, skip = (trace.whole(site, layer) for site in keep)
        part = self.model.layers[layer]
        projected = as_heads_read(part, query, key, values)
        tangents = part.tangents(skip, context, self.rows.positions, tapes[0])
        grad_skip, grad_context = tangents.finish_vjp(None, states.grad_hidden[layer + 1].flatten(0, 1))
        return LayerSites(
            projected, attention, response_of(part, projected, attention), context, skip,
            grad_context.view_as(context), grad_skip.view_as(skip), tangents,
        )  # fmt: skip

    def of_rows(self, picked: slice) -> SamplePiece:
        """The piece of some of its rows."""
        index = torch.arange(len(self.rows), device=self.words.device)[picked]
        states = self._states
        part = None if states is None else SampleStates(
            [x[picked] for x in states.hidden], [x[picked] for x in states.grad_hidden], states.grad_words[picked]
        )  # fmt: skip
        return SamplePiece(self.model, self.rows.rows(index), self.words[picked], part)


def _pulled(function: Callable[[Tensor], Tensor], at: Tensor, grad: Tensor | None) -> Tensor:
    """The gradient at the input of a function from that of its output (None: of the output's sum)."""
    leaf = at.detach().requires_grad_(True)
    with torch.enable_grad():
        out = function(leaf)
        (pulled,) = torch.autograd.grad(out.sum() if grad is None else out, leaf, grad)
    return pulled


@dataclass(frozen=True)
class _Sites(Sequence[Any]):
    """One field of the sites of all layers, computed when it is read."""

    piece: SamplePiece
    name: str

    def __len__(self) -> int:
        return self.piece.model.n_layers

    @overload
    def __getitem__(self, layer: int) -> Any: ...
    @overload
    def __getitem__(self, layer: slice) -> Any: ...
    def __getitem__(self, layer: int | slice) -> Any:
        if isinstance(layer, slice):
            raise TypeError("the sites of a split trace are read one layer at a time.")
        return getattr(self.piece.sites(range(len(self))[layer]), self.name)


@dataclass(frozen=True)
class _Gradients(Sequence[Tensor]):
    """dq/dhidden[l] of a piece."""

    piece: SamplePiece

    def __len__(self) -> int:
        return self.piece.model.n_layers + 1

    def __getitem__(self, depth: Any) -> Any:
        return self.piece.states().grad_hidden[depth]


@dataclass(eq=False)
class SplitTrace(PathTrace):
    """A path trace whose samples are split; its own sites are empty, and `pieces` has those of every piece.

    Attributes:
        parts: The samples, in pieces.
        split_weights: The quadrature weights of each piece.
        kept: Whether states are kept; otherwise they are computed again each time that a piece comes up.
        is_view: Whether its states are a part of those of another trace.
    """

    parts: list[SamplePiece] = field(default_factory=list)
    split_weights: list[Tensor] = field(default_factory=list)
    kept: bool = True
    is_view: bool = False

    @property
    def samples_at_once(self) -> int:
        return len(self.split_weights[0])

    def pieces(self) -> Iterator[PathTrace]:
        """Each piece as a trace of its samples; means over them are its part of the mean over all samples."""
        if not self.is_view:
            self._hold()
        for part, weights in zip(self.parts, self.split_weights, strict=True):
            yield self._trace(part, weights)
            part.forget(states=not self.kept)

    def one(self, row: int) -> PathTrace:
        """The trace of one of its instances."""
        if len(self.batch) == 1:
            return self
        index = torch.tensor([row], device=self.g.device)
        pairs = zip(self.parts, self.split_weights, strict=True)
        parts = [part.of_rows(slice(row * len(w), (row + 1) * len(w))) for part, w in pairs]
        picked = slice(row, row + 1)
        names = ("delta", "g", "completeness", "q", "q_baseline")
        return replace(
            self, batch=self.batch.rows(index), parts=parts, is_view=True, **{name: getattr(self, name)[picked] for name in names}
        )

    def _hold(self) -> None:
        """Lets other split traces drop their states, so that those of one alone are in memory."""
        for other in list(_HOLDING):
            if other is not self:
                other.drop()
        _HOLDING.add(self)

    def drop(self) -> None:
        """Drops what can be computed again."""
        for part in self.parts:
            part.forget(states=True)
        _HOLDING.discard(self)

    def _trace(self, part: SamplePiece, weights: Tensor) -> PathTrace:
        names = ("projected", "attention", "response", "context", "skip", "grad_context", "grad_skip", "tangents")
        with torch.no_grad():
            tangent = self.delta.repeat_interleave(len(weights), 0)
            start = jvp(lambda w: self.model.embed(w, part.rows), (part.words,), (tangent,))[1]
        fields: dict[str, Any] = {name: _Sites(part, name) for name in names}
        return PathTrace(
            model=self.model, batch=self.batch, samples=len(weights), weights=weights, delta=self.delta, g=self.g,
            completeness=self.completeness, q=self.q, q_baseline=self.q_baseline, grad_hidden=_Gradients(part), start=start,
            work=Work(), **fields,
        )  # fmt: skip


def split_trace(model: FlowModel, batch: Batch, rule: Quadrature, baseline: Any) -> SplitTrace:
    """Samples the path piece by piece.

    Args:
        model: The transformer.
        batch: The instances.
        rule: The quadrature rule.
        baseline: The word vectors at the start of the path.
    """
    with torch.no_grad():
        x, x_b = model.words(batch), baseline_words(model, batch, baseline)
        ends = ends_of(model, batch, x, x_b)
    delta, samples = x - x_b, len(rule.nodes)
    nodes, weights = (torch.as_tensor(values, dtype=x.dtype, device=x.device) for values in (rule.nodes, rule.weights))
    size = affordable(len(batch) * layer_bytes(model, batch.ids.shape[1]), PIECE, most=samples)
    parts = []
    for some in nodes.split(size):
        words = (x_b[:, None] + some[:, None, None] * delta[:, None]).flatten(0, 1)
        rows = batch.rows(torch.arange(len(batch), device=x.device).repeat_interleave(len(some)))
        parts.append(SamplePiece(model, rows, words))
    numbers = samples * x[..., 0].numel() * (2 * (model.n_layers + 1) * model.width + 2 * x.shape[-1])
    nothing: dict[str, Any] = dict.fromkeys(
        ("projected", "attention", "response", "context", "skip", "grad_hidden", "grad_context", "grad_skip", "tangents"), ()
    )
    trace = SplitTrace(
        model=model, batch=batch, samples=samples, weights=weights, delta=delta, g=x.new_zeros(batch.ids.shape),
        completeness=ends[0], q=ends[0], q_baseline=ends[1], start=x.new_zeros(0), work=Work(), parts=parts,
        split_weights=list(weights.split(size)), kept=numbers * x.element_size() <= STATES * memory_budget(), **nothing,
    )  # fmt: skip
    mean_grad = torch.zeros_like(x)
    trace._hold()
    for part, some in zip(parts, trace.split_weights, strict=True):
        grads = part.states().grad_words.unflatten(0, (len(batch), len(some)))
        mean_grad += (some @ grads.flatten(2)).unflatten(-1, x.shape[1:])
        part.forget(states=not trace.kept)
    trace.g = (delta * mean_grad).sum(-1) * batch.attention_mask
    trace.completeness = (trace.g.sum(1) - (ends[0] - ends[1])).abs()
    return trace
