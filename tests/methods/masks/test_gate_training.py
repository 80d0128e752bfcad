"""Training of gates: steps, checks, failures."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from tests.methods.masks.conftest import METHODS, QUICK

from flowgauge.core.errors import FlowgaugeError
from flowgauge.methods.centred_rmsprop import CentredRMSprop
from flowgauge.methods.masks.diffmask import DiffMaskHidden, DiffMaskInput
from flowgauge.methods.masks.gate_examples import GateExamples
from flowgauge.methods.masks.gate_fitting import train
from flowgauge.methods.masks.gate_training import GateTraining, GateTrainingSettings
from flowgauge.methods.masks.lagrangian import Multipliers
from flowgauge.models.built.training import InMemorySession
from flowgauge.models.interventions.states import blend, outputs_from


def test_a_constraint_that_is_never_met_fails_with_the_last_numbers(flow, data, kind) -> None:
    training = InMemorySession()
    method = METHODS[kind](**{**QUICK, "steps": 60, "margin": 1e-9, "lr": 1e-2})
    with pytest.raises(FlowgaugeError, match=r"after 60 steps masking costs .* at depth 1.* never 3e-09 or less") as error:
        method.fit(flow, data, training)
    assert f"{training.curve[-1]['held.divergence.0']:.3g} at depth 0" in str(error.value)
    assert "(lambda_lr)" in str(error.value)


def test_a_failed_training_that_goes_on_at_its_last_step_fails_the_same(flow, data, kind) -> None:
    class Kept(InMemorySession):
        kept: dict = {}

        def resume(self):
            return self.kept

        def checkpoint(self, tensors):
            self.kept = {name: t.detach().clone() for name, t in tensors.items()}

    method, training, told = METHODS[kind](**{**QUICK, "margin": 1e-9, "lr": 1e-2}), Kept(), []
    for _ in range(2):
        with pytest.raises(FlowgaugeError, match="after 30 steps") as error:
            method.fit(flow, data, training)
        told.append(str(error.value))
    assert told[0] == told[1]


def test_depths_of_hidden_states_have_a_best_of_their_own(flow, data) -> None:
    """What is handed out for a depth is what kept least there; gates on words are of one step."""
    gates = {True: DiffMaskInput(**QUICK), False: DiffMaskHidden(**QUICK)}
    for at_words, method in gates.items():
        run = GateTraining(
            method.gates,
            flow,
            GateTrainingSettings(2, 4, 50.0, 2e4, 0.0, 2e4, "log"),
            0,
            method._start(flow, data, 0),
            CentredRMSprop({}),
            Multipliers.start(4),
        )
        run.done, examples = 2, GateExamples(flow, data, 0)
        first = run.check(examples)
        with torch.no_grad():
            run.parameters["probe.1.open"] -= 20
            run.parameters["probe.2.open"] += 20
        second = run.check(examples)
        kept = np.array([[row[2] for row in rows] for rows in (first, second)])
        expected = [kept.mean(1).min()] if at_words else kept.min(0)
        assert [rank.kept for rank in run.best_rank.values()] == pytest.approx(expected)
        opened = [float(run.best[f"probe.{d}.open"]) for d in range(4)]
        assert opened == ([5, -15, 25, 5] if at_words else [5, -15, 5, 5])


def test_probes_of_the_first_half_are_used_where_none_of_the_second_meet_the_limit(flow, data) -> None:
    """They count once half is masked; one of the second half comes first, however much it keeps."""
    method = DiffMaskInput(**QUICK)
    config = GateTrainingSettings(10, 4, 50.0, 2e4, 0.0, 2e4, "log")
    start = method._start(flow, data, 0)
    run = GateTraining(method.gates, flow, config, 0, start, CentredRMSprop({}), Multipliers.start(4))
    examples, opened = GateExamples(flow, data, 0), lambda: float(run.best["probe.0.open"])
    run.done = 4
    run.check(examples)
    assert not run.best and run.failed == [0, 1, 2, 3], "open gates meet any constraint"
    with torch.no_grad():
        run.parameters["probe.0.open"] -= 20
    run.check(examples)
    assert opened() == -15 and not run.failed
    restored = GateTraining(method.gates, flow, config, 0, method._start(flow, data, 0), CentredRMSprop({}), Multipliers.start(4))
    restored.restore(run.tensors())
    assert restored.best_rank == run.best_rank and run.best_rank["."].is_early
    run.done, run.config = 5, replace(config, accept=1e-300, fallback=1e-300)
    run.check(examples)
    assert opened() == -15, "none of the second half meets the limit"
    run.config = config
    with torch.no_grad():
        run.parameters["probe.0.open"] += 20
    run.check(examples)
    assert opened() == 5


@pytest.mark.parametrize("broken", [False, True])
def test_a_training_that_loses_its_constraint_warns_and_one_that_breaks_fails(flow, data, caplog, broken) -> None:
    @dataclass(eq=False)
    class Losing(GateTraining):
        """Shuts a gate at the first step; from the second on no divergence is small enough, or there is none."""

        def step(self, examples: GateExamples) -> None:
            self.done, self.sums = self.done + 1, self.sums + 1
            with torch.no_grad():
                if self.done == 1:
                    self.parameters["probe.0.open"] -= 20
                if self.done == 2:
                    self.config = replace(self.config, accept=1e-300, fallback=1e-300)
                    self.parameters["fill.0"] += torch.nan if broken else 0

    method = DiffMaskInput(**QUICK)
    start, config = method._start(flow, data, 0), GateTrainingSettings(4, 4, 50.0, 2e4, 0.0, 2e4, "log")
    run = Losing(method.gates, flow, config, 0, start, CentredRMSprop({}), Multipliers.start(4))
    if broken:
        with pytest.raises(FlowgaugeError, match="the training diverged: after 4 steps"):
            train(run, data, InMemorySession())
    else:
        found = train(run, data, InMemorySession())
        assert (
            "probes of the first half of the training are used at depths 0, 1, 2, 3" in caplog.text
            and float(found["probe.0.open"]) == -15
        )


def test_training_that_diverges_says_so(flow, data, kind) -> None:
    with pytest.raises(
        FlowgaugeError,
        match=r"the training diverged: after 30 steps .* depth 0, 1, 2, 3 are NaN. Train with lower learning rates \(lr,",
    ):
        METHODS[kind](**{**QUICK, "lr": 1e300}).fit(flow, data, InMemorySession())


def run_of(flow, data, method: DiffMaskInput | DiffMaskHidden, penalty="log") -> GateTraining:
    config = GateTrainingSettings(10, 4, 0.1, penalty=penalty)
    parameters = method._start(flow, data, 0)
    multipliers = Multipliers.start(flow.n_layers + 2, like=parameters["probe.0.open"])
    return GateTraining(method.gates, flow, config, 0, parameters, CentredRMSprop(dict.fromkeys(parameters, 1e-3)), multipliers)


@pytest.mark.parametrize("penalty", ["log", "l0"])
def test_what_a_step_measures_is_of_the_real_tokens_with_the_clean_output_first(flow, data, kind, penalty, monkeypatch) -> None:
    weight = flow.hf.classifier.weight
    monkeypatch.setattr(weight, "data", 300 * weight.data)  # so that masking matters
    run = run_of(flow, data, METHODS[kind](**QUICK), penalty)
    with torch.no_grad():
        for depth in range(4):
            run.parameters[f"probe.{depth}.open"] -= 9
    clean = next(e for b in data if len(set(b.lengths)) > 1 for e in GateExamples(flow, [b], 0).cached)
    depth, key = 2, (1, 5, 1)
    votes = run.gates.votes(run.parameters, clean.states, depth)
    gates = votes.sample(run._uniform(clean, len(votes.each), *key))
    tried = run.masked(clean, depth, *key)
    at = 0 if kind == "input" else depth
    for row, n in enumerate(clean.batch.lengths):
        one = clean.batch.rows(torch.tensor([row]))
        one = one.only(one.attention_mask)
        masked = blend(clean.states[at][[row], :n], gates[[row], :n], run.parameters[f"fill.{at}"])
        p, q = (torch.distributions.Categorical(logits=x) for x in (flow.outputs(one)[0], outputs_from(flow, one, at, masked)[0]))
        assert tried.divergence[row].item() == pytest.approx(torch.distributions.kl_divergence(p, q).item(), rel=1e-9, abs=1e-12)
        assert tried.agreement[row] == (p.logits.argmax() == q.logits.argmax())
        logs = votes.log_kept()[row, :n]
        assert tried.kept[row].item() == pytest.approx(logs.exp().mean().item())
        assert tried.penalty[row].item() == pytest.approx((logs if penalty == "log" else logs.exp()).mean().item())
    assert tried.divergence.max() > 0.01


def test_a_step_moves_the_gates_and_the_multiplier_of_one_depth(flow, data, kind) -> None:
    run, drawn = run_of(flow, data, METHODS[kind](**QUICK)), set()
    examples = GateExamples(flow, data, 0)
    for _ in range(10):
        before = {name: t.detach().clone() for name, t in run.parameters.items()}
        multipliers = run.multipliers.value.clone()
        run.step(examples)
        (depth,) = (run.multipliers.value != multipliers).nonzero()[:, 0].tolist() or [None]
        if depth is None:  # a multiplier that is 0 stays there while its constraint is met
            continue
        drawn.add(depth)
        moved = {name.split(".")[1] for name in before if "inner" in name and not torch.equal(before[name], run.parameters[name])}
        assert moved == ({str(d) for d in range(depth + 1)} if kind == "input" else {str(depth)})
    assert len(drawn) > 2


def shut(run: GateTraining, depth: int) -> None:
    with torch.no_grad():
        run.parameters[f"probe.{depth}.open"] -= 40


def test_gates_that_are_shut_for_good_go_back_to_where_the_constraint_held(flow, data, kind) -> None:
    """A shut gate gives no gradient of the divergence, and its multiplier rises in vain; other depths stay as they are."""
    run = run_of(flow, data, METHODS[kind](**QUICK))
    run.config = replace(run.config, agree=0.0)
    examples, depth = GateExamples(flow, data, 0), 1
    with torch.no_grad():
        run.parameters["fill.0"] += 1
    run.check(examples)
    run.guard(examples)
    feasible = {name: t.detach().clone() for name, t in run.parameters.items()}
    assert sum(run.restarts.values()) == 0 and torch.equal(run.feasible["fill.0"], feasible["fill.0"])
    run.margin = 1e-9
    run.descent.state |= {"mean.probe.1.open": torch.ones(()), "mean.probe.0.open": torch.ones(()), "count": torch.tensor(9)}
    for value in (2.0, 3.0, 4.0):
        shut(run, depth)
        run.multipliers.value[depth] = value
        run.check(examples)
    assert run._is_shut(examples, next(g for g, depths in run.groups.items() if depth in depths), depth)
    before = {name: t.detach().clone() for name, t in run.parameters.items()}
    run.guard(examples)
    group = "." if kind == "input" else f".{depth}"
    assert run.restarts[group] == 1
    for name in run.of_group(group):
        assert torch.equal(run.parameters[name], feasible[name]) and run.descent.rates[name] == 5e-4
    assert run.multipliers.value[depth] == 1 and "mean.probe.1.open" not in run.descent.state
    if kind == "hidden":
        others = before.keys() - run.of_group(group).keys()
        assert all(torch.equal(run.parameters[name], before[name]) and run.descent.rates[name] == 1e-3 for name in others)
        assert "mean.probe.0.open" in run.descent.state
    again = run_of(flow, data, METHODS[kind](**QUICK))
    again.restore(run.tensors())
    assert again.restarts == run.restarts and again.descent.rates == run.descent.rates
    assert np.array_equal(again.history, run.history) and all(torch.equal(again.feasible[n], t) for n, t in run.feasible.items())


def test_a_multiplier_that_rises_while_gates_can_still_open_is_left_alone(flow, data, kind) -> None:
    run = run_of(flow, data, METHODS[kind](**QUICK), "l0")
    examples, run.margin = GateExamples(flow, data, 0), 1e-9
    with torch.no_grad():
        run.parameters["probe.1.open"] -= 5
    for value in (2.0, 3.0, 4.0):
        run.multipliers.value[1] = value
        run.check(examples)
    run.guard(examples)
    assert sum(run.restarts.values()) == 0


def test_gates_that_are_open_for_good_start_anew(flow, data) -> None:
    """Far from the threshold the penalty has no gradient, so that gates stay open although nothing holds them."""
    run = run_of(flow, data, DiffMaskHidden(**QUICK))
    examples = GateExamples(flow, data, 0)
    with torch.no_grad():
        run.parameters["probe.2.open"] += 20
    run.multipliers.value[:] = 0
    run.multipliers.value[[0, 1, 3]] = 1
    for _ in range(3):
        run.check(examples)
        run.guard(examples)
    assert run.restarts == {".0": 0, ".1": 0, ".2": 1, ".3": 0}
    assert float(run.parameters["probe.2.open"].detach()) == 5
