"""Information masks (Guan et al. 2019), fitted to every instance at every depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import PositiveFloat
from torch import Tensor
from torch.nn.functional import softplus

from ...core.errors import FlowgaugeError, NotApplicable
from ...models.batch import Batch
from ...models.built.training import TrainingSession
from ...models.layered import Layered
from ...models.shapes import Outputs
from ..base import Amortised, explanations, method
from ..explanation import Explanation
from .noise_fitting import SLOWER, FitChunk, NoiseFitSettings, Strengths, fit_batch

Score = Literal["inverse", "negative"]


@method(
    "information-mask",
    gives={"nodes", "tokens"},
    needs={"training"},
    stochastic=True,
    source="Guan et al. 2019, Towards a Deep and Unified Understanding of Deep Neural Models in NLP; De Cao et al. 2020",
    misleads="It measures which states the outputs react to, and not which speak for the explained answer: all answers of a "
    "sentence get the same scores. On the counting task of De Cao et al. 2020 (table 1) it is far from the truth.",
)
@dataclass(frozen=True)
class InformationMask(NoiseFitSettings, Amortised):
    """Inverse of the noise that each state tolerates before the outputs change (Guan et al. 2019).

    At one depth at a time the state of token i gets noise of N(0, sigma_i^2 I); sigma minimises the squared change of the
    logits, in units of their variance over the train split, minus gamma * sum_i ln(sigma_i sqrt(2 pi e)), the noise's entropy.
    Where the outputs are linear in the noise on a token, the noise grows until it moves them by gamma / 2 variances.

    Scores are 1 / sigma, `tokens` of word vectors and `nodes` of hidden states; at least 0; 0 at positions that the model does
    not allow to be masked. Source: Guan et al. 2019; optimiser, start and score of De Cao et al. 2020, who do not divide by the
    variance (`divide=false,gamma=1` on their toy task, .1 on SST, 5 on SQuAD).

    Attributes:
        gamma: Weight of the entropy (nats) against the change of the outputs.
        divide: Whether changes are divided by the variance of the outputs, summed over the outputs of a head; impossible for
            spans, whose outputs are other positions in every text.
        score: `inverse` (1 / sigma) or `negative` (-sigma; then positions that cannot be masked have the smallest score of their
            depth).
        start: Inverse softplus of sigma before the first step.
    """

    gamma: PositiveFloat = 0.02
    divide: bool = True
    score: Score = "inverse"
    start: float = -5.0

    @property
    def gives(self) -> frozenset[str]:
        """Scores of words; with `nodes` also of hidden states."""
        return frozenset({"tokens", "nodes"} if self.nodes else {"tokens"})

    @torch.no_grad()
    def fit(self, model: Layered, data: Sequence[Batch], training: TrainingSession) -> dict[str, Tensor]:
        """Computes the variance of each output head over the train split, summed over its outputs.

        Args:
            model: The explained model.
            data: Batches of the train split.
            training: Keeps the curve.

        Returns:
            `variance` (H,), one for each output head; ones with divide=false.

        Raises:
            NotApplicable: The outputs are positions of a span.
            FlowgaugeError: The outputs do not vary.
        """
        if not self.divide:
            return {"variance": torch.ones(len(model.outputs(data[0])), dtype=torch.float64)}
        if model.head == "span":
            raise NotApplicable("the outputs of a span head are positions, whose variance has no meaning: use divide=false.")
        sums: list[list[Tensor]] = []
        for index, batch in enumerate(data, 1):
            heads = [logits.double() for logits in model.outputs(batch)]
            sums.append([torch.stack([logits.sum(0), (logits**2).sum(0)]) for logits in heads])
            training.log(index, len(data))
        count = sum(len(batch) for batch in data)
        moments = [torch.stack(parts).sum(0) / count for parts in zip(*sums, strict=True)]
        variance = torch.stack([(square - mean**2).sum() for mean, square in moments])
        if not (variance > 0).all():
            raise FlowgaugeError(
                f"the outputs of {model.name} are the same on all {count} training instances, and changes are to be divided by "
                "their variance: train on more (--fit-limit), or set divide=false."
            )
        return {"variance": variance}

    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """Fits the noise of every instance.

        Raises:
            FlowgaugeError: The noise of a state fell to 0, or became infinite.
        """
        weights = self.demand_weights()
        scores = fit_batch(model, batch, self, lambda chunk: Entropy(chunk, weights["variance"], self.gamma), self._read)
        if not scores.isfinite().all():
            raise FlowgaugeError(
                f"the noise of a state fell to 0 in the batch that begins with {batch.names[0]!r}: {SLOWER}, or raise start."
            )
        if not self.nodes:
            return explanations(batch, tokens=scores[:, 0])
        return explanations(batch, tokens=scores[:, 0], nodes=scores[:, 1:])

    def _read(self, chunk: FitChunk, strengths: Strengths) -> Tensor:
        sigma, free = softplus(strengths), chunk.free[:, None]
        if self.score == "inverse":
            return torch.where(free, 1 / sigma, 0.0)
        least = torch.where(free, -sigma, torch.inf).amin(-1, keepdim=True)
        return torch.where(free, -sigma, least.nan_to_num(posinf=0.0))


class Entropy:
    """The objective of the noise of a chunk.

    Args:
        chunk: Instances and depths.
        variance: Divisor of the squared changes of each output head.
        gamma: Weight of the entropy.
    """

    def __init__(self, chunk: FitChunk, variance: Float[Tensor, " heads"], gamma: float) -> None:
        self.chunk, self.variance, self.gamma = chunk, variance.tolist(), gamma

    def noisy(self, index: int, strength: Float[Tensor, "batch tokens"], noise: Tensor) -> Tensor:
        """States of one depth with noise at free positions."""
        return self.chunk.states[index] + (softplus(strength) * self.chunk.free)[..., None] * noise

    def loss(self, strengths: Strengths, outputs: Outputs) -> Tensor:
        """Squared change of the outputs minus gamma times the entropy."""
        pairs = zip(outputs, self.chunk.clean, self.variance, strict=True)
        changes = (  # excluded outputs, such as padding of a span, are minus infinity in both
            ((logits - clean).masked_fill(clean == -torch.inf, 0) ** 2).sum() / variance for logits, clean, variance in pairs
        )
        change = sum(changes, start=strengths.new_zeros(()))
        return change - self.gamma * (entropy(softplus(strengths)) * self.chunk.free[:, None]).sum()


def entropy(sigma: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """Entropy of N(0, sigma^2): ln(2 pi e sigma^2) / 2, in nats.

    >>> round(float(entropy(torch.tensor(1.0))), 4)
    1.4189
    """
    return 0.5 * math.log(2 * math.pi * math.e) + sigma.log()
