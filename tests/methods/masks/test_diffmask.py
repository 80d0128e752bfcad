"""DiffMask: gates, training, resuming, refusals."""

from __future__ import annotations

import json
from functools import cache

import pytest
import torch
from safetensors.torch import save_file
from tests.methods.masks.conftest import METHODS, QUICK

from flowgauge.benchmark.store.key import method_key
from flowgauge.core.errors import UsageError
from flowgauge.methods.masks.diffmask import DiffMaskHidden, DiffMaskInput
from flowgauge.methods.masks.gates import may_be_masked
from flowgauge.methods.masks.lagrangian import MOST
from flowgauge.models.built.toy_counting import ToyCounting
from flowgauge.models.built.training import InMemorySession
from flowgauge.models.inputs.encode import batches
from flowgauge.models.interventions.states import blend, clean_states, outputs_from
from flowgauge.tasks.registry import load_task


@pytest.fixture(scope="module")
def quick_fit(flow, data):
    """`quick_fit(kind)`: the session and the weights of a short training; each kind is trained once, so copy what is changed."""

    @cache
    def fit(kind: str):
        training = InMemorySession()
        return training, METHODS[kind](**QUICK).fit(flow, data, training)

    return fit


def test_a_margin_that_never_binds_drops_everything(flow, data, kind) -> None:
    training = InMemorySession()
    method = METHODS[kind](steps=400, batch=8, margin=1e4, agree=0.0, lr=2e-2, warmup=0)
    made = method.trained(method.fit(flow, data, training)).explain(flow, data[0])
    assert max(one.mask.max() for one in made) < 0.02
    assert training.curve[-1]["kept"] < 0.02
    assert all(row[f"lambda.{d}"] == 0 for row in training.curve[-3:] for d in range(flow.n_layers + 2))


def test_the_readout_s_depth_drops_what_is_not_read(flow, data) -> None:
    """Nothing but [CLS] is read from the last states, so that probes drop all else there, whatever the margin."""
    method = DiffMaskHidden(steps=500, batch=8, margin=0.02, fallback=50, lr=1e-2, warmup=0)
    for made in method.trained(method.fit(flow, data, InMemorySession())).explain(flow, data[0]):
        assert made.mask[-1, 1:].max() < 0.05
    last, batch = flow.n_layers + 1, data[0]
    states = clean_states(flow, batch)[last]
    keep = torch.zeros(batch.ids.shape, dtype=torch.float64)
    keep[:, 0] = 1
    assert torch.equal(outputs_from(flow, batch, last, blend(states, keep, 0 * states[0, 0]))[0], flow.outputs(batch)[0])


def test_training_in_pieces_ends_with_the_same_weights(flow, data, kind, quick_fit) -> None:
    class Killed(InMemorySession):
        kept: dict = {}

        def resume(self):
            return dict(self.kept)

        def checkpoint(self, tensors):
            if not self.kept and int(tensors["done"]) == 17:
                type(self).kept = {name: t.detach().clone() for name, t in tensors.items()}
                raise KeyboardInterrupt

    _, whole = quick_fit(kind)
    first = Killed()
    with pytest.raises(KeyboardInterrupt):
        METHODS[kind](**QUICK).fit(flow, data, first)
    pieces = METHODS[kind](**QUICK).fit(flow, data, first)
    assert whole.keys() == pieces.keys()
    assert all(torch.equal(whole[name], pieces[name]) for name in whole)


def test_seeds_differ_and_the_curve_has_every_number(flow, data, kind, quick_fit) -> None:
    one, weights = quick_fit(kind)
    other = METHODS[kind](**QUICK).fit(flow, data, InMemorySession(1))
    assert not torch.equal(weights["probe.1.inner"], other["probe.1.inner"])
    last = one.curve[-1]
    assert {"step", "divergence", "agreement", "kept", "lambda.0", "held.divergence.3", "held.agreement.3", "held.kept.3"} <= set(
        last
    )
    assert last["step"] == 30
    assert all(0 <= row[f"lambda.{d}"] <= MOST for row in one.curve for d in range(4))


def test_a_probe_trained_before_is_used_as_it_is(flow, data, kind, tmp_path, quick_fit) -> None:
    path, (_, weights) = tmp_path / "weights.safetensors", quick_fit(kind)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, path)
    given = METHODS[kind](probe=str(path))
    again = given.fit(flow, data, InMemorySession())
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert [one.values["margin"] for one in given.trained(again).explain(flow, data[0])] == [
        pytest.approx(QUICK["margin"])
    ] * len(data[0])
    before = json.dumps(method_key(given))
    save_file({**weights, "fill.0": weights["fill.0"] + 1}, path)
    assert json.dumps(method_key(given)) != before


def test_probes_of_others_are_refused(flow, data, tiny_flows, tmp_path, quick_fit) -> None:
    path, (_, weights) = tmp_path / "weights.safetensors", quick_fit("hidden")
    save_file(weights, path)
    refuse = lambda made, model, words: pytest.raises(UsageError, match=words)  # noqa: E731
    with refuse(None, None, "was trained on another model"):
        DiffMaskHidden(probe=str(path)).fit(tiny_flows("bert", "label", 2), data, InMemorySession())
    with refuse(None, None, "inputs of 32; DiffMaskInput .* has 2 and 64"):
        DiffMaskInput(probe=str(path)).fit(flow, data, InMemorySession())
    fewer = {name: t for name, t in weights.items() if ".3." not in name}
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
def test_damaged_probes_are_refused_by_the_part_that_is(flow, data, tmp_path, name, broken, quick_fit) -> None:
    path = tmp_path / "weights.safetensors"
    whole = {**quick_fit("hidden")[1], name: broken}
    save_file({name: tensor for name, tensor in whole.items() if tensor is not None}, path)
    with pytest.raises(UsageError, match=f"is damaged: {name} (is missing|has another shape).* Train the probes again"):
        DiffMaskHidden(probe=str(path)).fit(flow, data, InMemorySession())


def test_probes_of_the_other_kind_of_gate_are_refused(flow, data, tmp_path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(DiffMaskHidden(**QUICK, gate="plain").fit(flow, data, InMemorySession()), path)
    with pytest.raises(UsageError, match="was trained with gate=plain, not bounded: add gate=plain"):
        DiffMaskHidden(probe=str(path)).fit(flow, data, InMemorySession())
    assert DiffMaskHidden(probe=str(path), gate="plain").fit(flow, data, InMemorySession())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"steps": 0}, "steps must be above 0"),
        ({"margin": -1.0}, "margin must be above 0"),
        ({"margin": "flips:0"}, "margin must be a number"),
        ({"agree": 1.5}, "agree must be at most 1"),
        ({"accept": 4.0}, r"fallback must be at least accept \(4 margins\), got 3"),
        ({"warmup": -1}, "warmup must be at least 0"),
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
        DiffMaskHidden(**{**QUICK, "margin": 1e-3, "accept": 1e6, "fallback": 1e6, "baseline": baseline}).fit(
            flow, data, InMemorySession()
        )
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
    trained = method.trained(method.fit(model, data, InMemorySession()))
    for batch in data:
        free = may_be_masked(model, batch).numpy()
        for row, made in enumerate(trained.explain(model, batch)):
            assert made.mask.shape == (2, len(made.tokens))
            stays = free[row, : made.mask.shape[1]] == 0
            assert stays.sum() == 2
            assert (made.mask[:, stays] == 1).all() and (made.mask[:, ~stays] < 1).all()
            assert (made.tokens[stays] == 0).all() and (made.tokens[~stays] > 0).all()
