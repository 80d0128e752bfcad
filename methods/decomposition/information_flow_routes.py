"""Information flow routes (Ferrando & Voita 2024): the edges above a threshold along which the target gathers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from ...core.settings import Settings
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ..attention.attention_rollout import target_rows
from ..base import explanations, method
from ..explanation import Explanation
from .alti import proximity
from .linear_layers import COPIES, LinearLayer, layer_shares, linear_layers, pieces, through

Graph = Float[Tensor, "batch layers tokens tokens"]


@method(
    "information-flow-routes",
    gives={"tokens", "edges"},
    needs={"transformer", "target"},
    source="Ferrando & Voita 2024, Information Flow Routes: Automatically Interpreting Language Models at Scale",
    misleads="It shows by which routes the target's state came about, and not what the answer needs of them: every answer of a "
    "sentence gets the same routes. Many weak edges into a state can carry more than one strong edge, and all of them fall "
    "below the threshold.",
)
@dataclass(frozen=True)
class InformationFlowRoutes(Settings):
    """Edges above a threshold along which the target gathers, from the top down (Ferrando & Voita 2024).

    What each head writes from each position, and the residual, are the parts of the residual y_i after attention. With the L1
    norm and n(part) = max(0, ||y_i||_1 - ||y_i - part||_1), the importance of the edge from position p is

        e_l[i, p] = (sum over h of n(A_h[i, p] W_o,h v_h,p) + [i = p] n(h_i)) / the same summed over p.

    From the target at the top, layer by layer downwards, the edges of reached states with e > tau are kept, and their ends are
    reached. edges[l, 0, i, p] is e where it is kept, else 0; tokens[k] is the sum, over kept paths from word k to the target, of
    the products of e. The feed-forward block, which stays at its position, cuts no route. Norms behind attention act on parts
    without their bias, with the deviation of the clean pass; biases are no parts. Source: Ferrando & Voita 2024, for decoders.
    Shares in [0, 1], without a sign; tokens sum to at most 1, and to 1 at tau = 0. One forward pass, and parts of every head and
    pair of tokens in each layer.

    Attributes:
        tau: Edges of at most this importance are left out, in [0, 0.5).

    Raises:
        UsageError: tau is out of its range.
    """

    tau: Annotated[float, Field(ge=0, lt=0.5)] = 0.04

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Finds the routes of every instance."""
        return [found for piece in pieces(model, batch) for found in self._explain(model, piece)]

    def _explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        assert batch.target is not None
        copies = COPIES * model.n_heads
        importance = [layer_shares(layer, _importance, copies) for layer in linear_layers(model, batch)]
        routes = kept_routes(torch.stack(importance, 1), batch.target, self.tau)
        return explanations(batch, tokens=target_rows(routes, batch.target)[:, 0], edges=routes[:, :, None])


def _importance(layer: LinearLayer, queries: slice) -> Tensor:
    """The nearness of what each position contributes to some queries, summed over heads and residual (B, Q, N)."""
    whole = layer.middle[:, queries]
    heads = proximity(through(layer.norms.added, layer.by_head(queries), queries), whole[:, :, None, None]).sum(-1)
    residual = proximity(through(layer.norms.merged, layer.skip[:, queries], queries), whole)
    own = torch.eye(heads.shape[-1], dtype=heads.dtype, device=heads.device)[queries]
    return heads + own * residual[..., None]


def kept_routes(importance: Graph, target: Int[Tensor, " batch"], tau: float) -> Graph:
    """The edges with an importance above tau that lead, over edges like these, to the target at the top; the others are 0.

    >>> importance = torch.tensor([[[[0.9, 0.1], [0.5, 0.5]], [[0.0, 1.0], [0.25, 0.75]]]])
    >>> kept_routes(importance, torch.tensor([1]), 0.4)[0].tolist()
    [[[0.0, 0.0], [0.5, 0.5]], [[0.0, 0.0], [0.0, 0.75]]]
    """
    reached = torch.nn.functional.one_hot(target, importance.shape[-1]).bool()
    kept = []
    for layer in reversed(importance.unbind(1)):
        kept.append(torch.where(reached[..., None] & (layer > tau), layer, 0.0))
        reached = (kept[-1] > 0).any(1)
    return torch.stack(kept[::-1], 1)
