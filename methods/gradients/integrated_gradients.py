"""Integrated gradients (Sundararajan et al. 2017), computed by captum."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ...core.settings import Settings
from ...models.baseline import Baseline, baseline_words
from ...models.batch import Batch
from ...models.flow.quadrature import check_quadrature
from ...models.interventions.states import clean_states, outputs_from
from ...models.layered import Layered
from ...models.memory import rows_at_once
from ...models.outputs import value
from ..base import explanations, method
from ..explanation import Explanation

CAPTUM_RULES = {"midpoint": "riemann_middle", "trapezoid": "riemann_trapezoid", "gauss-legendre": "gausslegendre"}
States = Literal["path", "zero"]
ROWS = 512
"""Largest number of rows that captum runs at once, where the memory budget has room for so many."""


@method(
    "integrated-gradients",
    gives={"tokens", "nodes"},
    source="Sundararajan et al. 2017, Axiomatic Attribution for Deep Networks, equation 1",
    misleads="Scores depend on the baseline (Sturmfels et al. 2020), and a word that equals it, such as the gap itself, scores "
    "0 whatever it does. Where q changes on a short part of the line, few samples miss it: read the completeness "
    "error beside the scores.",
)
@dataclass(frozen=True)
class IntegratedGradients(Settings):
    """Gradients integrated on a straight line from a baseline, for words and hidden states (Sundararajan et al. 2017).

    token[j] = <x_j - x_b, E_z[dq/dz_j]> on word embeddings; node[l, i] is the same at hidden[l], on the straight line to the
    input's own hidden states from the baseline's, or from zeros. Tokens, and the nodes of each layer, sum to the change of q on
    the line up to the quadrature error; positions that the model does not allow to be masked stay fixed. Source: Sundararajan et
    al. 2017, equation 1; zero states as in De Cao et al. 2020. Units of q; unbounded. The error of each sum is stored beside the
    scores: near zero states layer norms are steep, so that `states=zero` may need more samples than `path`.

    Attributes:
        rule: Quadrature rule of captum: midpoint, trapezoid or gauss-legendre.
        samples: Number of nodes of the rule.
        baseline: Word vectors at which the path starts; on decoders the default is `pad`. The default moves [CLS] and [SEP] to
            [MASK] too; most other tools leave special tokens as they are, as `mask-words` and `pad-words` do.
        nodes: Whether hidden states are explained too (about L/2 times the cost of tokens alone). Where it is left out, a run
            whose metrics all read words leaves them out.
        states: Start of the line of a layer's hidden states: the states of the baseline's words (`path`), or `zero`.
    """

    rule: Literal["midpoint", "trapezoid", "gauss-legendre"] = "midpoint"
    samples: int = 50
    baseline: Baseline = "mask"
    nodes: bool = True
    states: States = "path"
    loads: ClassVar[tuple[str, ...]] = ("captum.attr",)

    @property
    def gives(self) -> frozenset[str]:
        """Scores of words; with `nodes` also of hidden states."""
        return frozenset({"tokens", "nodes"} if self.nodes else {"tokens"})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_quadrature(self.rule, self.samples)

    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """Integrates the gradients of every instance."""
        with torch.no_grad():
            clean = clean_states(model, batch)
            start = baseline_words(model, batch, self.baseline)
            q_baseline = value(model.outputs(replace(batch, word_vectors=start, cache={})), batch)
        tokens, error = self._attribute(model, batch, 0, clean[0], start)
        values = [{"completeness_error": float(e.abs()), "q_baseline": float(b)} for e, b in zip(error, q_baseline, strict=True)]
        if not self.nodes:
            return explanations(batch, tokens=tokens, values=values)
        ends = enumerate(zip(clean, self._starts(model, batch, clean, start), strict=True))
        nodes, errors = zip(*(self._attribute(model, batch, depth, *pair) for depth, pair in ends if depth), strict=True)
        for numbers, largest in zip(values, torch.stack(errors).abs().amax(0), strict=True):
            numbers["node_completeness_error"] = float(largest)
        return explanations(batch, tokens=tokens, nodes=torch.stack(nodes, 1), values=values)

    @torch.no_grad()
    def _starts(self, model: Layered, batch: Batch, clean: list[Tensor], words: Tensor) -> list[Tensor]:
        """States at the start of the line, by depth."""
        if self.states == "path":
            return clean_states(model, replace(batch, word_vectors=words, cache={}))
        fixed = (batch.attention_mask & ~model.maskable(batch))[..., None]
        return [torch.where(fixed, state, 0.0) for state in clean]

    def _attribute(self, model: Layered, batch: Batch, depth: int, x: Tensor, x_b: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (B, N) of the states at a depth (0: word vectors, l + 1: hidden[l]), and their completeness error (B,)."""
        from captum.attr import IntegratedGradients as Captum

        def forward(values: Tensor, row: Tensor) -> Tensor:
            rows = batch.rows(row)
            return value(outputs_from(model, rows, depth, values), rows)

        row = torch.arange(len(batch), device=x.device)
        at_once = max(rows_at_once(model, batch.ids.shape[1], ROWS, gradients=True), len(batch))
        scores, error = Captum(forward).attribute(
            x, x_b, additional_forward_args=(row,), n_steps=self.samples, method=CAPTUM_RULES[self.rule],
            internal_batch_size=at_once, return_convergence_delta=True,
        )  # fmt: skip
        return scores.sum(-1).to(x.dtype) * batch.attention_mask, error
