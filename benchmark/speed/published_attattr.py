"""What attention attribution costs beside the algorithm as published, for `flowgauge speed`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from ...models.batch import Batch
    from ...models.flow.flow_model import FlowModel

TOKENS, STEPS = 32, 20
LITERAL = "attattr as published"
"""Every layer and step through the whole network, by autograd through the scaled attention: the unit of the rows of `attattr`."""


def attattr_jobs(device: Any, shape: dict[str, int]) -> dict[str, tuple[Callable[[Batch], object], list[Batch]]]:
    """What is timed, on one sentence without padding and a random classifier: the literal algorithm, ours, and fewer steps."""
    from ...methods.gradients.attattr import AttAttr

    model = _model(device, shape)
    ours, few = AttAttr(steps=STEPS), AttAttr(rule="gauss-legendre", steps=6)
    jobs: dict[str, Callable[[Batch], object]] = {
        LITERAL: lambda batch: literal(model, batch, STEPS),
        f"attattr, {STEPS} steps": lambda batch: ours.explain(model, batch),
        "attattr, 6 Gauss-Legendre steps": lambda batch: few.explain(model, batch),
    }
    return {name: (job, [_batch(model)]) for name, job in jobs.items()}


def literal(model: FlowModel, batch: Batch, steps: int) -> Tensor:
    """The published algorithm (B, L, A, N, N): all steps of a layer as one batch from the words on, one layer after the other."""
    import torch

    from ...models.batch import Rows
    from ...models.outputs import value

    asked = replace(batch, quantity=replace(batch.quantity, form="probability"), cache={})
    rows = torch.arange(len(batch), device=model.device).repeat_interleave(steps)
    nodes = torch.arange(1, steps + 1, device=model.device, dtype=model.dtype) / steps
    alpha = nodes.repeat(len(batch))[:, None, None, None]
    with torch.no_grad():
        (clean,) = model.run(Rows(asked, model.embed(model.words(asked), asked)), keep={"attention"})
    repeated, layers = asked.rows(rows), []
    for layer in range(model.n_layers):
        weights = clean.site("attention", layer)
        leaf = (alpha * weights[rows]).requires_grad_(True)
        edit = lambda number, given, layer=layer, leaf=leaf: leaf if number == layer else given  # noqa: E731
        hidden = model.embed(model.words(repeated), repeated)
        (trace,) = model.run(Rows(repeated, hidden, edits={"attention": edit}))
        output = value(model.readout(trace.site("hidden", model.n_layers), repeated), repeated)
        (gradient,) = torch.autograd.grad(output.sum(), leaf)
        layers.append(weights * gradient.unflatten(0, (len(batch), steps)).mean(1))
    return torch.stack(layers, 1)


def _model(device: Any, shape: dict[str, int]) -> FlowModel:
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from ...models.flow.flow_model import FlowModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FlowModel(BertForSequenceClassification(BertConfig(**shape)).to(device), None, "bert-small classifier (random)")


def _batch(model: FlowModel) -> Batch:
    import torch

    from ...models.batch import Batch

    ids = torch.randint(1000, 30000, (1, TOKENS), generator=torch.Generator().manual_seed(0)).to(model.device)
    zeros = torch.zeros_like(ids[:, :1])
    return Batch(
        ids=ids, attention_mask=torch.ones_like(ids, dtype=torch.bool), token_type_ids=torch.zeros_like(ids),
        word_ids=torch.zeros_like(ids)[..., None].expand(-1, -1, 2), answer=zeros, against=zeros + 1, target=zeros[:, 0],
        names=("0",), seeds=(0,),
    )  # fmt: skip
