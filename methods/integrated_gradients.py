"""Integrated gradients (Sundararajan et al. 2017), computed by captum."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ..core.errors import UsageError
from ..models.batch import Batch, Rows
from ..models.model import FlowModel
from ..models.outputs import value
from ..models.trace import Baseline, baseline_words, check_quadrature
from .base import explanations, method
from .explanation import Explanation

CAPTUM_RULES = {"midpoint": "riemann_middle", "trapezoid": "riemann_trapezoid", "gauss-legendre": "gausslegendre"}
ROWS = 512
"""Most rows captum runs at once."""


@method("integrated-gradients", gives={"tokens", "nodes"}, needs={"gradients", "target"})
@dataclass(frozen=True)
class IntegratedGradients:
    """Integrated gradients of tokens and of each layer's hidden states.

    token[j] = <x_j - x_b, E_z[dq/dz_j]> on word embeddings; node[l, i] is the same at hidden[l], on the straight line between
    the baseline's and the input's own hidden states. Tokens, and the nodes of each layer, sum to q(x) - q(x_b) up to the
    quadrature error. Source: Sundararajan et al. 2017, equation 1. Units of q; unbounded.

    Attributes:
        rule: midpoint, trapezoid or gauss-legendre, as captum has them.
        samples: Steps of the path integral.
        baseline: Word vectors the path starts at.
        nodes: Whether hidden states are explained too (about L/2 times the cost of tokens alone).
    """

    rule: Literal["midpoint", "trapezoid", "gauss-legendre"] = "midpoint"
    samples: int = 50
    baseline: Baseline = "mask"
    nodes: bool = True

    def __post_init__(self) -> None:
        if self.rule not in CAPTUM_RULES:
            raise UsageError(f"captum has no rule {self.rule!r}; choose one of {', '.join(CAPTUM_RULES)}.")
        check_quadrature(self.rule, self.samples)

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Token and node scores of every instance."""
        with torch.no_grad():
            ends = (model.words(batch), baseline_words(model, batch, self.baseline))
            hidden = [self._hidden(model, batch, words) for words in ends] if self.nodes else []
            q_baseline = value(model.outputs(replace(batch, words=ends[1], cache={})), batch)
        tokens, error = self._attribute(model, batch, None, *ends)
        values = [{"completeness_error": float(e.abs()), "q_baseline": float(b)} for e, b in zip(error, q_baseline, strict=True)]
        if not self.nodes:
            return explanations(batch, tokens=tokens, values=values)
        nodes = [self._attribute(model, batch, layer, *pair)[0] for layer, pair in enumerate(zip(*hidden, strict=True))]
        return explanations(batch, tokens=tokens, nodes=torch.stack(nodes, 1), values=values)

    def _hidden(self, model: FlowModel, batch: Batch, words: Tensor) -> list[Tensor]:
        (trace,) = model.run(Rows(batch, model.embed(words, batch)), keep={"hidden"})
        return [trace.site("hidden", layer) for layer in range(model.n_layers + 1)]

    def _attribute(self, model: FlowModel, batch: Batch, layer: int | None, x: Tensor, x_b: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (B, N) of word vectors (layer None) or hidden states, and captum's completeness error (B,)."""
        from captum.attr import IntegratedGradients as Captum

        def forward(values: Tensor, row: Tensor) -> Tensor:
            rows = batch.rows(row)
            entered = Rows(rows, model.embed(values, rows)) if layer is None else Rows(rows, values, layer)
            (trace,) = model.run(entered)
            return value(model.readout(trace.site("hidden", model.n_layers), rows), rows)

        row = torch.arange(len(batch), device=x.device)
        scores, error = Captum(forward).attribute(
            x, x_b, additional_forward_args=(row,), n_steps=self.samples, method=CAPTUM_RULES[self.rule],
            internal_batch_size=max(ROWS, len(batch)), return_convergence_delta=True,
        )  # fmt: skip
        return scores.sum(-1).to(x.dtype) * batch.mask, error
