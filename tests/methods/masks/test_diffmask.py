"""DiffMask: gates, training, resuming, refusals."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from flowgauge.benchmark.store.key import method_key
from flowgauge.core.errors import FlowgaugeError, UsageError
from flowgauge.methods.masks.centred_rmsprop import CentredRMSprop
from flowgauge.methods.masks.diffmask import DiffMaskHidden, DiffMaskInput
from flowgauge.methods.masks.gate_examples import GateExamples
from flowgauge.methods.masks.gate_training import GateTraining, GateTrainingConfig, train
from flowgauge.methods.masks.gates import Gates, may_be_masked
from flowgauge.methods.masks.lagrangian import MOST, Multipliers
from flowgauge.methods.masks.probes import Probes
from flowgauge.models.batch import Rows
from flowgauge.models.built.toy_counting import ToyCounting
from flowgauge.models.built.training import InMemorySession
from flowgauge.models.flow.flow_model import FlowModel
from flowgauge.models.inputs.encode import batches
from flowgauge.models.interventions.states import blend, clean_states, outputs_from
from flowgauge.tasks.registry import load_task

METHODS = {"input": DiffMaskInput, "hidden": DiffMaskHidden}
QUICK = {"steps": 30, "batch": 4, "margin": 50.0, "warmup": 0}


@pytest.fixture(scope="module")
def flow(tiny_flows) -> FlowModel:
    return tiny_flows("bert", "label")


@pytest.fixture(scope="module")
def data(flow, tiny_data):
    instances = load_task(f"sst2:data_dir={tiny_data}").instances("train", None, 0)
    return batches(flow, instances, batch_size=5, labels={"negative": 0, "positive": 1}).batches


@pytest.fixture(params=["input", "hidden"])
def kind(request) -> str:
    return request.param


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


def test_a_margin_that_never_binds_drops_everything(flow, data, kind) -> None:
    training = InMemorySession()
    method = METHODS[kind](steps=400, batch=8, margin=1e4, lr=2e-2, warmup=0)
    made = method.trained(method.fit(flow, data, training)).explain(flow, data[0])
    assert max(one.mask.max() for one in made) < 0.02
    assert training.curve[-1]["kept"] < 0.02
    assert all(row[f"lambda.{d}"] == 0 for row in training.curve[-3:] for d in range(flow.n_layers + 2))


def test_the_readout_s_depth_drops_what_is_not_read(flow, data) -> None:
    """Nothing but [CLS] is read from the last states, so that probes drop all else there, whatever the margin."""
    method = DiffMaskHidden(steps=500, batch=8, margin=0.02, accept=50, lr=1e-2, warmup=0)
    for made in method.trained(method.fit(flow, data, InMemorySession())).explain(flow, data[0]):
        assert made.mask[-1, 1:].max() < 0.05
    last, batch = flow.n_layers + 1, data[0]
    states = clean_states(flow, batch)[last]
    keep = torch.zeros(batch.ids.shape, dtype=torch.float64)
    keep[:, 0] = 1
    assert torch.equal(outputs_from(flow, batch, last, blend(states, keep, 0 * states[0, 0]))[0], flow.outputs(batch)[0])


def test_training_in_pieces_ends_with_the_same_weights(flow, data, kind) -> None:
    class Killed(InMemorySession):
        kept: dict = {}

        def resume(self):
            return dict(self.kept)

        def checkpoint(self, tensors):
            if not self.kept and int(tensors["done"]) == 17:
                type(self).kept = {name: t.detach().clone() for name, t in tensors.items()}
                raise KeyboardInterrupt

    whole = METHODS[kind](**QUICK).fit(flow, data, InMemorySession())
    first = Killed()
    with pytest.raises(KeyboardInterrupt):
        METHODS[kind](**QUICK).fit(flow, data, first)
    pieces = METHODS[kind](**QUICK).fit(flow, data, first)
    assert whole.keys() == pieces.keys()
    assert all(torch.equal(whole[name], pieces[name]) for name in whole)


def test_seeds_differ_and_the_curve_has_every_number(flow, data, kind) -> None:
    one, two = (InMemorySession(seed) for seed in (0, 1))
    weights = [METHODS[kind](**QUICK).fit(flow, data, training)["probe.1.inner"] for training in (one, two)]
    assert not torch.equal(*weights)
    last = one.curve[-1]
    assert {"step", "divergence", "agreement", "kept", "lambda.0", "held.divergence.3", "held.agreement.3", "held.kept.3"} <= set(
        last
    )
    assert last["step"] == 30
    assert all(0 <= row[f"lambda.{d}"] <= MOST for row in one.curve for d in range(4))


def test_a_constraint_that_is_never_met_fails_with_the_last_numbers(flow, data, kind) -> None:
    training = InMemorySession()
    method = METHODS[kind](**{**QUICK, "steps": 60, "margin": 1e-9, "lr": 1e-2})
    with pytest.raises(FlowgaugeError, match=r"after 60 steps masking costs .* at depth 3 .* never 3e-09 or less") as error:
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
            GateTrainingConfig(2, 4, 50.0, 1e6, "log"),
            0,
            method._start(flow, data, 0),
            CentredRMSprop({}),
            Multipliers.start(4),
        )
        run.done, examples = 2, GateExamples.of(flow, data, 0)
        first = run.check(examples)
        with torch.no_grad():
            run.parameters["probe.1.open"] -= 20
            run.parameters["probe.2.open"] += 20
        second = run.check(examples)
        kept = np.array([[row[2] for row in rows] for rows in (first, second)])
        expected = [kept.mean(1).min()] if at_words else kept.min(0)
        assert [kept for _, kept in run.best_rank.values()] == pytest.approx(expected)
        opened = [float(run.best[f"probe.{d}.open"]) for d in range(4)]
        assert opened == ([5, -15, 25, 5] if at_words else [5, -15, 5, 5])


def test_probes_of_the_first_half_are_used_where_none_of_the_second_meet_the_limit(flow, data) -> None:
    """They count once half is masked; one of the second half comes first, however much it keeps."""
    method = DiffMaskInput(**QUICK)
    config = GateTrainingConfig(10, 4, 50.0, 1e6, "log")
    start = method._start(flow, data, 0)
    run = GateTraining(method.gates, flow, config, 0, start, CentredRMSprop({}), Multipliers.start(4))
    examples, opened = GateExamples.of(flow, data, 0), lambda: float(run.best["probe.0.open"])
    run.done = 4
    run.check(examples)
    assert not run.best and run.failed == [0, 1, 2, 3], "open gates meet any constraint"
    with torch.no_grad():
        run.parameters["probe.0.open"] -= 20
    run.check(examples)
    assert opened() == -15 and not run.failed
    restored = GateTraining(method.gates, flow, config, 0, method._start(flow, data, 0), CentredRMSprop({}), Multipliers.start(4))
    restored.restore(run.tensors())
    assert restored.best_rank == run.best_rank and run.best_rank["."][0]
    run.done, run.config = 5, replace(config, limit=-1)
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
                    self.config = replace(self.config, limit=-1)
                    self.parameters["fill.0"] += torch.nan if broken else 0

    method = DiffMaskInput(**QUICK)
    start, config = method._start(flow, data, 0), GateTrainingConfig(4, 4, 50.0, 1e6, "log")
    run = Losing(method.gates, flow, config, 0, start, CentredRMSprop({}), Multipliers.start(4))
    if broken:
        with pytest.raises(FlowgaugeError, match="the training diverged: after 4 steps"):
            train(run, data, InMemorySession())
    else:
        found = train(run, data, InMemorySession())
        assert "probes of the first half are used" in caplog.text and float(found["probe.0.open"]) == -15


def test_a_probe_trained_before_is_used_as_it_is(flow, data, kind, tmp_path) -> None:
    method, path = METHODS[kind](**QUICK), tmp_path / "weights.safetensors"
    weights = method.fit(flow, data, InMemorySession())
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, path)
    given = METHODS[kind](probe=str(path))
    again = given.fit(flow, data, InMemorySession())
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    before = json.dumps(method_key(given))
    save_file({**weights, "fill.0": weights["fill.0"] + 1}, path)
    assert json.dumps(method_key(given)) != before


def test_probes_of_others_are_refused(flow, data, tiny_flows, tmp_path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(DiffMaskHidden(**QUICK).fit(flow, data, InMemorySession()), path)
    refuse = lambda made, model, words: pytest.raises(UsageError, match=words)  # noqa: E731
    with refuse(None, None, "was trained on another model"):
        DiffMaskHidden(probe=str(path)).fit(tiny_flows("bert", "label", 2), data, InMemorySession())
    with refuse(None, None, "inputs of 32; DiffMaskInput .* has 2 and 64"):
        DiffMaskInput(probe=str(path)).fit(flow, data, InMemorySession())
    fewer = {name: t for name, t in DiffMaskHidden(**QUICK).fit(flow, data, InMemorySession()).items() if ".3." not in name}
    save_file(fewer, path)
    with refuse(None, None, "the probes are for 1 layers"):
        DiffMaskHidden(probe=str(path)).fit(flow, data, InMemorySession())
    save_file({"x": torch.zeros(1)}, path)
    with refuse(None, None, "holds no probes of DiffMask"):
        DiffMaskHidden(probe=str(path)).fit(flow, data, InMemorySession())
    path.write_bytes(b"nothing")
    with refuse(None, None, "cannot be read"):
        DiffMaskHidden(probe=str(path)).fit(flow, data, InMemorySession())


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("probe.1.open", None),
        ("fill.1", None),
        ("probe.0.outer", torch.zeros(1, 3)),
        ("fill.0", torch.zeros(3)),
        ("probe.2.bias", torch.full((32,), torch.nan)),
        ("probe.0.inner", torch.zeros(32, 32, dtype=torch.int64)),
    ],
)
def test_damaged_probes_are_refused_by_the_part_that_is(flow, data, tmp_path, name, broken) -> None:
    path = tmp_path / "weights.safetensors"
    whole = {**DiffMaskHidden(**QUICK).fit(flow, data, InMemorySession()), name: broken}
    save_file({name: tensor for name, tensor in whole.items() if tensor is not None}, path)
    with pytest.raises(UsageError, match=f"is damaged: {name} (is missing|has another shape).* Train the probes again"):
        DiffMaskHidden(probe=str(path)).fit(flow, data, InMemorySession())


def test_probes_of_the_other_kind_of_gate_are_refused(flow, data, tmp_path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(DiffMaskHidden(**QUICK, gate="plain").fit(flow, data, InMemorySession()), path)
    with pytest.raises(UsageError, match="was trained with gate=plain, not bounded: add gate=plain"):
        DiffMaskHidden(probe=str(path)).fit(flow, data, InMemorySession())
    assert DiffMaskHidden(probe=str(path), gate="plain").fit(flow, data, InMemorySession())


def test_training_that_diverges_says_so(flow, data, kind) -> None:
    with pytest.raises(
        FlowgaugeError,
        match=r"the training diverged: after 30 steps .* depth 0, 1, 2, 3 are NaN. Train with lower learning rates \(lr,",
    ):
        METHODS[kind](**{**QUICK, "lr": 1e300}).fit(flow, data, InMemorySession())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"steps": 0}, "steps must be above 0"),
        ({"margin": -1.0}, "margin must be above 0"),
        ({"warmup": -1}, "warmup and width must be 0 or more"),
        ({"probe": "nowhere"}, "there is no probe 'nowhere'"),
        ({"baseline": "mask"}, "baseline=mask is a word vector"),
    ],
)
def test_settings_that_cannot_be(settings, said) -> None:
    with pytest.raises(UsageError, match=said):
        DiffMaskHidden(**settings)


@pytest.mark.parametrize("baseline", ["learned", "zero", "mask", "mean"])
def test_what_stands_in(flow, data, baseline) -> None:
    weights = DiffMaskInput(**{**QUICK, "steps": 1, "baseline": baseline, "baseline_lr": 1e-9}).fit(flow, data, InMemorySession())
    words = torch.cat([flow.words(batch)[batch.attention_mask] for batch in data])
    mask = flow.word_embedding.weight[flow.tokenizer.mask_token_id]
    expected = {"learned": mask, "zero": torch.zeros_like(mask), "mask": mask, "mean": words.mean(0)}[baseline]
    torch.testing.assert_close(weights["fill.0"], expected, rtol=1e-6, atol=1e-7)


def test_what_is_learned_stands_in_for_it(flow, data) -> None:
    fixed, learned = (
        DiffMaskHidden(**{**QUICK, "margin": 1e-3, "accept": 1e6, "baseline": baseline}).fit(flow, data, InMemorySession())
        for baseline in ("mean", "learned")
    )
    start = torch.cat([clean_states(flow, batch)[2][batch.attention_mask] for batch in data]).mean(0)
    torch.testing.assert_close(fixed["fill.2"], start)
    assert (learned["fill.2"] - start).abs().max() > 1e-4


@pytest.mark.parametrize("setting", [{"gate": "plain"}, {"penalty": "l0"}])
def test_variants_train(flow, data, setting) -> None:
    method = DiffMaskHidden(**{**QUICK, "steps": 200, "lr": 2e-2, **setting})
    before = DiffMaskHidden(**{**QUICK, "steps": 1, **setting})
    kept = [m.trained(m.fit(flow, data, InMemorySession())).explain(flow, data[0])[0].mask.mean() for m in (before, method)]
    assert kept[1] < kept[0] - 0.2


def test_recurrent_models_and_positions_that_stay(kind) -> None:
    model = ToyCounting()._untrained()
    instances = load_task("toy/counting").instances("train", 40, 0)
    data = batches(model, instances, batch_size=20).batches
    method = METHODS[kind](**QUICK)
    for batch in data:
        free = may_be_masked(model, batch).numpy()
        for row, made in enumerate(method.trained(method.fit(model, data, InMemorySession())).explain(model, batch)):
            assert made.mask.shape == (2, len(made.tokens))
            stays = free[row, : made.mask.shape[1]] == 0
            assert stays.sum() == 2
            assert (made.mask[:, stays] == 1).all() and (made.mask[:, ~stays] < 1).all()
            assert (made.tokens[stays] == 0).all() and (made.tokens[~stays] > 0).all()


def run_of(flow, data, method: DiffMaskInput | DiffMaskHidden, penalty="log") -> GateTraining:
    config = GateTrainingConfig(10, 4, 0.1, 0.3, penalty)
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
    clean = next(e for b in data if len(set(b.lengths)) > 1 for e in GateExamples.of(flow, [b], 0).cached)
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
        assert tried.divergence[row].item() == pytest.approx(torch.distributions.kl_divergence(p, q).item(), abs=1e-12)
        assert tried.agreement[row] == (p.logits.argmax() == q.logits.argmax())
        logs = votes.log_kept()[row, :n]
        assert tried.kept[row].item() == pytest.approx(logs.exp().mean().item())
        assert tried.penalty[row].item() == pytest.approx((logs if penalty == "log" else logs.exp()).mean().item())
    assert tried.divergence.max() > 0.01


def test_a_step_moves_the_gates_and_the_multiplier_of_one_depth(flow, data, kind) -> None:
    run, drawn = run_of(flow, data, METHODS[kind](**QUICK)), set()
    examples = GateExamples.of(flow, data, 0)
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
