"""Faithfulness of circuits on a small model: ends, halves, controls, what is published, and what is not applicable."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.circuits.circuit_faithfulness import SHARES, CircuitDistance, CircuitPerformance, area
from flowgauge.models.circuits.interchange import circuit_values
from flowgauge.models.circuits.passes import counterpart_of, graph_of
from flowgauge.models.outputs import value


@pytest.fixture
def paired(model, make):
    """Eight sentences; text and counterpart are exchanged where that makes the effect positive."""
    batch = make.batch(model, [6, 6, 5, 4, 6, 5, 4, 6])
    other = batch.ids.clone()
    other[:, 1] = (other[:, 1] + 9) % 30 + 5
    batch = replace(batch, counterpart=other)
    gain = value(model.outputs(batch), batch) - value(model.outputs(counterpart_of(batch)), batch)
    turn = (gain < 0)[:, None]
    return replace(batch, ids=torch.where(turn, other, batch.ids), counterpart=torch.where(turn, batch.ids, other))


def explained(model, make, batch, seed=0, **more):
    rng, edges = np.random.default_rng(seed), graph_of(model).edges()
    return make.by_hand(model, batch, [Explanation(circuit=rng.normal(size=edges.shape) * edges, **more) for _ in batch.names])


def test_the_whole_circuit_is_the_model_for_every_line(model, make, paired, value_of) -> None:
    scores = CircuitPerformance().score(model, [explained(model, make, paired)], None)
    gain = value(model.outputs(paired), paired) - value(model.outputs(counterpart_of(paired)), paired)
    for row, name in enumerate(paired.names):
        for line in ("task", "instance", "random"):
            assert value_of(scores, f"{line}/100", name) == pytest.approx(float(gain[row] / gain.mean()), rel=1e-9)
    assert value_of(scores, "task/100") == pytest.approx(1, rel=1e-12)
    distance = CircuitDistance().score(model, [explained(model, make, paired)], None)
    corpus = {a.variant: a.value for a in distance.aggregates}["task/area/corpus"]
    assert 0 <= corpus <= value_of(distance, "task/area") + 1e-12


def test_values_are_those_of_the_circuits_by_hand(model, make, paired, value_of) -> None:
    case, graph = explained(model, make, paired), graph_of(model)
    edges = graph.edges()
    whole, empty = (value(model.outputs(rows), paired) for rows in (paired, counterpart_of(paired)))
    for metric, ranked in ((CircuitPerformance(), lambda x: x), (CircuitPerformance(select="absolute"), np.abs)):
        scores = metric.score(model, [case], None)
        curve = []
        for share in SHARES:
            count = int(share * edges.sum())
            kept = np.zeros((len(paired), 1, *edges.shape), bool)
            for row, explanation in enumerate(case.gold):
                order = np.argsort(-np.where(edges, ranked(explanation.circuit), -np.inf).ravel(), kind="stable")
                kept[row, 0].reshape(-1)[order[:count]] = True
            q = circuit_values(model, paired, torch.from_numpy(kept))[:, 0]
            curve.append(float(((q - empty) / (whole - empty).mean()).mean()))
            assert value_of(scores, f"instance/{100 * share:g}") == pytest.approx(curve[-1], rel=1e-9, abs=1e-9)
        assert value_of(scores, "instance/area") == pytest.approx(area(np.array(curve)), rel=1e-9, abs=1e-9)


def test_no_instance_is_scored_with_a_circuit_that_it_took_part_in(model, make, paired) -> None:
    """A circuit that only one instance has changes the rows of the other half, and not its own."""
    case = explained(model, make, paired)
    other = explained(model, make, paired, seed=1)
    changed = replace(case, gold=(other.gold[0], *case.gold[1:]), predicted=(other.gold[0], *case.gold[1:]))
    before, after = (
        CircuitPerformance().score(model, [batch], None).rows.query("variant == 'task/area'").set_index("instance").value
        for batch in (case, changed)
    )
    own = paired.names[0]
    assert before[own] == after[own]
    assert (before != after).sum() == len(paired) // 2


def test_batches_make_no_difference(model, make, paired) -> None:
    case = explained(model, make, paired)
    rows = [torch.arange(3), torch.arange(3, 8)]
    parts = [make.by_hand(model, paired.rows(part), [case.gold[i] for i in part.tolist()]) for part in rows]
    parts = [replace(p, instances=tuple(case.instances[i] for i in part.tolist())) for p, part in zip(parts, rows, strict=True)]
    once, apart = (
        CircuitDistance().score(model, batches, None).rows.set_index(["instance", "variant", "draw"]).value.sort_index()
        for batches in ([case], parts)
    )
    assert once.to_numpy() == pytest.approx(apart.to_numpy(), rel=1e-9, abs=1e-12)


def test_what_has_no_circuit_or_no_counterpart_is_not_applicable(model, make, paired) -> None:
    tokens = make.by_hand(model, paired, [Explanation(tokens=np.ones(n)) for n in paired.lengths])
    with pytest.raises(NotApplicable, match="gives tokens, from which no circuit of edges can be read"):
        CircuitPerformance().score(model, [tokens], None)
    with pytest.raises(NotApplicable, match="no text here has a counterpart"):
        CircuitPerformance().score(model, [explained(model, make, replace(paired, counterpart=None))], None)


def test_a_model_without_the_effect_is_undefined_with_the_reason(model, make, paired) -> None:
    same = replace(paired, counterpart=paired.ids)
    scores = CircuitPerformance().score(model, [explained(model, make, same)], None)
    assert scores.rows["value"].isna().all() and scores.rows["reason"].str.contains("nothing to keep").all()
