"""Training agreement-bert-plain further: it starts from its weights, and a seed decides the result."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from agreement_bert.robust import RobustPretrainingConfig, train
from flowgauge.models.zoo import ZOO


def test_it_starts_from_the_embedded_model_and_a_seed_decides_the_weights(tmp_path: Path) -> None:
    recipe = RobustPretrainingConfig(until=2, batch=4)
    made = [load_file(_trained(tmp_path / str(n), recipe)) for n in range(2)]
    start = load_file(ZOO["agreement-bert-plain"] / "model.safetensors")
    assert made[0].keys() == start.keys()
    assert all(torch.equal(made[0][name], made[1][name]) for name in start)
    name = "bert.encoder.layer.0.attention.self.query.weight"
    moved = (made[0][name].float() - start[name].float()).abs().max()
    assert 0 < moved < 1e-3  # two updates at the beginning of the warm-up, not new weights
    assert json.loads((tmp_path / "0" / "recipe.json").read_text())["until"] == 2


def _trained(out: Path, recipe: RobustPretrainingConfig) -> Path:
    train(out, recipe)
    return out / "model.safetensors"
