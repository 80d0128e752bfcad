"""Conductance (Dhamdhere et al. 2018) of hidden states for each source word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...models.batch import Batch
from ...models.flow.chain_rule import layer_flow, layer_tangent
from ...models.flow.flow_model import FlowModel
from ...models.flow.trace import PathSettings, PathTrace
from ...models.memory import affordable
from ..base import explanations, method
from ..explanation import Explanation
from ..patterns.pattern_search import traced_words

TANGENTS = 1 / 8
"""Share of the memory budget of the tangents of words that go through the layers together."""


@method(
    "conductance",
    gives={"tokens", "nodes", "flows"},
    needs={"transformer", "target", "path_samples"},
    source="Dhamdhere et al. 2018, How Important Is a Neuron?, equation 3; as a baseline, Lu et al. 2021, section 4.4",
    misleads="Each layer is explained by itself, so that the strongest nodes need not lie on one path: on `planted/fork` they "
    "never do (docs/measurements.md). A word that equals the baseline scores 0 whatever it does.",
)
@dataclass(frozen=True)
class Conductance(PathSettings):
    """Influence of each word that flows through each hidden state, layer by layer (Dhamdhere et al. 2018).

    I([x_j, h^l_i] -> q) = E_z[<dh^l_i/dx_j (x_j - x_b), dq/dh^l_i>]. `flows` is this influence times sign(g_j), `nodes` is its
    sum over words, which is the hidden state's conductance summed over its units. Every layer's nodes
    sum to sum_j g_j. Source: Dhamdhere et al. 2018, equation 3; baseline of Lu et al. 2021, section 4.4. Units of q; unbounded.

    Attributes:
        flows: Whether hidden states are explained, for each word and over all words; without them `tokens` alone are given, for
            the cost of the path samples. Where it is left out, a run whose metrics all read words leaves them out.
    """

    flows: bool = True
    later: ClassVar[tuple[str, ...]] = ("flows",)

    @property
    def gives(self) -> frozenset[str]:
        """Scores of words; with `flows` also of hidden states, for each word and over all words."""
        return frozenset({"tokens", "nodes", "flows"} if self.flows else {"tokens"})

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Computes the flows of every word of every instance."""
        trace = self.trace(model, batch)
        values = [
            {"completeness_error": float(e), "q_baseline": float(b)}
            for e, b in zip(trace.completeness, trace.q_baseline, strict=True)
        ]
        if not self.flows:
            return explanations(batch, tokens=trace.g, values=values)
        with torch.no_grad():
            words, traced = traced_words(trace)
            n_tokens = batch.ids.shape[1]
            flows = trace.g.new_zeros(len(batch), n_tokens, model.n_layers + 1, n_tokens)
            for piece in trace.pieces():
                each = len(batch) * piece.samples * n_tokens * model.width * trace.g.element_size()
                for some in torch.arange(words.shape[1], device=words.device).split(affordable(each, TANGENTS)):
                    flow = word_flows(piece, words[:, some]) * traced[:, some, None, None]
                    flows.scatter_add_(1, words[:, some, None, None].expand_as(flow), flow)
        sign = torch.where(trace.g < 0, -1.0, 1.0).to(flows.dtype)
        return explanations(batch, tokens=trace.g, nodes=flows.sum(1), flows=flows * sign[..., None, None], values=values)


def word_flows(trace: PathTrace, words: Int[Tensor, "batch words"]) -> Float[Tensor, "batch words depths tokens"]:
    """Influence I([x_j, h^l_i] -> q) of some words of every instance through each hidden state.

    Args:
        trace: The path trace of B instances, or a piece of it.
        words: Positions j of the words.

    Returns:
        The influence (B, W, L + 1, N), in units of q.
    """
    tangents, last = [_word_tangent(trace, word) for word in words.T], trace.model.n_layers - 1
    flows = [torch.stack([trace.mean((tangent * trace.grad_hidden[0]).sum(-1)) for tangent in tangents], 1)]
    for layer in range(last):
        arriving = []
        for place, tangent in enumerate(tangents):
            sent = layer_flow(trace, layer, tangent)
            arriving.append(sent.influence)
            if layer < last - 1:
                tangents[place] = layer_tangent(trace, layer, tangent, sent)
        flows.append(torch.stack(arriving, 1))
    assert trace.batch.target is not None
    at = trace.batch.target[:, None, None].expand(-1, words.shape[1], 1)
    end = torch.zeros_like(flows[0]).scatter_(2, at, flows[-1].sum(2, keepdim=True))
    return torch.stack([*flows, end], 2)  # q reads hidden[L] at the target only, so all of the flow ends there


def _word_tangent(trace: PathTrace, word: Int[Tensor, " batch"]) -> Tensor:
    """The tangent of hidden[0] (R, N, D) that one word of every instance makes."""
    tangent = torch.zeros_like(trace.start)
    rows, position = torch.arange(len(tangent), device=word.device), word.repeat_interleave(trace.samples)
    tangent[rows, position] = trace.start[rows, position]
    return tangent
