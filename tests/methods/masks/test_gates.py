"""Gates on words and states against their formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from tests.methods.masks.conftest import METHODS, QUICK

from flowgauge.methods.masks.gates import Gates
from flowgauge.methods.masks.probes import Probes
from flowgauge.models.batch import Rows
from flowgauge.models.built.training import InMemorySession
from flowgauge.models.flow.flow_model import FlowModel
from flowgauge.models.interventions.states import blend, clean_states


def open_gates(flow: FlowModel, at_words: bool) -> tuple[Gates, dict[str, torch.Tensor]]:
    gates = Gates(Probes(), at_words)
    words = flow.word_embedding.embedding_dim
    like = torch.zeros((), dtype=torch.float64)
    parameters = gates.probes.start(gates.inputs(flow, words), 8, torch.Generator().manual_seed(0), like)
    fills = {f"fill.{d}": torch.ones(words if d == 0 else flow.width, dtype=torch.float64) for d in range(flow.n_layers + 2)}
    return gates, {**parameters, **fills}


def test_open_gates_change_nothing_and_shut_ones_leave_nothing_of_the_words(flow, data, kind) -> None:
    gates, parameters = open_gates(flow, kind == "input")
    batch = data[-1]
    states, clean = clean_states(flow, batch), flow.outputs(batch)[0]
    other = replace(batch, ids=batch.ids.flip(1), cache={})
    for depth in range(flow.n_layers + 2):
        keep = torch.ones(batch.ids.shape, dtype=torch.float64)
        assert torch.equal(gates.outputs(flow, batch, states, depth, keep, parameters)[0], clean)
        shut = [
            gates.outputs(flow, one, clean_states(flow, one), depth, 0 * keep, parameters)[0] for one in (batch, other)
        ]  # fmt: skip
        assert torch.equal(*shut)
        assert not torch.allclose(shut[0], clean)


def test_masked_states_run_on_as_an_edit_of_the_whole_pass_does(flow, data) -> None:
    gates, parameters = open_gates(flow, False)
    batch = data[0]
    states = clean_states(flow, batch)
    keep = torch.rand(batch.ids.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for depth in range(1, flow.n_layers + 2):
        edit = lambda layer, value, at=depth: blend(value, keep, parameters[f"fill.{at}"]) if layer == at - 1 else value  # noqa: E731
        (trace,) = flow.run(Rows(batch, states[1], 0, {"hidden": edit}))
        whole = flow.readout(trace.site("hidden", flow.n_layers), batch)[0]
        torch.testing.assert_close(gates.outputs(flow, batch, states, depth, keep, parameters)[0], whole)


def test_gates_are_the_formulas(flow, data, kind) -> None:
    """From the weights alone: the network, weight norm, the votes' product, E[z] of each vote."""
    method = METHODS[kind](**QUICK)
    weights = method.fit(flow, data, InMemorySession())
    batch = data[0]
    states = clean_states(flow, batch)
    logs = []
    for depth, state in enumerate(states):
        seen = torch.cat([states[0], state], -1) if kind == "input" else state
        get = lambda name, d=depth: weights[f"probe.{d}.{name}"]  # noqa: E731
        inner, outer = (torch._weight_norm(get(n), get(f"{n}.size"), 0) for n in ("inner", "outer"))
        log_alpha = 10 * torch.tanh(torch.tanh(seen @ inner.T + get("bias")) @ outer.T)[..., 0] + get("open")
        logs.append(torch.nn.functional.logsigmoid(log_alpha + 0.2 * np.log(5)))
    kept = torch.stack(logs).cumsum(0).exp() if kind == "input" else torch.stack(logs).exp()
    for row, made in enumerate(method.trained(weights).explain(flow, batch)):
        np.testing.assert_allclose(made.mask, kept[:, row, : made.mask.shape[1]], rtol=1e-6)
        np.testing.assert_allclose(made.tokens, made.mask.sum(0))
        assert (made.gate <= made.mask).all()
        assert made.fill.shape == ((1 if kind == "input" else flow.n_layers + 2), states[0].shape[-1])
        if kind == "input":
            assert (made.mask[1:] <= made.mask[:-1]).all()
