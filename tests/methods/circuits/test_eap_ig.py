"""Circuit methods: their views, their limits and how they agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.circuits.conftest import any_model, paired

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.methods.circuits.eap_ig import AttributionPatching, EapIg
from flowgauge.methods.circuits.patching import EdgePatching
from flowgauge.methods.views import head_scores
from flowgauge.models.circuits.circuit_graph import CircuitGraph
from flowgauge.models.circuits.passes import run_plain
from flowgauge.models.inputs.encode import encode
from flowgauge.models.outputs import value
from flowgauge.models.registry import MODELS
from flowgauge.tasks.planted import SKIP, PlantedTask
from flowgauge.tasks.registry import load_task

__all__ = ["any_model", "paired"]


def test_one_published_step_is_attribution_patching(any_model, paired) -> None:
    batch = paired(any_model)
    one, patching = EapIg(steps=1).explain(any_model, batch), AttributionPatching().explain(any_model, batch)
    for a, b in zip(one, patching, strict=True):
        assert np.array_equal(a.circuit, b.circuit) and np.array_equal(a.nodes, b.nodes)
        assert a.circuit.shape == CircuitGraph(3, 4).shape and np.abs(a.circuit).max() > 0


def test_heads_of_a_circuit_are_attribution_patching_of_their_outputs(any_model, paired) -> None:
    """Against automatic differentiation of the output of the heads, which is Nanda's definition."""
    batch = paired(any_model)
    (written, stream), (other, _) = (
        run_plain(any_model, rows, any_model.embed(any_model.words(rows), rows).requires_grad_(True))
        for rows in (batch, replace(batch, ids=batch.counterpart, cache={}))
    )
    q = value(any_model.readout(stream.fed[-1], batch), batch)
    grads = torch.autograd.grad(q.sum(), written.attended)
    for row, explanation in enumerate(AttributionPatching().explain(any_model, batch)):
        wanted = [
            ((a - b) * grad[:, :, None])[row].sum((0, 2)) for a, b, grad in zip(written.heads, other.heads, grads, strict=True)
        ]
        assert head_scores(explanation) == pytest.approx(torch.stack(wanted).detach().numpy(), rel=1e-8, abs=1e-12)


def test_midpoints_are_complete_and_words_that_are_the_same_score_nothing(any_model, paired) -> None:
    batch = paired(any_model)
    for row, explanation in enumerate(EapIg(steps=100, points="midpoint").explain(any_model, batch)):
        assert explanation.values["completeness_error"] < 1e-3
        same = (batch.ids[row] == batch.counterpart[row])[: batch.lengths[row]].numpy()
        assert not explanation.tokens[same].any() and np.abs(explanation.tokens[~same]).max() > 0
        assert explanation.circuit[0].sum() == pytest.approx(explanation.tokens.sum())


@pytest.mark.parametrize("plugin", [AttributionPatching(), EapIg(), EdgePatching()])
@pytest.mark.parametrize("spec", ["planted/relay", "planted/skip", "planted/relay:depth=3,routes=3,seed=2"])
def test_the_planted_circuit_of_a_bert_is_found(spec, plugin) -> None:
    """From the embedding by the values of the heads on the planted path to the logits, and next to nothing else."""
    task = load_task(spec)
    assert isinstance(task, PlantedTask)
    model = MODELS.create(task.model).build({}).to(torch.device("cpu"), torch.float64)
    instances = task.instances("test", 4, 0)
    graph = CircuitGraph(model.n_layers, model.n_heads)
    readers = list(graph.readers())
    for instance, explanation in zip(instances, plugin.explain(model, encode(model, instances, task.quantity)), strict=True):
        writer, planted = 0, set[tuple[int, int]]()
        heads: Any = instance.truth["heads"]
        for layer, head in enumerate(heads):
            if head != SKIP:
                planted.add((writer, readers.index(f"layer {layer + 1} head {head + 1} value")))
                writer = graph.head_writers(layer).start + head
        planted.add((writer, len(readers) - 1))
        strongest = np.argsort(-np.abs(explanation.circuit), axis=None)[: len(planted)]
        assert {tuple(map(int, np.unravel_index(i, graph.shape))) for i in strongest} == planted
        rest = np.abs(explanation.circuit).sum() - sum(abs(explanation.circuit[edge]) for edge in planted)
        assert rest < 0.01 * min(explanation.circuit[edge] for edge in planted)


def test_instances_do_not_depend_on_their_batch(any_model, paired) -> None:
    batch = paired(any_model)
    whole = EapIg().explain(any_model, batch)
    for row in range(3):
        (one,) = EapIg().explain(any_model, batch.rows(torch.tensor([row])))
        assert one.circuit == pytest.approx(whole[row].circuit, rel=1e-8, abs=1e-12)


def test_what_cannot_be_computed_is_refused(models, batches) -> None:
    with pytest.raises(NotApplicable, match="no text here has a counterpart"):
        EapIg().explain(models(), batches(models(), [4]))
    with pytest.raises(UsageError, match="steps"):
        EapIg(steps=0)
    with pytest.raises(UsageError, match="points"):
        EapIg(points="left")  # type: ignore[arg-type]
