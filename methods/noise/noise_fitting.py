"""Fits noise on a model's states to single instances, with one strength for each token and depth: the part bottlenecks share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Protocol

import torch
from jaxtyping import Bool, Float
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from ...core.errors import FlowgaugeError, UsageError
from ...core.settings import Settings
from ...models.batch import Batch
from ...models.interventions.states import clean_states, outputs_from_each
from ...models.layered import Layered
from ...models.memory import rows_at_once
from ...models.outputs import value
from ...models.shapes import Outputs
from ..centred_rmsprop import CentredRMSprop

Optimiser = Literal["rmsprop", "adam"]
Strengths = Float[Tensor, "batch depths tokens"]
SLOWER = "lower lr, or the weight against the outputs (beta, gamma)"
TOKENS = 8192
"""Largest number of positions that run at once, over instances and depths."""


@dataclass(frozen=True, eq=False)
class FitChunk:
    """Instances and depths that are fitted together; the result of each depends neither on the others nor on their order.

    Attributes:
        model: The explained model.
        batch: The instances, without superfluous padding.
        depths: Depths of the states: 0 for word vectors, l + 1 for hidden[l].
        states: Clean states of each depth (B, N, E or D).
        free: Positions that take noise.
        clean: Logits on the clean input, repeated for each of K depths: (K B, C) for each output head.
    """

    model: Layered
    batch: Batch
    depths: tuple[int, ...]
    states: tuple[Tensor, ...]
    free: Bool[Tensor, "batch tokens"]
    clean: Outputs

    @property
    def repeated(self) -> Batch:
        """The instances once for each depth, in the order of the rows of the outputs."""
        return self.batch.rows(torch.arange(len(self.batch), device=self.batch.ids.device).repeat(len(self.depths)))


class NoiseObjective(Protocol):
    """The objective that the strengths of a chunk minimise."""

    def noisy(self, index: int, strength: Float[Tensor, "batch tokens"], noise: Tensor) -> Tensor:
        """States of one depth with noise.

        Args:
            index: Index of the depth within the chunk.
            strength: Strength of the noise on each token.
            noise: Standard normal numbers in the shape of the states.
        """
        ...

    def loss(self, strengths: Strengths, outputs: Outputs) -> Tensor:
        """The loss, a sum of independent terms over instances and depths."""
        ...


@dataclass(frozen=True)
class NoiseFitSettings(Settings):
    """Settings of the fit of strengths, which `ib-attribution` and `information-mask` share.

    Attributes:
        start: Strength before the first step.
        steps: Number of steps of the optimiser, each with one draw of noise: 50 as in De Cao et al. 2020 on SST; they take 500 on
            their toy task and on SQuAD.
        lr: Learning rate of the optimiser.
        optimiser: `rmsprop` (centred, as in De Cao et al. 2020) or `adam`.
        nodes: Whether hidden states are explained too (about L times the cost of words alone). Where it is left out, a run whose
            metrics all read words leaves them out.
    """

    start: float
    steps: PositiveInt = 50
    lr: PositiveFloat = 0.1
    optimiser: Optimiser = "rmsprop"
    nodes: bool = True
    later: ClassVar[tuple[str, ...]] = ("nodes",)


def fit_batch(
    model: Layered,
    batch: Batch,
    config: NoiseFitSettings,
    objective: Callable[[FitChunk], NoiseObjective],
    read: Callable[[FitChunk, Strengths], Tensor],
) -> Float[Tensor, "batch depths tokens"]:
    """Fits the strengths of every instance, depth and token of a batch.

    Args:
        model: The explained model.
        batch: B instances, padded to N tokens.
        config: Settings of the fit.
        objective: Builds the objective of a chunk of instances and depths.
        read: Turns the fitted strengths of a chunk into scores.

    Returns:
        The scores (B, L + 2, N) in float64; 0 at padding, and at every depth but that of the words where `config.nodes` is false.
    """
    scores = torch.zeros(len(batch), model.n_layers + 2, batch.ids.shape[1], dtype=torch.float64, device=batch.ids.device)
    for index, chunk in fit_chunks(model, batch, words_only=not config.nodes):
        strengths = fit_chunk(chunk, config, objective(chunk))
        n = chunk.batch.ids.shape[1]
        with torch.no_grad():
            scores[index[:, None], torch.tensor(chunk.depths, device=index.device), :n] = read(chunk, strengths)
    return scores


def fit_chunks(model: Layered, batch: Batch, words_only: bool = False) -> Iterator[tuple[Tensor, FitChunk]]:
    """Splits a batch into chunks of instances of similar length with as many depths as fit; yields row indices and chunk.

    Args:
        model: The explained model.
        batch: The instances.
        words_only: Whether word vectors are the only depth.
    """
    order = torch.tensor(batch.lengths, device=batch.ids.device).argsort(descending=True, stable=True)
    while len(order):
        longest = int(batch.attention_mask[order[0]].sum())
        rows = min(max(1, TOKENS // longest), rows_at_once(model, longest, gradients=True))
        depths = (0,) if words_only else tuple(range(model.n_layers + 2))
        index = order[: max(1, rows // len(depths))]
        order = order[len(index) :]
        part = batch.rows(index)
        part = part.only(part.attention_mask)
        with torch.no_grad():
            states, free, outputs = clean_states(model, part), model.maskable(part), model.outputs(part)
        for some in (depths[i : i + rows] for i in range(0, len(depths), rows)):
            clean = tuple(logits.repeat(len(some), 1) for logits in outputs)
            yield index, FitChunk(model, part, some, tuple(states[depth] for depth in some), free, clean)


def fit_chunk(chunk: FitChunk, config: NoiseFitSettings, objective: NoiseObjective) -> Strengths:
    """Fits the strengths of a chunk, with noise that each instance and depth draws from a generator of its own.

    Args:
        chunk: Instances and depths.
        config: Settings of the fit.
        objective: The minimised objective.

    Returns:
        The strengths after the last step (B, K, N), in float64 whatever the model's type, since centred RMSprop subtracts means
        that are nearly equal.

    Raises:
        FlowgaugeError: Some strengths are NaN or infinite.
    """
    shape = (len(chunk.batch), len(chunk.depths), chunk.batch.ids.shape[1])
    strengths = torch.full(shape, config.start, dtype=torch.float64, device=chunk.free.device, requires_grad=True)
    step = _stepper(config, strengths)
    draw = Noise(chunk)
    for _ in range(config.steps):
        with torch.enable_grad():
            low = strengths.to(chunk.states[0].dtype)
            noisy = {
                depth: objective.noisy(k, low[:, k], noise)
                for k, (depth, noise) in enumerate(zip(chunk.depths, draw(), strict=True))
            }
            loss = objective.loss(strengths, outputs_from_each(chunk.model, chunk.batch, noisy))
            (strengths.grad,) = torch.autograd.grad(loss, strengths)
        step()
    if not strengths.isfinite().all():
        raise FlowgaugeError(f"the fit to {chunk.batch.names[0]!r} diverged within {config.steps} steps: {SLOWER}.")
    return strengths.detach()


def _stepper(config: NoiseFitSettings, strengths: Tensor) -> Callable[[], None]:
    if config.optimiser == "adam":
        adam = torch.optim.Adam([strengths], lr=config.lr)
        return lambda: adam.step()
    rmsprop, named = CentredRMSprop({"strengths": config.lr}), {"strengths": strengths}
    return lambda: rmsprop.step(named)


class Noise:
    """Standard normal noise for the states of a chunk, from one generator for each instance and depth; 0 at padding."""

    def __init__(self, chunk: FitChunk) -> None:
        self.states, self.lengths = chunk.states, chunk.batch.lengths
        depths = torch.tensor(chunk.depths)
        total = chunk.model.n_layers + 2
        self.generators = [
            [torch.Generator().manual_seed(int(seed)) for seed in torch.randint(2**62, (total,), generator=generator)[depths]]
            for generator in chunk.batch.generators()
        ]

    def __call__(self) -> Iterator[Tensor]:
        """Draws the next noise of each depth."""
        for k, state in enumerate(self.states):
            noise = torch.zeros(state.shape, dtype=state.dtype)
            for row, (n, generators) in enumerate(zip(self.lengths, self.generators, strict=True)):
                noise[row, :n] = torch.randn(n, state.shape[-1], generator=generators[k], dtype=state.dtype)
            yield noise.to(state.device)


def cross_entropy(outputs: Outputs, batch: Batch) -> Float[Tensor, " rows"]:
    """Cross-entropy -log p(answer) of every row, summed over output heads (nats)."""
    return -value(outputs, replace(batch, quantity=replace(batch.quantity, form="log_probability")))


def mean_over(values: Strengths, free: Bool[Tensor, "batch tokens"]) -> Float[Tensor, "batch depths"]:
    """Mean over the positions that take noise; 0 where no position does.

    >>> mean_over(torch.tensor([[[1.0, 3.0, 8.0]]]), torch.tensor([[True, True, False]])).tolist()
    [[2.0]]
    """
    return (values * free[:, None]).sum(-1) / free.sum(-1).clamp_min(1)[:, None]


def check_widths(model: Layered, weights: Mapping[str, Tensor], name: str, widths: Sequence[int]) -> None:
    """Checks that weights `<name>.<depth>` belong to a model of the given widths.

    Args:
        model: The model, for the error text.
        weights: Weights of a trained method.
        name: First part of the checked weights' names.
        widths: Width of the states at each depth.

    Raises:
        UsageError: The weights were trained on another model.
    """
    trained = [int(weights[key].shape[-1]) for depth in range(len(weights)) if (key := f"{name}.{depth}") in weights]
    if trained != list(widths):
        raise UsageError(
            f"the weights are for states of widths {trained}, and those of {model.name} have {list(widths)}: train on this model."
        )
