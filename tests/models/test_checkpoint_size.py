"""Sizes of checkpoints: at most as many weights as the model has, exactly as many as its file, and memory that has to be free."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    AlbertConfig,
    AutoModel,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    Gemma2Config,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    ModernBertConfig,
    MPNetConfig,
    OPTConfig,
    Qwen2Config,
    Qwen3Config,
)

from flowgauge.core.errors import UsageError
from flowgauge.models import checkpoint_size
from flowgauge.models.checkpoint_size import check_memory, described, free_memory, stored_weights
from flowgauge.models.load import load_model

SMALL = {"vocab_size": 500, "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 160}
GROUPED = {**SMALL, "num_key_value_heads": 2}
CONFIGS = [
    GPT2Config(vocab_size=500, n_embd=64, n_layer=3, n_head=4, n_positions=90),
    GPT2Config(vocab_size=500, n_embd=64, n_layer=3, n_head=4, n_inner=70, n_positions=90),
    LlamaConfig(**GROUPED, max_position_embeddings=100_000),
    MistralConfig(**GROUPED),
    Qwen2Config(**GROUPED),
    Qwen3Config(**GROUPED, head_dim=32),
    Gemma2Config(**GROUPED, head_dim=32),
    GPTNeoXConfig(**SMALL),
    OPTConfig(vocab_size=500, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, ffn_dim=160, word_embed_proj_dim=32),
    BertConfig(**SMALL),
    DistilBertConfig(vocab_size=500, dim=64, n_layers=3, n_heads=4, hidden_dim=160),
    ElectraConfig(**SMALL, embedding_size=32),
    AlbertConfig(**SMALL, embedding_size=32),
    MPNetConfig(**SMALL),
    DebertaV2Config(**SMALL),
    ModernBertConfig(**SMALL, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.model_type)
def test_a_configuration_describes_nearly_all_weights_of_its_model_and_never_more(config: Any) -> None:
    with torch.device("meta"):
        model = AutoModel.from_config(config)
    count = sum(weight.numel() for weight in model.parameters())
    sizes = described(config)
    assert 0.88 * count <= sizes.weights <= count
    assert sizes[:3] == (3, 64, 500)
    assert described(config, stacked=False).weights < sizes.weights


def test_files_are_counted_by_their_headers(tmp_path: Path) -> None:
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_file({"x": torch.zeros(3, 4), "y": torch.zeros(5)}, first, metadata={"format": "pt"})
    save_file({"z": torch.zeros(())}, second)
    assert stored_weights([first]) == 17 and stored_weights([first, second]) == 18
    assert stored_weights([first, tmp_path / "pytorch_model.bin"]) is None
    assert stored_weights([tmp_path / "none.safetensors"]) is None and stored_weights([]) is None
    for damage in (b"", b"\xff" * 40, (9).to_bytes(8, "little") + b'{"x": 1}}', (2).to_bytes(8, "little") + b"[]"):
        second.write_bytes(damage)
        assert stored_weights([first, second]) is None


@pytest.mark.parametrize(
    ("dtype", "free", "said"),
    [
        ("float32", 3e9, r"1,000,000,000 weights, which take 4\.0 GB in float32, and this machine has 3\.0 GB of memory free: "
         r"choose --dtype bfloat16 \(2\.0 GB\), a smaller model or a larger machine"),
        ("float32", 1e9, "has 1.0 GB of memory free: choose a smaller model"),
        ("float64", 7e9, "take 8.0 GB in float64.*--dtype bfloat16"),
        ("float16", 1.9e9, "take 2.0 GB in float16.* free: choose a smaller model"),
    ],
)  # fmt: skip
def test_more_weights_than_memory_are_refused_with_what_needs_less(
    monkeypatch: pytest.MonkeyPatch, dtype: str, free: float, said: str
) -> None:
    monkeypatch.setattr(checkpoint_size, "free_memory", lambda device: int(free))
    with pytest.raises(UsageError, match=said):
        check_memory("m", 10**9, dtype, "cpu")
    check_memory("m", int(free) // checkpoint_size.BYTES[dtype], dtype, "cpu")


def test_a_device_has_memory_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    free = {"cpu": None, "cuda": 10**6, "mps": None}
    monkeypatch.setattr(checkpoint_size, "free_memory", free.get)
    check_memory("m", 10**9, "float32", "cpu")
    check_memory("m", 10**9, "float32", "mps")
    with pytest.raises(UsageError, match=r"and device 'cuda' has 0\.0 GB of memory free"):
        check_memory("m", 10**9, "float32", "cuda")


@pytest.mark.parametrize(
    ("machine", "group", "free"),
    [
        ("MemTotal: 9 kB\nMemAvailable:   7 kB\n", {}, 7168),
        ("MemAvailable: 7 kB\n", {"memory.max": "max", "memory.current": "5"}, 7168),
        ("MemAvailable: 7 kB\n", {"memory.max": "6000", "memory.current": "5000"}, 1000),
        (
            "MemAvailable: 7 kB\n",
            {"memory.max": "6000", "memory.current": "5000", "memory.stat": "anon 9\ninactive_file 400"},
            1400,
        ),
        ("", {}, None),
    ],
)
def test_free_memory_is_what_machine_and_container_have_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, group: dict[str, str], free: int | None
) -> None:
    (tmp_path / "meminfo").write_text(machine)
    for name, text in group.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(checkpoint_size, "MEMORY_FILES", (tmp_path / "meminfo", tmp_path))
    assert free_memory("cpu") == free


def test_what_this_machine_has_free_is_known_on_linux() -> None:
    free = free_memory("cpu")
    assert free is None if not Path("/proc/meminfo").exists() else free is not None and free > 0
    assert free_memory("mps") is None


def test_a_model_that_is_too_large_is_refused_before_its_weights_are_read(
    tiny_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_folder("bert", "masked"), tmp_path / "huge"))
    count = 10**13
    header = json.dumps({"x": {"dtype": "F16", "shape": [count], "data_offsets": [0, 2 * count]}}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        os.truncate(file.fileno(), 10**9)  # of which the disk holds next to nothing
    with pytest.raises(UsageError, match=r"has 10,000,000,000,000 weights, which take 40000\.0 GB in float32"):
        load_model(str(folder))
