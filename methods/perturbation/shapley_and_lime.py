"""Methods that compute q without many words at once: sampled Shapley values, LIME and Kernel SHAP, by captum.

A removed word's vector is replaced by the baseline's; positions and segments stay. Every real token that the model allows to be
masked is a feature, special ones included; the others score 0. captum sums and fits in single precision, whatever the model's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, ClassVar

import sklearn.linear_model  # noqa: F401 (captum imports it at its first fit, and its first import sets environment variables)
import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from ...core.settings import Settings
from ...models.baseline import Baseline
from ...models.batch import Batch
from ...models.layered import Layered
from ...models.memory import rows_at_once
from ..base import explanations, method
from ..explanation import Explanation
from .captum_words import ROWS, Forward, all_present, baseline_values, forward_of_presence, seeded, single_instances

ENDS = 1e6
"""Weight of the coalitions of no word and of all words, as `captum.attr.KernelShap.inf_weight`."""


@dataclass(frozen=True, kw_only=True)
class WordSampling(Settings):
    """The setting and the loop over instances that all three methods share.

    Attributes:
        baseline: Word vectors of absent words: mask, zero, pad, mean. On decoders the default is `pad`.
    """

    baseline: Baseline = "mask"
    has_ends: ClassVar[bool] = True
    """Whether the scores sum to the change of q from the baseline."""
    loads: ClassVar[tuple[str, ...]] = ("captum.attr",)

    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """Explains one instance after the other: captum draws for a whole batch, but each must draw from its own seed."""
        tokens = torch.zeros(batch.ids.shape, dtype=model.dtype, device=batch.ids.device)
        with torch.no_grad():
            for row, single in enumerate(single_instances(batch)):
                with seeded(single.seeds[0]):
                    maskable = model.maskable(single)[0]
                    present, index = all_present(model, single)
                    forward = _forward_of_maskable(forward_of_presence(model, single, self.baseline), maskable)
                    at_once = rows_at_once(model, present.shape[1], ROWS)
                    scores = self.attribute(forward, present[:, maskable], index, at_once)
                tokens[row, : len(maskable)][maskable] = scores[0].to(tokens.dtype)
        return explanations(batch, tokens=tokens, values=baseline_values(model, batch, self.baseline) if self.has_ends else None)

    def attribute(self, forward: Forward, present: Tensor, row: Tensor, at_once: int = ROWS) -> Tensor:
        """The scores (1, n) of one instance's words that may be masked.

        Args:
            forward: Computes q from which words are present.
            present: Every word present (1, n).
            row: The index of the instance for `forward`.
            at_once: Rows that captum runs at once.
        """
        raise NotImplementedError


@method(
    "shapley-sampling",
    gives={"tokens"},
    stochastic=True,
    source="Castro et al. 2009, Polynomial Calculation of the Shapley Value Based on Sampling; Strumbelj & Kononenko 2010",
    misleads="Most of the subsets that it averages over are fragments unlike any text that the model was trained on, and count "
    "as much as the sentence itself (Kumar et al. 2020). With few permutations the noise exceeds the differences "
    "between words: compare seeds.",
)
@dataclass(frozen=True)
class ShapleySampling(WordSampling):
    """Shapley values of the words, estimated from random permutations (Castro et al. 2009).

    tokens[j] = mean over permutations of the change of q when j is added to the words before it. The changes of every permutation
    sum to q(x) - q(x_b), and so do tokens. Source: Castro et al. 2009; Strumbelj & Kononenko 2010. Units of q; signed.

    Attributes:
        samples: Number of permutations; the error falls with its square root.
    """

    samples: PositiveInt = 25

    def attribute(self, forward: Forward, present: Tensor, row: Tensor, at_once: int = ROWS) -> Tensor:
        """The Shapley values of one instance."""
        from captum.attr import ShapleyValueSampling

        return _run(ShapleyValueSampling(forward), present, row, self.samples, at_once)


@method(
    "lime",
    gives={"tokens"},
    stochastic=True,
    source="Ribeiro et al. 2016, Why Should I Trust You? Explaining the Predictions of Any Classifier, section 3.4",
    misleads="A sparse linear model cannot say that words act together, as negations do, and gives many words exactly 0. "
    "Scores change with the seed, the number of samples and the width of the kernel (Alvarez-Melis & Jaakkola 2018).",
)
@dataclass(frozen=True)
class Lime(WordSampling):
    """Coefficients of a sparse linear model of q, fitted to random removals of words (Ribeiro et al. 2016).

    A Lasso is fitted to q of random subsets that have each word with probability 1/2, each subset weighted by exp(-d^2 / (2
    width^2)) with d its cosine distance to the whole sentence. Source: Ribeiro et al. 2016, section 3.4. Units of q; signed.

    Attributes:
        samples: Number of random removals.
        width: Width of the kernel that weights the removals.
        alpha: Strength of the Lasso's penalty, as a share of the standard deviation of q over the removals, so that tokens scale
            with q whatever its unit; 0 is a weighted fit without penalty.
    """

    samples: Annotated[int, Field(ge=2)] = 200
    width: PositiveFloat = 1.0
    alpha: NonNegativeFloat = 0.01
    has_ends: ClassVar[bool] = False

    def attribute(self, forward: Forward, present: Tensor, row: Tensor, at_once: int = ROWS) -> Tensor:
        """The coefficients of one instance."""
        from captum._utils.models.linear_model import SkLearnLinearRegression
        from captum.attr import Lime as Captum
        from captum.attr._core.lime import get_exp_kernel_similarity_function

        linear = RelativeLasso(self.alpha) if self.alpha else SkLearnLinearRegression()
        kernel = get_exp_kernel_similarity_function("cosine", self.width)
        return _run(Captum(forward, linear, kernel), present, row, self.samples, at_once)


@dataclass
class RelativeLasso:
    """captum's Lasso with a penalty relative to the standard deviation of the values that it is fitted to.

    Attributes:
        alpha: The penalty, as a share of the standard deviation.
        fitted: The Lasso after `fit`; None before.
    """

    alpha: float
    fitted: Any = None

    def fit(self, data: Iterable[Sequence[Tensor]]) -> Any:
        """Fits the Lasso to batches of removals, values of q and weights."""
        from captum._utils.models.linear_model import SkLearnLasso

        spread = float(torch.cat([q for _, q, _ in data]).std())
        self.fitted = SkLearnLasso(alpha=self.alpha * (spread or 1.0))  # where q never moves, any penalty leaves nothing
        return self.fitted.fit(data)

    def representation(self) -> Tensor:
        """The coefficients of the fit, by the name that captum calls."""
        coefficients: Tensor = self.fitted.representation()
        return coefficients


@method(
    "kernel-shap",
    gives={"tokens"},
    stochastic=True,
    source="Lundberg & Lee 2017, A Unified Approach to Interpreting Model Predictions, theorem 2",
    misleads="With far fewer samples than subsets, the scores of long texts are noisy: compare seeds. Most subsets are "
    "fragments unlike any text that the model was trained on (Kumar et al. 2020).",
)
@dataclass(frozen=True)
class KernelShap(WordSampling):
    """Shapley values of the words, estimated by weighted regression on random removals (Lundberg & Lee 2017).

    A least-squares fit to q of random coalitions of words, drawn by the Shapley kernel, with large weights on the coalitions of
    no word and of all words. Where `samples` allows every coalition of the sentence (2^N), each is taken once with the kernel as
    its weight, and the values are exact. Source: Lundberg & Lee 2017, theorem 2. Units of q; signed; tokens sum to q(x) - q(x_b)
    up to the finite weights of the two ends.

    Attributes:
        samples: Largest number of coalitions.
    """

    samples: Annotated[int, Field(ge=3)] = 200

    def attribute(self, forward: Forward, present: Tensor, row: Tensor, at_once: int = ROWS) -> Tensor:
        """The Shapley values of one instance."""
        from captum.attr import KernelShap as Captum

        if present.shape[1] == 1:  # captum's kernel has no weights for a single feature
            return (forward(present, row) - forward(0 * present, row))[:, None]
        shap, n_coalitions = Captum(forward), 2 ** present.shape[1]
        if n_coalitions <= self.samples:
            subsets = coalitions(present)
            shap.perturb_func, shap.similarity_func = lambda *_, **__: next(subsets), shapley_kernel
        return _run(shap, present, row, min(n_coalitions, self.samples), at_once)


def _forward_of_maskable(forward: Forward, maskable: Tensor) -> Forward:
    """The forward function restricted to the words that may be masked; the others are always present."""

    def restricted(present: Tensor, row: Tensor) -> Tensor:
        whole = present.new_ones(len(present), len(maskable))
        whole[:, maskable] = present
        return forward(whole, row)

    return restricted


def _run(captum: Any, present: Tensor, row: Tensor, samples: int, at_once: int) -> Tensor:
    scores: Tensor = captum.attribute(present, additional_forward_args=(row,), n_samples=samples, perturbations_per_eval=at_once)
    return scores


def coalitions(present: Tensor) -> Iterator[Tensor]:
    """Every subset of the words once, in the form of captum's samples: rows (1, N) of 0 and 1.

    >>> [subset.tolist()[0] for subset in coalitions(torch.ones(1, 2))]
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    for subset in product((0, 1), repeat=present.shape[1]):
        yield torch.tensor([subset], device=present.device)


def shapley_kernel(_: Tensor, __: Tensor, subset: Tensor, **___: Any) -> Tensor:
    """Weight of a coalition of k of n words: (n - 1) / (C(n, k) k (n - k)), and captum's large weight for k = 0 and k = n.

    Args:
        subset: The coalition (1, n) of 0 and 1; captum's other arguments are not used.

    Returns:
        The weight (1,).

    >>> shapley_kernel(None, None, torch.tensor([[1, 0, 0, 1]]))
    tensor([0.1250])
    """
    n, k = subset.shape[1], int(subset.sum())
    return torch.tensor([(n - 1) / (math.comb(n, k) * k * (n - k)) if 0 < k < n else ENDS])
