"""Methods that remove many words at once and look at q: sampled Shapley values, LIME and Kernel SHAP, by captum.

A word is removed by giving its place the baseline's vector; positions and segments stay. Every real token that the model lets be
masked is a feature, special ones included; the others score 0. captum adds up and fits in single precision, whatever the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from ...core.errors import UsageError
from ...models.baseline import Baseline
from ...models.batch import Batch
from ...models.layered import Layered
from ..base import explanations, method
from ..explanation import Explanation
from .captum_words import ROWS, Forward, all_there, ends, of_presence, seeded, singles

Attribute = Callable[[Forward, Tensor, Tensor], Tensor]
ENDS = 1e6
"""Weight of no word and of all, as `captum.attr.KernelShap.inf_weight`."""


@method(
    "shapley-sampling",
    gives={"tokens"},
    stochastic=True,
    source="Castro et al. 2009, Polynomial Calculation of the Shapley Value Based on Sampling; Strumbelj & Kononenko 2010",
)
@dataclass(frozen=True)
class ShapleySampling:
    """Shapley values of the words, estimated from random permutations (Castro et al. 2009).

    tokens[j] = mean over permutations of the change of q when j joins the words before it. Every permutation's changes sum to
    q(x) - q(x_b), so tokens do too. Source: Castro et al. 2009; Strumbelj & Kononenko 2010. Units of q; signed.

    Attributes:
        samples: Permutations; the error falls with their square root.
        baseline: Word vectors of absent words: mask, zero, pad, mean.
    """

    samples: int = 25
    baseline: Baseline = "mask"

    def __post_init__(self) -> None:
        _at_least("samples", self.samples, 1)

    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """Tokens of every instance, from its own seed."""
        from captum.attr import ShapleyValueSampling

        def attribute(forward: Forward, there: Tensor, row: Tensor) -> Tensor:
            found: Tensor = ShapleyValueSampling(forward).attribute(
                there, additional_forward_args=(row,), n_samples=self.samples, perturbations_per_eval=ROWS
            )
            return found

        return _explain(model, batch, self.baseline, attribute, with_ends=True)


@method(
    "lime",
    gives={"tokens"},
    stochastic=True,
    source="Ribeiro et al. 2016, Why Should I Trust You? Explaining the Predictions of Any Classifier, section 3.4",
)
@dataclass(frozen=True)
class Lime:
    """Coefficients of a sparse linear model of q, fitted to random removals of words (Ribeiro et al. 2016).

    A Lasso fitted to q of random halves of the words, each weighted by exp(-d^2 / (2 width^2)), d the cosine distance to the
    whole sentence. Source: Ribeiro et al. 2016, section 3.4. Units of q; signed.

    Attributes:
        samples: Random removals.
        width: Of the kernel.
        alpha: Strength of the Lasso's penalty, as a share of the standard deviation of q over the removals, so that tokens are
            in proportion to q whatever its unit; 0 is a plain weighted fit.
        baseline: Word vectors of absent words: mask, zero, pad, mean.
    """

    samples: int = 200
    width: float = 1.0
    alpha: float = 0.01
    baseline: Baseline = "mask"

    def __post_init__(self) -> None:
        _at_least("samples", self.samples, 2)
        if self.width <= 0 or self.alpha < 0:
            raise UsageError(f"width must be above 0 and alpha at least 0, got {self.width} and {self.alpha}.")

    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """Tokens of every instance, from its own seed."""
        from captum._utils.models.linear_model import SkLearnLinearRegression
        from captum.attr import Lime as Captum
        from captum.attr._core.lime import get_exp_kernel_similarity_function

        def attribute(forward: Forward, there: Tensor, row: Tensor) -> Tensor:
            linear = ShareLasso(self.alpha) if self.alpha else SkLearnLinearRegression()
            near = get_exp_kernel_similarity_function("cosine", self.width)
            return _fitted(Captum(forward, linear, near), there, row, self.samples)

        return _explain(model, batch, self.baseline, attribute, with_ends=False)


@dataclass
class ShareLasso:
    """captum's Lasso with a penalty that is a share of the standard deviation of what it is fitted to.

    Attributes:
        alpha: The share.
        fitted: The Lasso, once there is something to fit.
    """

    alpha: float
    fitted: Any = None

    def fit(self, data: Iterable[Sequence[Tensor]]) -> Any:
        """Fits batches of removals, q and weights."""
        from captum._utils.models.linear_model import SkLearnLasso

        spread = float(torch.cat([q for _, q, _ in data]).std())
        self.fitted = SkLearnLasso(alpha=self.alpha * (spread or 1.0))  # where q never moves, any penalty leaves nothing
        return self.fitted.fit(data)

    def representation(self) -> Tensor:
        """The coefficients."""
        found: Tensor = self.fitted.representation()
        return found


@method(
    "kernel-shap",
    gives={"tokens"},
    stochastic=True,
    source="Lundberg & Lee 2017, A Unified Approach to Interpreting Model Predictions, theorem 2",
)
@dataclass(frozen=True)
class KernelShap:
    """Shapley values of the words, estimated by weighted regression on random removals (Lundberg & Lee 2017).

    A least-squares fit to q of random coalitions, drawn by the Shapley kernel, held to q at no word and at all. Where `samples`
    allows every coalition of the sentence (2^N), each is taken once with the kernel as its weight, and the values are exact.
    Source: Lundberg & Lee 2017, theorem 2. Units of q; signed; tokens sum to q(x) - q(x_b) up to the fit's weights.

    Attributes:
        samples: Coalitions, at most.
        baseline: Word vectors of absent words: mask, zero, pad, mean.
    """

    samples: int = 200
    baseline: Baseline = "mask"

    def __post_init__(self) -> None:
        _at_least("samples", self.samples, 3)

    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """Tokens of every instance, from its own seed."""
        from captum.attr import KernelShap as Captum

        def attribute(forward: Forward, there: Tensor, row: Tensor) -> Tensor:
            if there.shape[1] == 1:  # captum's kernel has no weights for a single feature
                return (forward(there, row) - forward(0 * there, row))[:, None]
            shap, every = Captum(forward), 2 ** there.shape[1]
            if every <= self.samples:
                each = coalitions(there)
                shap.perturb_func, shap.similarity_func = lambda *_, **__: next(each), shapley_kernel
            return _fitted(shap, there, row, min(every, self.samples))

        return _explain(model, batch, self.baseline, attribute, with_ends=True)


def _explain(model: Layered, batch: Batch, baseline: Baseline, attribute: Attribute, with_ends: bool) -> list[Explanation]:
    """Sentence by sentence, since captum draws for a whole batch what each instance must draw for itself."""
    tokens = torch.zeros(batch.ids.shape, dtype=model.dtype, device=batch.ids.device)
    with torch.no_grad():
        for row, one in enumerate(singles(batch)):
            with seeded(one.seeds[0]):
                free = model.maskable(one)[0]
                there, number = all_there(model, one)
                found = attribute(_of_free(of_presence(model, one, baseline), free), there[:, free], number)
            tokens[row, : len(free)][free] = found[0].to(tokens.dtype)
    return explanations(batch, tokens=tokens, values=ends(model, batch, baseline) if with_ends else None)


def _of_free(forward: Forward, free: Tensor) -> Forward:
    """The same function of the words that may be masked alone; the others are there."""

    def of_free(there: Tensor, row: Tensor) -> Tensor:
        whole = there.new_ones(len(there), len(free))
        whole[:, free] = there
        return forward(whole, row)

    return of_free


def _fitted(captum: Any, there: Tensor, row: Tensor, samples: int) -> Tensor:
    found: Tensor = captum.attribute(there, additional_forward_args=(row,), n_samples=samples, perturbations_per_eval=ROWS)
    return found


def coalitions(there: Tensor) -> Iterator[Tensor]:
    """Every subset of the words once, as captum takes samples: rows (1, N) of 0 and 1."""
    for chosen in product((0, 1), repeat=there.shape[1]):
        yield torch.tensor([chosen], device=there.device)


def shapley_kernel(_: Tensor, __: Tensor, chosen: Tensor, **___: Any) -> Tensor:
    """Weight of a coalition of k of n words: (n - 1) / (C(n, k) k (n - k)); at the ends, captum's stand-in for infinity.

    >>> shapley_kernel(None, None, torch.tensor([[1, 0, 0, 1]]))
    tensor([0.1250])
    """
    n, k = chosen.shape[1], int(chosen.sum())
    return torch.tensor([(n - 1) / (math.comb(n, k) * k * (n - k)) if 0 < k < n else ENDS])


def _at_least(name: str, given: int, least: int) -> None:
    if given < least:
        raise UsageError(f"{name} must be at least {least}, got {given}.")
