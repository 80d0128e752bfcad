"""Weights drawn anew part by part: which ones, with what moments, on a copy."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from flowgauge.models.interventions.random_weights import cascade, parts, redraw

TOP_DOWN = ["head", "layer/3", "layer/2", "layer/1", "embeddings"]


def changed(before, after) -> set[str]:
    return {name for name, weight in after.named_parameters() if not torch.equal(weight, before[name])}


def copied(hf) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in hf.named_parameters()}


@pytest.mark.parametrize(
    ("family", "head", "stem", "tops"),
    [
        ("bert", "label", "bert.encoder.layer.{}.", ("classifier.", "bert.pooler.")),
        ("gpt2", "next", "transformer.h.{}.", ("transformer.ln_f.",)),
        ("llama", "label", "model.layers.{}.", ("score.", "model.norm.")),
        ("modernbert", "masked", "model.layers.{}.", ("head.", "decoder.bias", "model.final_norm.")),
    ],
)
def test_every_stage_changes_its_own_part(models, batches, family, head, stem, tops):
    model = models(family, head)
    spread = {n for n, w in model.hf.named_parameters() if w.numel() > 1 and w.std() > 0}
    before, stages = copied(model.hf), []
    for stage, randomised in cascade(model, batches(model, [5, 4]), 0):
        moved = changed(before, randomised.hf)
        before = copied(randomised.hf)
        stages.append(stage)
        if stage.startswith("layer/"):
            expected = {name for name in spread if name.startswith(stem.format(int(stage[6:]) - 1))}
        else:
            layers = tuple(stem.format(n) for n in range(3))
            above = {name for name in spread if name.startswith(tops)}
            expected = above if stage == "head" else {n for n in spread if not n.startswith(layers)} - above
        assert moved == expected, stage
    assert stages == TOP_DOWN


def test_shared_layers_are_drawn_once_with_the_lowest(models, batches):
    model = models("albert")
    assert [stage for stage, _ in cascade(model, batches(model, [5]), 0)] == ["head", "layer/1", "embeddings"]


def test_every_stage_changes_the_outputs_and_the_model_itself_stays(models, batches):
    model = models("bert")
    batch, before = batches(model, [6, 4]), copied(model.hf)
    outputs = [model.outputs(batch)[0]]
    outputs += [randomised.outputs(batch)[0] for _, randomised in cascade(model, batch, 0)]
    for one, other in pairwise(outputs):
        assert (one - other).abs().max() > 0.1
    assert changed(before, model.hf) == set() and torch.equal(model.outputs(batch)[0], outputs[0])
    assert not any(weight.requires_grad for weight in model.parameters())


def test_the_draw_depends_on_the_seed_alone(models, batches):
    model = models("gpt2")
    one, again, other = (
        [copied(randomised.hf) for _, randomised in cascade(model, batches(model, lengths), seed)][-1]
        for lengths, seed in (([6, 4], 0), ([3], 0), ([6, 4], 1))
    )
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["transformer.wte.weight"], other["transformer.wte.weight"])
    assert not torch.equal(one["transformer.h.0.ln_1.weight"], one["transformer.h.1.ln_1.weight"])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_new_values_have_the_mean_and_spread_of_the_old(dtype):
    weight = (torch.randn(200, 300, dtype=torch.float64) * 0.5 + 3).to(dtype)
    old = weight.clone()
    redraw(weight, 5)
    assert weight.dtype is dtype and float(weight.double().mean()) == pytest.approx(float(old.double().mean()), abs=0.01)
    assert float(weight.double().std()) == pytest.approx(0.5, rel=0.01)
    assert abs(torch.corrcoef(torch.stack([old.flatten().double(), weight.flatten().double()]))[0, 1]) < 0.02
    noise = torch.randn(200, 300, generator=torch.Generator().manual_seed(5)).double()
    expected = old.double().mean() + old.double().std(correction=0) * noise
    assert float((weight.double() - expected).abs().max()) < (0.02 if dtype is torch.bfloat16 else 1e-5)


def test_tensors_without_spread_stay():
    weight = torch.full((40,), 0.1, dtype=torch.float32)
    redraw(weight, 1)
    assert torch.allclose(weight, torch.tensor(0.1), rtol=1e-6)
    single = torch.tensor([2.0])
    redraw(single, 1)
    assert single.item() == 2.0


def test_parts_take_no_gradients_afterwards(models, batches):
    model = models("bert")
    owned = dict(parts(model, batches(model, [4])))
    assert list(owned) == TOP_DOWN and not any(weight.requires_grad for weight in model.parameters())
    names = {id(weight): name for name, weight in model.hf.named_parameters()}
    assert "bert.embeddings.word_embeddings.weight" in {names[id(weight)] for weight in owned["embeddings"]}
