"""Layer-wise relevance propagation: AttnLRP (Achtibat et al. 2024) and conservative propagation (Ali et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ...models.layers.derivative_rules import (
    ELEMENTWISE,
    DerivativeRules,
    Function,
    Rule,
    constant_deviation,
    identity_rule,
    norm_rules,
    with_derivative,
)
from ..base import explanations, method
from ..explanation import Explanation
from .context_gradients import pieces, state_products

PRODUCTS: tuple[Function, ...] = (Tensor.mul, torch.mul, Tensor.matmul, torch.matmul)


def uniform_rule(function: Function, a: Tensor, b: Any) -> Tensor:
    """A product; where both factors depend on the input, each takes half of the relevance."""
    if isinstance(b, Tensor) and b.requires_grad:
        a, b = (with_derivative(x, x / 2) for x in (a, b))
    return function(a, b)


def constant_rule(function: Function, *args: Any, **kwargs: Any) -> Tensor:
    """A function whose value is taken for constant: no relevance goes through it."""
    return function(*args, **kwargs).detach()


ATTN_LRP: Mapping[Function, Rule] = {
    **dict.fromkeys(ELEMENTWISE, identity_rule),
    **dict.fromkeys(PRODUCTS, uniform_rule),
    **norm_rules(constant_deviation),
}
"""Rules of AttnLRP; every other function, the softmax too, has its own derivative."""
CP_LRP: Mapping[Function, Rule] = {**ATTN_LRP, Tensor.softmax: constant_rule}
"""Rules of conservative propagation."""


def relevances(model: FlowModel, batch: Batch, rules: Mapping[Function, Rule]) -> list[Explanation]:
    """Relevance of the hidden states of every instance, as state times gradient under the rules."""
    found = []
    for piece in pieces(model, batch):
        # keeping the weights makes the loop compute them by functions that have rules, and not by a fused kernel
        _, q, nodes = state_products(model, piece, {"attention"}, DerivativeRules(rules))
        values = [{"q": float(a), "absorbed": float(a - b)} for a, b in zip(q, nodes[:, 0].sum(1), strict=True)]
        found += explanations(piece, tokens=nodes[:, 0], nodes=nodes, values=values)
    return found


@method(
    "attn-lrp",
    gives={"tokens", "nodes"},
    needs={"transformer"},
    source="Achtibat et al. 2024, AttnLRP: Attention-Aware Layer-Wise Relevance Propagation for Transformers, section 3",
    misleads="Biases and the softmax absorb relevance, so that scores do not sum to q; read `absorbed` beside them. States are "
    "compared with vectors of zeros, and a word has the relevance of its position, too.",
)
@dataclass(frozen=True)
class AttnLRP:
    """Relevance of hidden states, propagated from q by rules that go through attention weights (Achtibat et al. 2024).

    The relevance of h is <h, dq/dh> where local derivatives are those of rules, and values those of the model:

        W x + b          its own derivative (epsilon rule with epsilon 0), so that b absorbs its share b R / (W x + b)
        f(x)             f(x) / x, constant (activation functions, soft caps)
        x / deviation    the deviation is constant (LayerNorm, RMSNorm)
        a b              half of each factor's own derivative where both depend on the input (scores, A V, gated units)
        softmax          its own derivative (its Taylor expansion at the scores, whose rest absorbs relevance)

        nodes[l, i] = sum over d of the relevance of hidden[l]_{i,d};    tokens = nodes[0].

    It ends at hidden[0], which holds position and token type beside the word. The head is propagated by the same rules, from the
    gradient of q at the logits. What biases and softmax absorb, q less the sum of tokens where q is linear in the logits, is the
    value `absorbed` (units of q). Source: Achtibat et al. 2024, section 3. Units of q; signed; unbounded. One forward and one
    backward pass.
    """

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Propagates the relevance of every instance."""
        return relevances(model, batch, ATTN_LRP)


@method(
    "cp-lrp",
    gives={"tokens", "nodes"},
    needs={"transformer"},
    source="Ali et al. 2022, XAI for Transformers: Better Explanations through Conservative Propagation, section 4",
    misleads="Attention weights count as constants: what a word does to where others attend is not seen. Biases absorb "
    "relevance; read `absorbed` beside the scores. A word has the relevance of its position, too.",
)
@dataclass(frozen=True)
class CPLRP:
    """Relevance of hidden states, propagated from q with attention weights and deviations taken for constant (Ali et al. 2022).

    As `attn-lrp`, except that the softmax passes no relevance on, so that A V gives all of it to V. Without biases, and with q
    linear in the logits, the nodes of every layer sum to q. The source is about attention and LayerNorm; activation functions and
    gated units have the rules of `attn-lrp`, which are conservative. Source: Ali et al. 2022, section 4. Units of q; signed;
    unbounded. One forward and one backward pass.
    """

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Propagates the relevance of every instance."""
        return relevances(model, batch, CP_LRP)
