"""ALTI-Logit (Ferrando et al. 2023): what each word adds to the logits, along ALTI's paths into every layer's attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import one_hot

from ...core.settings import Settings
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel, at_target
from ..base import explanations, method
from ..explanation import Explanation
from .alti import nearness
from .linear_layers import COPIES, HeldNorm, LinearLayer, layer_shares, linear_layers, pieces, through
from .linear_readout import check_linear, linear_readout


@method(
    "alti-logit",
    gives={"tokens"},
    needs={"transformer", "target"},
    source="Ferrando et al. 2023, Explaining How Transformers Use Context to Build Predictions",
    misleads="What feed-forward blocks write at the target is left out, and they may write the answer (`left_out` says how much "
    "of q). How a part is divided among words below is by nearness, which has no sign.",
)
@dataclass(frozen=True)
class AltiLogit(Settings):
    """Parts of q that attention writes at the target, distributed over words by ALTI (Ferrando et al. 2023).

    hidden[L] at the target t is hidden[0] plus what each layer's attention and feed-forward block write. With q = <u, hidden[L]>
    + bias, where the deviation of the final norm is held (`linear_readout`), position j writes <u_l, w_lj> to q in layer l, where
    w_lj = sum_h A_lh[t, j] W_o,h v_lhj. With T_l the product of ALTI's shares of layers 1 to l - 1:

        tokens[k] = [k = t] <u_0, hidden[0]_t> + sum over l, j of <u_l, w_lj> T_l[j, k].

    Where nothing normalises the stream, u_l = u (behind attention's own norm, Gemma 2). In layers that normalise after each
    block, for which the paper has no form, u_l is u taken back through the norms between w_lj and hidden[L], each with the
    deviation of the clean pass held. What feed-forward blocks and biases write is in no score: `left_out` is q minus the sum of
    the tokens. Source: Ferrando et al. 2023, for decoders; the activation functions of encoders' heads are held as act(x) / x.
    Units of q; signed. One forward pass, parts of every pair of tokens in each layer, and one gradient of the readout.

    Raises:
        NotApplicable: q is a probability, which is not linear in the logits.
    """

    @torch.no_grad()
    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Divides q among the words of every instance."""
        return [found for piece in pieces(model, batch) for found in self._explain(model, piece)]

    def _explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        assert batch.target is not None
        check_linear(batch)
        start, size = at_target(model.embed(model.words(batch), batch), batch), batch.ids.shape[1]
        words = torch.eye(size, dtype=torch.float64, device=start.device).expand(len(batch), -1, -1)
        written = []
        for layer in linear_layers(model, batch):
            written.append(_written(layer, batch, words))
            words = layer_shares(layer, nearness, COPIES) @ words
            last = layer.after
        readout = linear_readout(model, batch, last)
        direction, tokens = readout.direction[:, None], torch.zeros_like(words[:, 0])
        for step in reversed(written):
            direction = _back(step.left, direction)
            parts = torch.einsum("bqd,bjd->bj", direction, step.parts)
            tokens += torch.einsum("bj,bjk->bk", parts.double(), step.words)
            direction = _back(step.merged, direction)
        tokens += (direction * start).sum(-1) * one_hot(batch.target, size)
        left_out = readout.q.double() - tokens.sum(1)
        return explanations(batch, tokens=tokens, values=[{"left_out": float(part)} for part in left_out])


class _Written(NamedTuple):
    """What the attention of one layer writes to the residual stream at the target.

    Attributes:
        parts: By position read.
        words: Shares of the words in each position that is read, T_l.
        merged: The norm of the residual that they are added to.
        left: The norm behind the feed-forward block.
    """

    parts: Float[Tensor, "batch tokens hidden"]
    words: Float[Tensor, "batch tokens tokens"]
    merged: HeldNorm | None
    left: HeldNorm | None


def _written(layer: LinearLayer, batch: Batch, words: Float[Tensor, "batch tokens tokens"]) -> _Written:
    rows = torch.arange(len(batch), device=batch.ids.device)
    parts = torch.einsum("bhj,bjhd->bjd", layer.weights[rows, :, batch.target], layer.written)
    norms = (layer.norms.added, layer.norms.merged, layer.norms.left)
    added, merged, left = (None if norm is None else norm.at_target(batch) for norm in norms)
    return _Written(through(added, parts[:, None])[:, 0], words, merged, left)


def _back(norm: HeldNorm | None, direction: Float[Tensor, "batch 1 hidden"]) -> Float[Tensor, "batch 1 hidden"]:
    return direction if norm is None else norm.back(direction)
