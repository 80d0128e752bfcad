"""What identifies a model: its weights, its configuration and its tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from flowgauge.benchmark.store.model_fingerprint import model_fingerprint
from flowgauge.core.errors import UsageError


def test_a_damaged_configuration_is_named(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text("{")
    with pytest.raises(UsageError, match=r"config.json is damaged, no JSON object"):
        model_fingerprint(str(tmp_path / "model"))


def test_fingerprint_sees_weights_and_configuration(tiny_model: Path, tmp_path: Path) -> None:
    def copy(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for file in tiny_model.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        return folder

    same, config, weights = copy("same"), copy("config"), copy("weights")
    text = (config / "config.json").read_text()
    (config / "config.json").write_text(text.replace('"layer_norm_eps": 1e-12', '"layer_norm_eps": 1e-6'))
    data = bytearray((weights / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (weights / "model.safetensors").write_bytes(data)
    first = model_fingerprint(str(tiny_model))
    assert first is not None and model_fingerprint(str(same)) == first
    assert len({first, model_fingerprint(str(config)), model_fingerprint(str(weights))}) == 3


@pytest.mark.parametrize("name", ["tokenizer_config.json", "vocab.json", "merges.txt", "config.json"])
def test_the_model_is_another_when_a_file_that_moves_tokens_is(tiny_model, tmp_path, name) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    before = model_fingerprint(str(folder))
    stored = json.loads((folder / name).read_text()) if (folder / name).exists() and name.endswith(".json") else {}
    (folder / name).write_text(json.dumps({**stored, "do_lower_case": "other"}))
    assert model_fingerprint(str(folder)) != before == model_fingerprint(str(tiny_model))
