"""Which files of a checkpoint are read: those that transformers reads, in its order, and no other."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from flowgauge.core.errors import UsageError
from flowgauge.models.checkpoint_files import check_regular, local_folder, read_json, weight_files


def files(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"{}")


def index(folder: Path, name: str, *shards: str) -> None:
    (folder / name).write_text(json.dumps({"metadata": {}, "weight_map": {f"w{i}": shard for i, shard in enumerate(shards)}}))


def test_the_first_file_of_weights_in_the_order_of_the_loader_is_read(tmp_path: Path) -> None:
    def names(**config: str) -> list[str]:
        return [path.relative_to(tmp_path).as_posix() for path in weight_files(tmp_path, config)]

    files(tmp_path, "stray.safetensors", "flax_model.msgpack")
    assert names() == []
    index(tmp_path, "pytorch_model.bin.index.json", "parts/b.bin", "parts/a.bin", "parts/b.bin")
    assert names() == ["parts/a.bin", "parts/b.bin"]
    files(tmp_path, "pytorch_model.bin")
    assert names() == ["pytorch_model.bin"]
    index(tmp_path, "model.safetensors.index.json", "one.safetensors")
    assert names() == ["one.safetensors"]
    files(tmp_path, "model.safetensors")
    assert names() == ["model.safetensors"]
    assert names(transformers_weights="stray.safetensors") == ["stray.safetensors"]


def test_shards_outside_the_folder_and_broken_indexes_are_refused(tmp_path: Path) -> None:
    for shard in ("../one.safetensors", "/etc/passwd"):
        index(tmp_path, "model.safetensors.index.json", shard)
        with pytest.raises(UsageError, match="which lies outside it"):
            weight_files(tmp_path, {})
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(UsageError, match="has no weight_map"):
        weight_files(tmp_path, {})
    index(tmp_path, "model.safetensors.index.json", "pipe.safetensors")
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(UsageError, match="is no regular file"):
        weight_files(tmp_path, {})


def test_json_is_bounded_and_an_object(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for text in ("[1]", "{", "[" * 100_000):
        path.write_text(text)
        with pytest.raises(UsageError, match="is damaged, no JSON object can be read from it"):
            read_json(path)
    path.write_text('{"model_type": "bert"}')
    with pytest.raises(UsageError, match="has 22 bytes, expected at most 10"):
        read_json(path, 10)
    with pytest.raises(UsageError, match=r"cannot read .*absent\.json: No such file"):
        read_json(tmp_path / "absent.json")


def test_a_folder_is_its_own_and_an_unknown_name_has_none(tmp_path: Path) -> None:
    assert local_folder(str(tmp_path)) == tmp_path
    assert local_folder("a-model-that-is-nowhere") is None
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    check_regular(sorted(tmp_path.iterdir()))
    (tmp_path / "zeros").symlink_to("/dev/zero")
    with pytest.raises(UsageError, match="zeros is no regular file"):
        local_folder(str(tmp_path))
