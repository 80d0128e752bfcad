"""Attention attribution as published (Hao et al. 2021), which `flowgauge speed` compares the method `attattr` with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification

from ....methods.gradients.attattr import AttAttr
from ....models.batch import Batch, Rows
from ....models.flow.flow_model import FlowModel
from ....models.outputs import value

TOKENS, STEPS = 32, 20
LITERAL = "attattr as published"
"""The unit of the rows of `attattr`: every layer and step runs through the whole network, with autograd through the attention."""


def attattr_jobs(device: Any, shape: dict[str, int]) -> dict[str, tuple[Callable[[Batch], object], list[Batch]]]:
    """The jobs, on one sentence without padding and a random classifier: as published, by `attattr`, and with fewer steps.

    Args:
        device: A torch device.
        shape: Settings of the classifier's configuration.

    Returns:
        A function and the batches that it runs on, by the name of the row.
    """
    model = random_model(BertForSequenceClassification, shape, device, None, "bert-small classifier (random)")
    same_steps, few_steps = AttAttr(steps=STEPS), AttAttr(rule="gauss-legendre", steps=6)
    jobs: dict[str, Callable[[Batch], object]] = {
        LITERAL: lambda batch: literal(model, batch, STEPS),
        f"attattr, {STEPS} steps": lambda batch: same_steps.explain(model, batch),
        "attattr, 6 Gauss-Legendre steps": lambda batch: few_steps.explain(model, batch),
    }
    return {name: (job, [batch_of(random_ids(model, 1, TOKENS), 0, 1, 0)]) for name, job in jobs.items()}


def literal(model: FlowModel, batch: Batch, steps: int) -> Tensor:
    """The published algorithm: all steps of a layer as one batch from the words on, one layer after the other.

    Args:
        model: A classifier.
        batch: Instances without padding.
        steps: Steps of the Riemann sum.

    Returns:
        Scores of the attention weights (batch, layers, heads, to, from).
    """
    batch = replace(batch, quantity=replace(batch.quantity, form="probability"), cache={})
    rows = torch.arange(len(batch), device=model.device).repeat_interleave(steps)
    nodes = torch.arange(1, steps + 1, device=model.device, dtype=model.dtype) / steps
    alpha = nodes.repeat(len(batch))[:, None, None, None]
    with torch.no_grad():
        (clean,) = model.run(Rows(batch, model.embed(model.words(batch), batch)), keep={"attention"})
    repeated, layers = batch.rows(rows), []
    for layer in range(model.n_layers):
        weights = clean.site("attention", layer)
        leaf = (alpha * weights[rows]).requires_grad_(True)
        edit = lambda index, weights, layer=layer, leaf=leaf: leaf if index == layer else weights  # noqa: E731
        hidden = model.embed(model.words(repeated), repeated)
        (trace,) = model.run(Rows(repeated, hidden, edits={"attention": edit}))
        output = value(model.readout(trace.site("hidden", model.n_layers), repeated), repeated)
        (gradient,) = torch.autograd.grad(output.sum(), leaf)
        layers.append(weights * gradient.unflatten(0, (len(batch), steps)).mean(1))
    return torch.stack(layers, 1)


def random_model(kind: Any, shape: dict[str, int], device: Any, tokenizer: Any, name: str) -> FlowModel:
    """A BERT with random weights.

    Args:
        kind: Its class in transformers.
        shape: Settings of its configuration.
        device: A torch device.
        tokenizer: What stands for its tokenizer.
        name: Its name.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FlowModel(kind(BertConfig(**shape)).to(device), tokenizer, name)


def random_ids(model: FlowModel, sentences: int, tokens: int) -> Tensor:
    """Token ids of random sentences (sentences, tokens)."""
    return torch.randint(1000, 30000, (sentences, tokens), generator=torch.Generator().manual_seed(0)).to(model.device)


def batch_of(ids: Tensor, answer: int, against: int, target: int, pairwise: bool = False) -> Batch:
    """Sentences without padding as a batch, all with the same question."""
    answers, others, targets = (torch.full_like(ids[:, :1], output) for output in (answer, against, target))
    return Batch(
        ids=ids, attention_mask=torch.ones_like(ids, dtype=torch.bool), token_type_ids=torch.zeros_like(ids),
        word_ids=torch.zeros_like(ids)[..., None].expand(-1, -1, 2), answer=answers, against=others, target=targets[:, 0],
        names=tuple(map(str, range(len(ids)))), seeds=tuple(range(len(ids))), pairwise=pairwise,
    )  # fmt: skip
