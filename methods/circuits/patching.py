"""Activation patching: states, heads and edges are exchanged one at a time, and the model is run for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ...core.settings import Settings
from ...models.batch import Batch
from ...models.circuits.exact_patching import Into, patched_edges, patched_states
from ...models.flow.flow_model import FlowModel
from ..base import explanations, method
from ..explanation import Explanation


@method(
    "activation-patching",
    gives={"nodes", "heads", "tokens"},
    needs={"transformer"},
    source="Meng et al. 2022, Locating and Editing Factual Associations in GPT, section 2; for heads, Vig et al. 2020, Causal "
    "Mediation Analysis for Interpreting Neural NLP, section 4",
    misleads="Patching into the text finds what is necessary, and into the counterpart what is enough; they differ where heads "
    "stand in for one another (Heimersheim and Nanda 2024). States are exchanged one at a time: of two that each "
    "suffice, neither is found in the text. A word that is the same in both texts scores 0.",
)
@dataclass(frozen=True)
class ActivationPatching(Settings):
    """What q loses when a hidden state or a head's output is exchanged with the counterpart's, run by run (Meng et al. 2022).

    nodes[l, i] = q(x) - q(x with h_l,i of x'), and heads[l, a] the same for the output of a head at all positions; x is the text
    and x' its counterpart. tokens are nodes at the input. With into=counterpart, what q gains: q(x' with h_l,i of x) - q(x').
    Units of q; unbounded; positive: the text's value supports the answer.

    Attributes:
        into: Where states are put: into the `text` (noising) or into its `counterpart` (denoising).
        nodes: Whether the states above the words are exchanged too (L + 1 times the runs of words alone). Where it or `heads` is
            left out, a run whose metrics all read words leaves these out.
        heads: Whether the outputs of heads are exchanged too.
    """

    into: Into = "text"
    nodes: bool = True
    heads: bool = True
    later: ClassVar[tuple[str, ...]] = ("nodes", "heads")

    @property
    def gives(self) -> frozenset[str]:
        """Scores of words; with `nodes` also of hidden states, and with `heads` of the outputs of heads."""
        return frozenset({"tokens", *(["nodes"] if self.nodes else []), *(["heads"] if self.heads else [])})

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Exchanges every state and head of every instance."""
        patched = patched_states(model, batch, self.into, nodes=self.nodes, heads=self.heads)
        values = [{"q_baseline": float(q)} for q in patched.q_counterpart]
        views = {"tokens": patched.nodes[:, 0], "nodes": patched.nodes, "heads": patched.heads}
        given: dict[str, Any] = {name: view for name, view in views.items() if name in self.gives}
        return explanations(batch, values=values, **given)


@method(
    "edge-patching",
    gives={"circuit"},
    needs={"transformer"},
    source="Goldowsky-Dill et al. 2023, Localizing Model Behavior with Path Patching, section 3",
    misleads="It is exact for one edge and says nothing of several: edges that stand in for one another score near 0 each, but "
    "matter together. It runs the model once for each edge (32,491 in GPT-2): it is for small models, and a reference.",
)
@dataclass(frozen=True)
class EdgePatching(Settings):
    """What q loses when the counterpart's value travels along one edge, for every edge, run by run (Goldowsky-Dill et al. 2023).

    score(w -> r) = q(x) - q(x, where reader r receives from writer w what it wrote on the counterpart). What the reader then
    writes reaches all later readers. `attribution-patching` is its first-order estimate. Units of q; unbounded; positive: the
    edge supports the answer.
    """

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Exchanges every edge of every instance."""
        return explanations(batch, circuit=patched_edges(model, batch))
