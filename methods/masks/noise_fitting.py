"""Noise on a model's states, one strength a token and depth, fitted instance by instance: what bottlenecks share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...core.errors import FlowgaugeError, UsageError
from ...models.batch import Batch
from ...models.interventions.states import clean_states, outputs_from_each
from ...models.layered import Layered
from ...models.shapes import Outputs
from .centred_rmsprop import CentredRMSprop

Optimiser = Literal["rmsprop", "adam"]
Strengths = Float[Tensor, "batch depths tokens"]
SLOWER = "lower lr, or what weighs against the outputs (beta, gamma)"
TOKENS = 8192
"""Most positions that run at once, over instances and depths."""


@dataclass(frozen=True, eq=False)
class FitChunk:
    """Instances and depths that are fitted together; neither the others nor the order can matter to one of them.

    Attributes:
        model: What is explained.
        batch: The instances, without padding that none of them needs.
        depths: Of the states: 0 for word vectors, l + 1 for hidden[l].
        states: Clean states of each depth (B, N, E or D).
        free: Positions that take noise.
        clean: Logits on the clean input, (K B, C) an output head: once for each depth.
    """

    model: Layered
    batch: Batch
    depths: tuple[int, ...]
    states: tuple[Tensor, ...]
    free: Bool[Tensor, "batch tokens"]
    clean: Outputs

    @property
    def repeated(self) -> Batch:
        """The instances once for each depth, as rows of the outputs are."""
        return self.batch.rows(torch.arange(len(self.batch), device=self.batch.ids.device).repeat(len(self.depths)))


class NoiseObjective(Protocol):
    """What the strengths of a piece minimise."""

    def noisy(self, number: int, strength: Float[Tensor, "batch tokens"], noise: Tensor) -> Tensor:
        """States of the piece's depth of that number, with noise; `noise` is standard normal in their shape."""
        ...

    def loss(self, strengths: Strengths, outputs: Outputs) -> Tensor:
        """One number: a sum over instances and depths, of which none sees another."""
        ...


@dataclass(frozen=True)
class NoiseFitConfig:
    """How strengths are fitted.

    Attributes:
        start: Of every strength.
        steps: Of the optimiser, each with one draw of noise.
        optimiser: `rmsprop` (centred, as De Cao et al. 2020 have it) or `adam`.
        lr: Its learning rate.
    """

    start: float
    steps: int
    optimiser: Optimiser
    lr: float

    def __post_init__(self) -> None:
        if self.optimiser not in get_args(Optimiser):
            raise UsageError(f"optimiser must be {' or '.join(get_args(Optimiser))}, got {self.optimiser!r}.")
        if self.steps < 1 or self.lr <= 0:
            raise UsageError(f"steps must be at least 1 and lr above 0, got {self.steps} and {self.lr}.")


def fitted(
    model: Layered,
    batch: Batch,
    recipe: NoiseFitConfig,
    objective: Callable[[FitChunk], NoiseObjective],
    read: Callable[[FitChunk, Strengths], Tensor],
) -> Float[Tensor, "batch depths tokens"]:
    """What `read` makes of the fitted strengths of every instance, depth and token; 0 at padding."""
    found = torch.zeros(len(batch), model.n_layers + 2, batch.ids.shape[1], dtype=torch.float64, device=batch.ids.device)
    for index, piece in pieces(model, batch):
        strengths = fit(piece, recipe, objective(piece))
        n = piece.batch.ids.shape[1]
        with torch.no_grad():
            found[index[:, None], torch.tensor(piece.depths, device=index.device), :n] = read(piece, strengths)
    return found


def pieces(model: Layered, batch: Batch) -> Iterator[tuple[Tensor, FitChunk]]:
    """Instances of similar length with as many depths as fit, and their row numbers."""
    order = torch.tensor(batch.lengths, device=batch.ids.device).argsort(descending=True, stable=True)
    while len(order):
        rows = max(1, TOKENS // int(batch.attention_mask[order[0]].sum()))
        depths = tuple(range(model.n_layers + 2))
        index = order[: max(1, rows // len(depths))]
        order = order[len(index) :]
        part = batch.rows(index)
        part = part.only(part.attention_mask)
        with torch.no_grad():
            states, free, outputs = clean_states(model, part), model.maskable(part), model.outputs(part)
        for few in (depths[i : i + rows] for i in range(0, len(depths), rows)):
            clean = tuple(logits.repeat(len(few), 1) for logits in outputs)
            yield index, FitChunk(model, part, few, tuple(states[depth] for depth in few), free, clean)


def fit(piece: FitChunk, recipe: NoiseFitConfig, objective: NoiseObjective) -> Strengths:
    """The strengths after the last step, from noise that each instance and depth draws for itself.

    They are float64 whatever the model is, since centred RMSprop subtracts means that are nearly equal.

    Raises:
        FlowgaugeError: Some are NaN or infinite.
    """
    shape = (len(piece.batch), len(piece.depths), piece.batch.ids.shape[1])
    strengths = torch.full(shape, recipe.start, dtype=torch.float64, device=piece.free.device, requires_grad=True)
    step = _stepper(recipe, strengths)
    draw = Noise(piece)
    for _ in range(recipe.steps):
        with torch.enable_grad():
            low = strengths.to(piece.states[0].dtype)
            noisy = {
                depth: objective.noisy(k, low[:, k], noise)
                for k, (depth, noise) in enumerate(zip(piece.depths, draw(), strict=True))
            }
            loss = objective.loss(strengths, outputs_from_each(piece.model, piece.batch, noisy))
            (strengths.grad,) = torch.autograd.grad(loss, strengths)
        step()
    if not strengths.isfinite().all():
        raise FlowgaugeError(f"the fit to {piece.batch.names[0]!r} diverged within {recipe.steps} steps: {SLOWER}.")
    return strengths.detach()


def _stepper(recipe: NoiseFitConfig, strengths: Tensor) -> Callable[[], None]:
    if recipe.optimiser == "adam":
        adam = torch.optim.Adam([strengths], lr=recipe.lr)
        return lambda: adam.step()
    rmsprop, named = CentredRMSprop({"strengths": recipe.lr}), {"strengths": strengths}
    return lambda: rmsprop.step(named)


class Noise:
    """Standard normal noise for the states of a piece, from one generator an instance and depth; 0 at padding."""

    def __init__(self, piece: FitChunk) -> None:
        self.states, self.lengths = piece.states, piece.batch.lengths
        depths = torch.tensor(piece.depths)
        total = piece.model.n_layers + 2
        self.generators = [
            [torch.Generator().manual_seed(int(seed)) for seed in torch.randint(2**62, (total,), generator=each)[depths]]
            for each in piece.batch.generators()
        ]

    def __call__(self) -> Iterator[Tensor]:
        """The next noise of each depth."""
        for k, state in enumerate(self.states):
            noise = torch.zeros(state.shape, dtype=state.dtype)
            for row, (n, each) in enumerate(zip(self.lengths, self.generators, strict=True)):
                noise[row, :n] = torch.randn(n, state.shape[-1], generator=each[k], dtype=state.dtype)
            yield noise.to(state.device)


def cross_entropy(outputs: Outputs, batch: Batch) -> Float[Tensor, " rows"]:
    """-log p(answer), summed over output heads (nats)."""
    return sum(
        (-logits.log_softmax(1).gather(1, batch.answer[:, head, None])[:, 0] for head, logits in enumerate(outputs)),
        start=torch.zeros((), dtype=outputs[0].dtype, device=outputs[0].device),
    )


def mean_over(values: Strengths, free: Bool[Tensor, "batch tokens"]) -> Float[Tensor, "batch depths"]:
    """Mean over the positions that take noise; 0 where there is none."""
    return (values * free[:, None]).sum(-1) / free.sum(-1).clamp_min(1)[:, None]


def demand_depths(model: Layered, weights: Mapping[str, Tensor], name: str, widths: Sequence[int]) -> None:
    """Whether tensors `<name>.<depth>` belong to a model of these widths.

    Raises:
        UsageError: They were made on another model.
    """
    found = [int(weights[key].shape[-1]) for depth in range(len(weights)) if (key := f"{name}.{depth}") in weights]
    if found != list(widths):
        raise UsageError(
            f"these weights are of states of widths {found}, and those of {model.name} have {list(widths)}: train on this model."
        )
