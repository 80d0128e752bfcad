"""Sequential integrated gradients (Enguehard 2023): each word moves alone from the baseline to itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ...core.settings import Settings
from ...models.baseline import Baseline, baseline_words, moving_words
from ...models.batch import Batch
from ...models.flow.quadrature import check_quadrature, quadrature
from ...models.layered import Layered
from ...models.shapes import Words
from ..base import explanations, method
from ..explanation import Explanation
from ..perturbation.leave_one_out import LeaveOneOut
from .word_gradients import summed_products


@method(
    "sequential-ig",
    gives={"tokens"},
    source="Enguehard 2023, Sequential Integrated Gradients: a simple but effective method for explaining language models, "
    "section 2",
    misleads="Its scores are those of `leave-one-out` with the same baseline, by the fundamental theorem of calculus, up to the "
    "quadrature error, at many times the cost: that the two agree is no evidence for either. Words that stand in for each "
    "other all score near 0.",
)
@dataclass(frozen=True)
class SequentialIntegratedGradients(Settings):
    """Gradients integrated along a line on which one word moves alone from the baseline to itself (Enguehard 2023).

    tokens[j] is the integral over t from 0 to 1 of <x_j - b_j, dq/dx_j(x^j(t))>, where x^j(t) is the input with word j at
    b_j + t (x_j - b_j). The integrand is the derivative of q(x^j(t)) with respect to t, so that

        tokens[j] = q(x) - q(x with b_j in the place of x_j)

    up to the quadrature error: leave-one-out with that baseline. The source divides all scores of a sentence by their norm, which
    changes neither their order nor their signs and is left out here, so that scores are in units of q. Tokens do not sum to a
    change of q; `word_completeness_error` is the largest difference of a token from the change above. Source: Enguehard 2023,
    section 2 (baseline [MASK]). Units of q; signed; unbounded. Words that equal the baseline score 0.

    Cost: `samples` forward and backward passes for each word, N times those of integrated gradients, and a forward pass a word.

    Attributes:
        rule: Quadrature rule: midpoint, trapezoid or gauss-legendre.
        samples: Number of nodes of the rule.
        baseline: Word vector at which each word's line starts; on decoders the default is `pad`.
    """

    rule: Literal["midpoint", "trapezoid", "gauss-legendre"] = "gauss-legendre"
    samples: int = 32
    baseline: Baseline = "mask"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_quadrature(self.rule, self.samples)

    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """Integrates the gradients of every word of every instance."""
        x = model.words(batch).detach()
        whole = x - baseline_words(model, batch, self.baseline).detach()
        row, position = moving_words(model, batch, self.baseline).nonzero(as_tuple=True)
        rule = quadrature(self.rule, self.samples)
        nodes, weights = (torch.from_numpy(numbers).to(x) for numbers in (rule.nodes, rule.weights))
        places = torch.arange(x.shape[1], device=x.device)

        def points(part: Tensor) -> tuple[Words, Words]:
            word, node = part // self.samples, part % self.samples
            alone = (places == position[word, None])[..., None]
            step = torch.where(alone, whole[row[word]], 0.0)
            return x[row[word]] - (1 - nodes[node, None, None]) * step, weights[node, None, None] * step

        tokens = summed_products(model, batch, row.repeat_interleave(self.samples), points)
        values = []
        for own, one in zip(tokens, LeaveOneOut(self.baseline).explain(model, batch), strict=True):
            assert one.tokens is not None
            error = abs(own[: len(one.tokens)].cpu().numpy() - one.tokens).max(initial=0)
            values.append({"word_completeness_error": float(error)})
        return explanations(batch, tokens=tokens, values=values)
