"""A copy of a model whose weights are re-drawn part by part, from the head down to the embeddings (cascading randomisation)."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..batch import Batch, Rows, cell_seed
from ..flow.flow_model import FlowModel


class RandomisedModel(NamedTuple):
    """A model whose weights are re-drawn from the head down to `stage`: `head`, `layer/L` to `layer/1`, or `embeddings`."""

    stage: str
    model: FlowModel


def cascade(model: FlowModel, batch: Batch, seed: int) -> Iterator[RandomisedModel]:
    """The stages of a cascading randomisation, from the top of the model down (Adebayo et al. 2018, section 3.1).

    Each tensor is drawn anew from a normal distribution with its own mean and standard deviation, so that tensors without spread
    (unused biases, say) stay. What several parts read is drawn with the lowest of them: a table of words that the head shares
    with the embeddings, or layers that share their weights. Parts without weights of their own are no stage.

    Args:
        model: The model, which stays as it is.
        batch: Any instances of the model; they only show which weights each part reads.
        seed: Of the draws. A tensor's new values depend on it and on the tensor's name alone.

    Yields:
        All stages are one copy, which the next stage changes: use each before asking for the next.
    """
    hf = copy.deepcopy(model.hf)
    names = {id(weight): name for name, weight in hf.named_parameters()}
    for stage, weights in parts(FlowModel(hf, model.tokenizer, model.name), batch):
        for weight in weights:
            redraw(weight, cell_seed(seed, names[id(weight)]))
        yield RandomisedModel(stage, FlowModel(hf, model.tokenizer, model.name))


def parts(model: FlowModel, batch: Batch) -> list[tuple[str, list[Tensor]]]:
    """The weights that each part of a model is the lowest to read, from the head down; parts without any are left out.

    Args:
        model: The model. Its weights take gradients while this runs.
        batch: Instances of it, of which the first is used.
    """
    known, owned = set[int](), list[tuple[str, list[Tensor]]]()
    model.hf.requires_grad_(True)
    for stage, outputs in _one_by_one(model, batch.rows(torch.zeros(1, dtype=torch.long, device=batch.ids.device))):
        weights = [weight for weight in _read_by(outputs) if id(weight) not in known]
        known.update(map(id, weights))
        owned.append((stage, weights))
    model.hf.requires_grad_(False)
    return [(stage, weights) for stage, weights in reversed(owned) if weights]


@torch.enable_grad()
def _one_by_one(model: FlowModel, single: Batch) -> Iterator[tuple[str, Sequence[Tensor]]]:
    """What each part of a model computes of one instance, from the embeddings up, each in a graph of its own."""
    hidden = model.embed(model.words(single), single)
    yield "embeddings", (hidden,)
    for layer in range(model.n_layers):
        (trace,) = model.run(Rows(single, hidden.detach(), layer), until=layer + 1)
        hidden = trace.site("hidden", layer + 1)
        yield f"layer/{layer + 1}", (hidden,)
    yield "head", model.readout(hidden.detach(), single)


def _read_by(outputs: Sequence[Tensor]) -> list[Tensor]:
    """The weights that outputs were computed from, found in autograd's graph without computing a gradient."""
    pending, seen, weights = [output.grad_fn for output in outputs], set(), []
    while pending:
        node = pending.pop()
        if node is not None and node not in seen:
            seen.add(node)
            weights += [node.variable] if hasattr(node, "variable") else []
            pending += [before for before, _ in node.next_functions]
    return weights


@torch.no_grad()
def redraw(weight: Tensor, seed: int) -> None:
    """Draws a tensor anew, in place, from a normal distribution with its own mean and standard deviation.

    Drawn on the CPU in float32, so that a seed gives the same values on every device and, up to rounding, in every dtype.
    """
    sd, mean = torch.std_mean(weight.float(), correction=0)
    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed)).to(weight.device)
    weight.copy_(noise.mul_(sd).add_(mean))
