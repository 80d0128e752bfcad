"""DeepLIFT (Shrikumar et al. 2017) through all of a transformer: differences from baseline words, traced to words and states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...core.settings import Settings
from ...models.baseline import Baseline, baseline_words
from ...models.batch import Batch, Rows
from ...models.flow.flow_model import FlowModel
from ...models.layers.derivative_rules import ELEMENTWISE, DerivativeRules, Function, Rule, norm_rules, with_derivative
from ...models.outputs import value
from ..base import explanations, method
from ..explanation import Explanation
from .context_gradients import pieces
from .layer_wise_relevance import PRODUCTS


def rescale_rule(function: Function, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """A function of each number by itself: the multiplier is dy / dx, or the slope half way where dx is too small for a quotient.

    Args:
        function: The function.
        x: Inputs in the first half of the rows, the baseline's in the second, as in every rule of this module.
        args: Further arguments of the function.
        kwargs: The same, by name.
    """
    y = function(x, *args, **kwargs)
    (ours, base), (y_ours, y_base) = (each.detach().chunk(2) for each in (x, y))
    step = ours - base
    with torch.enable_grad():
        half_way = ((ours + base) / 2).requires_grad_(True)
        (slope,) = torch.autograd.grad(function(half_way, *args, **kwargs).sum(), half_way)
    # the slope is off by the square of the relative step, the quotient by the rounding of x over the step
    small = step.abs() <= torch.finfo(x.dtype).eps ** (1 / 3) * half_way.abs()
    multiplier = torch.where(small, slope, (y_ours - y_base) / step)
    return with_derivative(y, x * _twice(multiplier))


def product_rule(function: Function, a: Tensor, b: Any) -> Tensor:
    """A product, where both factors change: d(a b) = da (b + b') / 2 + (a + a') / 2 db."""
    if isinstance(b, Tensor) and b.requires_grad:
        return with_derivative(function(a, b), function(a, _half_way(b)) + function(_half_way(a), b))
    return function(a, b)


def softmax_rule(function: Function, scores: Tensor, dim: int) -> Tensor:
    """The exponential of its logarithm: da is the logarithmic mean of a and a' times d ln a."""
    multipliers = _twice(_log_mean(scores.log_softmax(dim)).exp())
    return with_derivative(function(scores, dim), multipliers * _less_log_sum(scores, dim))


def log_softmax_rule(function: Function, scores: Tensor, dim: int) -> Tensor:
    """The scores less the logarithm of the sum of their exponentials."""
    return with_derivative(function(scores, dim), _less_log_sum(scores, dim))


def _less_log_sum(scores: Tensor, dim: int) -> Tensor:
    """s - ln sum exp s, by the rescale rule for each exponential and for the logarithm; 0 in place of scores of minus infinity.

    The multiplier of an exponential is the logarithmic mean of both its values, that of the logarithm one over the mean of both
    sums. Their product lies in [0, 1] and does not change with a constant that is added to all scores.
    """
    shares = _twice((_log_mean(scores) - _log_mean(scores.logsumexp(dim, keepdim=True))).exp())
    seen = scores.masked_fill(scores == -torch.inf, 0)
    return seen - (shares * seen).sum(dim, keepdim=True)


def deviation_rule(x: Tensor, eps: float) -> Tensor:
    """x / sqrt(mean square + eps) as squares, a function of their mean, and a product."""
    mean_square = product_rule(torch.mul, x, x).mean(-1, keepdim=True)
    return product_rule(torch.mul, x, rescale_rule(torch.rsqrt, mean_square + eps))


def _half_way(x: Tensor) -> Tensor:
    return _twice(torch.add(*x.detach().chunk(2)) / 2)


def _twice(x: Tensor) -> Tensor:
    """The rows for the input, and again for the baseline."""
    return torch.cat([x, x])


def _log_mean(logarithms: Tensor) -> Tensor:
    """The logarithm of M(a, b) = (a - b) / (ln a - ln b), of numbers a and the baseline's b, from ln a and ln b."""
    ours, base = logarithms.detach().chunk(2)
    apart = (ours - base).abs().nan_to_num(0)  # where both are minus infinity, so is the mean
    return torch.maximum(ours, base) + torch.where(apart == 0, 0.0, (-torch.expm1(-apart) / apart).log())


RULES: Mapping[Function, Rule] = {
    # powers and sigmoids are parts of activation functions that transformers composes in some heads
    **dict.fromkeys((*ELEMENTWISE, Tensor.exp, torch.pow, torch.sigmoid), rescale_rule),
    **dict.fromkeys(PRODUCTS, product_rule),
    **norm_rules(deviation_rule),
    Tensor.softmax: softmax_rule,
    Tensor.log_softmax: log_softmax_rule,
}


@method(
    "deep-lift",
    gives={"tokens", "nodes"},
    needs={"transformer"},
    source="Shrikumar et al. 2017, Learning Important Features Through Propagating Activation Differences, section 3.5.2",
    misleads="Scores depend on the baseline, and a word that equals it scores 0 whatever it does. How the factors of a product "
    "share its change is a convention, as is how softmax and norms are taken apart.",
)
@dataclass(frozen=True)
class DeepLift(Settings):
    """The change of q from a baseline's words, traced back by multipliers of differences (Shrikumar et al. 2017).

    A multiplier m takes the place of each local derivative, so that the differences d from the baseline's pass satisfy dy = m dx:

        W x + b      m = W (linear rule)
        f(x)         m = dy / dx (rescale rule)
        a b          m of a is the mean of b and the baseline's b, and the other way round, where both change
        softmax      exp(s - ln sum exp s), the rescale rule for each of its three functions
        norms        the mean, squares (a product), their mean, one over its root (rescale), a product

        tokens[j] = <x_j - x_b, m_j>;    nodes[l, i] = <h^l_i - h^l_b,i, m^l_i>.

    Tokens, and the nodes of each layer, sum to q(x) - q(x_b) up to rounding, for every quantity. The source has no rule for
    products of two parts that change; this one is the mean over both orders of changing the factors. Source: Shrikumar et al.
    2017, section 3.5.2 (rescale), by multipliers and their chain rule, section 3.2. Units of q; signed; unbounded. One forward
    and one backward pass of twice the rows.

    Attributes:
        baseline: Word vectors that the words are compared with; on decoders the default is `pad`.
    """

    baseline: Baseline = "mask"

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Traces the change of every instance."""
        return [found for piece in pieces(model, batch, copies=2) for found in self._explain(model, piece)]

    def _explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        both = batch.rows(torch.arange(len(batch), device=batch.ids.device).repeat(2))
        with torch.no_grad():
            words = torch.cat([model.words(batch), baseline_words(model, batch, self.baseline)])
        with torch.enable_grad(), DerivativeRules(RULES):
            start = model.embed(words.requires_grad_(True), both)
            (trace,) = model.run(Rows(both, start), keep={"hidden", "attention"})
            q = value(model.readout(trace.site("hidden", model.n_layers), both), both)
            ours = q[: len(batch)].sum()
        states = [words, *(trace.whole("hidden", depth) for depth in range(model.n_layers + 1))]
        multipliers = torch.autograd.grad(ours, states)
        tokens, *nodes = (
            (torch.sub(*state.detach().chunk(2)) * multiplier[: len(batch)]).sum(-1)
            for state, multiplier in zip(states, multipliers, strict=True)
        )
        q_ours, q_base = q.detach().chunk(2)
        errors = (tokens.sum(1) - (q_ours - q_base)).abs()
        values = [{"completeness_error": float(e), "q_baseline": float(b)} for e, b in zip(errors, q_base, strict=True)]
        return explanations(batch, tokens=tokens, nodes=torch.stack(nodes, 1), values=values)
