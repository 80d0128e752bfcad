"""Information bottleneck attribution (Schulz et al. 2020), fitted to every instance at every depth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import NonNegativeFloat
from torch import Tensor
from torch.nn.functional import logsigmoid
from torch.nn.utils.rnn import pad_sequence

from ...models.batch import Batch
from ...models.built.training import TrainingSession
from ...models.interventions.states import clean_states
from ...models.layered import Layered
from ...models.shapes import Outputs
from ..base import Amortised, explanations, method
from ..explanation import Explanation
from .noise_fitting import FitChunk, NoiseFitSettings, Strengths, check_widths, cross_entropy, fit_batch, mean_over

Stats = Literal["feature", "position"]
LEAST = 0.01
"""Smallest standard deviation of a feature, as a share of the root mean square over the features of its depth."""


@method(
    "ib-attribution",
    gives={"mask", "nodes", "tokens"},
    needs={"training"},
    stochastic=True,
    source="Schulz et al. 2020, Restricting the Flow: Information Bottlenecks for Attribution, section 3; De Cao et al. 2020",
    misleads="States are noised one depth at a time: a state that can be restored from others may get no information although "
    "the model uses it, and scores depend on beta, steps and seed. On the counting task of De Cao et al. 2020 (table "
    "1) it is far from the truth.",
)
@dataclass(frozen=True)
class IBAttribution(NoiseFitSettings, Amortised):
    """Information of each state that the answer needs when noise replaces the rest (Schulz et al. 2020).

    At one depth at a time the state h of token i becomes z_i ~ N(g_i h_i + (1 - g_i) mu, (1 - g_i)^2 sigma^2), g = sigmoid(a); a
    minimises -log p(answer) + beta * mean over tokens and dimensions of KL(N(z) || N(mu, sigma^2)), one draw a step.

    `mask` is g, as in De Cao et al. 2020; `nodes` (hidden states) and `tokens` (word vectors) are the information that passes,
    the KL summed over dimensions, in bits (at least 0), the source's own measure. Positions that the model does not allow to be
    masked keep their state: 1 in `mask`, 0 bits. A masked state is replaced by mu. Source: Schulz et al. 2020, section 3, the
    bottleneck of one sample, without smoothing over neighbours; optimiser and beta of De Cao et al. 2020.

    Attributes:
        beta: Weight of the information (nats a dimension) against the loss (nats).
        stats: mu and sigma of each `feature`, over all tokens of the train split, or separate ones for each `position`, as in De
            Cao et al.; where fewer than two sentences reach a position, those of the feature.
        start: Value of a before the first step.
    """

    beta: NonNegativeFloat = 10.0
    stats: Stats = "feature"
    start: float = 5.0

    @property
    def gives(self) -> frozenset[str]:
        """Information of words; with `nodes` also of hidden states, and the mask of both."""
        return frozenset({"mask", "nodes", "tokens"} if self.nodes else {"tokens"})

    def fit(self, model: Layered, data: Sequence[Batch], training: TrainingSession) -> dict[str, Tensor]:
        """Computes the mean and the standard deviation of the states of every depth on the train split.

        Args:
            model: The explained model.
            data: Batches of the train split.
            training: Keeps checkpoints and the curve.

        Returns:
            `mean.<depth>` and `sd.<depth>`, each (positions + 1, D); the last row is of all positions together, and the only row
            with stats=feature.
        """
        positions = max(batch.ids.shape[1] for batch in data) if self.stats == "position" else 0
        sums = training.resume()
        for index in range(int(sums.pop("done", torch.tensor(0))), len(data)):
            for name, value in state_sums(model, data[index], positions).items():
                sums[name] = sums[name] + value if name in sums else value
            training.log(index + 1, len(data), tokens=float(sums["count"][-1]))
            training.checkpoint({**sums, "done": torch.tensor(index + 1)})
        return {
            f"{name}.{depth}": value
            for depth in range(model.n_layers + 2)
            for name, value in zip(("mean", "sd"), moments(sums, depth), strict=True)
        }

    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """Fits the gates of every instance and measures their information."""
        weights = self.demand_weights()
        check_widths(model, weights, "mean", [model.words(batch).shape[-1], *[model.width] * (model.n_layers + 1)])

        def read(chunk: FitChunk, a: Strengths) -> Tensor:
            return torch.where(chunk.free[:, None], a, torch.inf)

        a = fit_batch(model, batch, self, lambda chunk: Bottleneck(chunk, weights, self.beta), read)
        bits = information_in_bits(model, batch, weights, a)
        if not self.nodes:
            return explanations(batch, tokens=bits[:, 0])
        explain = partial(explanations, batch, mask=a.sigmoid(), nodes=bits[:, 1:], tokens=bits[:, 0])
        if self.stats == "position":  # masked states of a depth have no vector in common
            return explain()
        means = pad_sequence([weights[f"mean.{depth}"][0] for depth in range(model.n_layers + 2)], batch_first=True)
        return explain(fill=means.expand(len(batch), -1, -1))


class Bottleneck:
    """The objective of the gates of a chunk.

    Args:
        chunk: Instances and depths.
        weights: What `fit` returned.
        beta: Weight of the information.
    """

    def __init__(self, chunk: FitChunk, weights: Mapping[str, Tensor], beta: float) -> None:
        self.chunk, self.beta, self.rows = chunk, beta, chunk.repeated
        pairs = list(zip(chunk.depths, chunk.states, strict=True))
        self.mean, self.sd = ([at_positions(weights[f"{name}.{d}"], h) for d, h in pairs] for name in ("mean", "sd"))
        self.distance = distances(weights, pairs)

    def noisy(self, index: int, strength: Float[Tensor, "batch tokens"], noise: Tensor) -> Tensor:
        """The noisy states z of one depth; positions that are not free keep their state."""
        state, mean, sd = self.chunk.states[index], self.mean[index], self.sd[index]
        lost = (-strength).sigmoid()[..., None]
        return torch.where(self.chunk.free[..., None], state + lost * (mean - state + sd * noise), state)

    def loss(self, strengths: Strengths, outputs: Outputs) -> Tensor:
        """Cross-entropy plus beta times the mean information of a dimension."""
        passing = mean_over(information(strengths, self.distance), self.chunk.free)
        return cross_entropy(outputs, self.rows).sum() + self.beta * passing.sum()


def information(a: Float[Tensor, "*rows"], distance: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """KL of the noisy state from noise alone, mean over dimensions: -ln(1 - g) + ((1 - g)^2 + g^2 r^2 - 1) / 2, g = sigmoid(a).

    -ln(1 - g) is computed from a, so that it is finite where 1 - g is rounded to 0.

    Args:
        a: Logits of the gates.
        distance: r^2, mean over dimensions of ((h - mu) / sigma)^2.

    Returns:
        The information in nats a dimension; 0 at g = 0.

    >>> round(float(information(torch.tensor(0.0), torch.tensor(1.0))), 4)  # ln 2 - 1 / 4
    0.4431
    """
    g, lost = a.sigmoid(), (-a).sigmoid()
    return -logsigmoid(-a) + (lost**2 + g**2 * distance - 1) / 2


def information_in_bits(
    model: Layered, batch: Batch, weights: Mapping[str, Tensor], a: Strengths
) -> Float[Tensor, "batch depths tokens"]:
    """Information of every state, summed over its dimensions (bits); 0 where the gate is not fitted (a infinite)."""
    with torch.no_grad():
        states = clean_states(model, batch)
        distance = distances(weights, list(enumerate(states)))
        width = torch.tensor([float(state.shape[-1]) for state in states], dtype=a.dtype, device=a.device)
        nats = information(torch.where(a.isfinite(), a, -torch.inf).nan_to_num(neginf=-1e4), distance) * width[:, None]
    return torch.where(a.isfinite(), nats.clamp_min(0) / math.log(2), 0.0)


def distances(weights: Mapping[str, Tensor], states: Sequence[tuple[int, Tensor]]) -> Float[Tensor, "batch depths tokens"]:
    """r^2 of every state of the given depths (see `information`), in float64."""
    by_depth = []
    for depth, state in states:
        mean, sd = (at_positions(weights[f"{name}.{depth}"], state).double() for name in ("mean", "sd"))
        by_depth.append((((state.double() - mean) / sd) ** 2).mean(-1))
    return torch.stack(by_depth, 1)


def at_positions(table: Float[Tensor, "rows width"], states: Tensor) -> Float[Tensor, "tokens width"]:
    """The row of each position, in the states' type; positions beyond the table have its last row."""
    position = torch.arange(states.shape[1]).clamp_max(len(table) - 1)
    return table[position.to(table.device)].to(states)


@torch.no_grad()
def state_sums(model: Layered, batch: Batch, positions: int) -> dict[str, Tensor]:
    """Count, sum and sum of squares of the states that take noise, by position and (last row) over all, in float64."""
    free = model.maskable(batch)
    n_rows = min(positions, batch.ids.shape[1])
    sums: dict[str, Tensor] = {}

    def add(name: str, values: Float[Tensor, "batch tokens width"]) -> None:
        values = values.double() * free[..., None]
        rows = torch.zeros(positions + 1, values.shape[-1], dtype=torch.float64, device=values.device)
        rows[:n_rows], rows[-1] = values.sum(0)[:n_rows], values.sum((0, 1))
        sums[name] = rows

    for depth, state in enumerate(clean_states(model, batch)):
        add(f"sum.{depth}", state)
        add(f"square.{depth}", state.double() ** 2)
    add("count", torch.ones_like(free, dtype=torch.float64)[..., None])
    return sums


def moments(sums: Mapping[str, Tensor], depth: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the states at each position and (last row) of all tokens.

    A position that fewer than two sentences reach has those of all tokens.
    """
    count = sums["count"]
    mean = sums[f"sum.{depth}"] / count.clamp_min(1)
    variance = (sums[f"square.{depth}"] / count.clamp_min(1) - mean**2).clamp_min(0)
    rare = count < 2
    mean, variance = torch.where(rare, mean[-1], mean), torch.where(rare, variance[-1], variance)
    return mean, variance.clamp_min(LEAST**2 * variance.mean(-1, keepdim=True)).sqrt()
