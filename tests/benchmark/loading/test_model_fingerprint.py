"""What identifies a model: its weights, its configuration and its tokenizer."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from flowgauge.benchmark.loading.model_fingerprint import LABELS, model_fingerprint
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


def test_the_fingerprint_is_of_the_files_that_are_loaded(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    before = model_fingerprint(str(folder))
    (folder / "stray.safetensors").write_bytes(b"not read")
    assert model_fingerprint(str(folder)) == before == model_fingerprint(str(tiny_model))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    binary = model_fingerprint(str(folder))
    (folder / "pytorch_model.bin").write_bytes(b"other weights")
    assert len({before, binary, model_fingerprint(str(folder))}) == 3, "the stray file is not read in their place"
    (folder / "parts").mkdir()
    (folder / "parts" / "one.safetensors").write_bytes(b"weights")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": "parts/one.safetensors"}}))
    shards = model_fingerprint(str(folder))
    (folder / "parts" / "one.safetensors").write_bytes(b"other weights")
    assert shards is not None and model_fingerprint(str(folder)) not in (shards, None)


def test_fingerprints_of_ordinary_checkpoints_stay_as_they_were(tmp_path: Path) -> None:
    """Keys of old stores hold them: one line a file, weights first, the configuration without its labels, the tokenizer."""
    (tmp_path / "config.json").write_text('{"model_type": "bert", "transformers_version": "4.1"}')
    for name in ("model-00002-of-00002.safetensors", "model-00001-of-00002.safetensors", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    empty, config = (hashlib.sha256(text).hexdigest() for text in (b"{}", b'{"model_type": "bert"}'))
    lines = [*((name, empty) for name in sorted(shards.values())), ("config.json", config), ("tokenizer.json", empty)]
    expected = hashlib.sha256("".join(f"{name}:{digest}\n" for name, digest in lines).encode()).hexdigest()
    assert model_fingerprint(str(tmp_path)) == expected


def test_a_tokenizer_file_for_one_version_of_transformers_is_read(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    (folder / "tokenizer.4.0.0.json").write_text("{}")
    before = model_fingerprint(str(folder))
    stored = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**stored, "fast_tokenizer_files": ["tokenizer.4.0.0.json"]}))
    named = model_fingerprint(str(folder))
    (folder / "tokenizer.4.0.0.json").write_text('{"other": 1}')
    assert len({before, named, model_fingerprint(str(folder))}) == 3


def test_models_whose_outputs_were_taken_for_classes_have_another_fingerprint(tiny_folder, tmp_path: Path) -> None:
    """A store of before would otherwise go on to show a q of 0 for a score."""
    folder = shutil.copytree(tiny_folder("bert", "labels"), tmp_path / "labels")
    before = model_fingerprint(str(folder))
    config = json.loads((folder / "config.json").read_text())
    total = hashlib.sha256()
    for name in ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"):
        kept = {key: value for key, value in config.items() if key not in LABELS}
        text = json.dumps(kept, sort_keys=True).encode() if name == "config.json" else (folder / name).read_bytes()
        if name == "tokenizer_config.json":
            stored = {key: value for key, value in json.loads(text).items() if key not in LABELS}
            text = json.dumps(stored, sort_keys=True).encode()
        total.update(f"{name}:{hashlib.sha256(text).hexdigest()}\n".encode())
    assert before is not None and before != total.hexdigest()
    total.update(b"outputs:multi_label_classification\n")
    assert before == total.hexdigest()
