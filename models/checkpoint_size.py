"""How many weights a checkpoint has, by its configuration and by its files, and whether they fit into memory."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ..core.errors import UsageError
from .checkpoint_files import LARGEST_JSON

GATED = {"gemma2", "gemma3", "gemma3_text", "llama", "mistral", "modernbert", "phi3", "qwen2", "qwen3"}
"""Families whose feed-forward block has a third matrix, the gate."""
BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a weight of each floating-point type that models are loaded in."""
MEMORY_FILES = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
"""Where Linux says how much memory is free: of the machine, and of the group of processes (a container)."""


class DescribedSizes(NamedTuple):
    """Numbers of a configuration: layers, width, words, and at least how many weights it describes."""

    layers: int
    width: int
    words: int
    weights: int


def described(config: Any, stacked: bool = True) -> DescribedSizes:
    """The sizes that a configuration describes.

    The weights are the matrices of attention (with fewer key and value heads where these are grouped) and of the feed-forward
    block, the table of word vectors, and that of positions where there is one; biases and heads are left out.

    Args:
        config: A configuration as transformers reads it, with its defaults and the names of its family (`n_embd` of GPT-2).
        stacked: Whether the layers are those of a transformer; otherwise the tables alone are counted.
    """
    config = config.get_text_config() if hasattr(config, "get_text_config") else config

    def number(*names: str) -> int:
        values = (getattr(config, name, None) for name in names)
        return next((value for value in values if isinstance(value, int) and value), 0)

    layers, width, words = number("num_hidden_layers"), number("hidden_size"), number("vocab_size")
    family = getattr(config, "model_type", "")
    heads = number("num_attention_heads") or 1
    inside, groups = number("head_dim") or width // heads, number("num_key_value_heads") or heads
    inner = number("intermediate_size", "n_inner", "ffn_dim", "hidden_dim") or (4 * width if family == "gpt2" else 0)
    layer = 2 * width * inside * (heads + groups) + (3 if family in GATED else 2) * width * inner
    has_positions = not getattr(config, "rope_parameters", None) and getattr(config, "position_biased_input", True)
    rows = (number("max_position_embeddings") if has_positions else 0) + number("type_vocab_size")
    tables = words * number("embedding_size", "word_embed_proj_dim", "hidden_size")
    tables += rows * number("embedding_size", "hidden_size")
    return DescribedSizes(layers, width, words, (number("num_hidden_groups") or layers) * layer * stacked + tables)


def stored_weights(files: Sequence[Path]) -> int | None:
    """How many numbers files of weights hold, by their headers; None where one of them is no safetensors file.

    Args:
        files: The files that transformers reads.
    """
    total = 0
    for path in files:
        if path.suffix != ".safetensors":
            return None
        try:
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                if length > min(path.stat().st_size, LARGEST_JSON):
                    return None
                entries = json.loads(file.read(length))
            total += sum(math.prod(map(int, e["shape"])) for name, e in entries.items() if name != "__metadata__")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):  # damaged: its reader will say so
            return None
    return total or None


def check_memory(name: str, weights: int, dtype: str, device: str) -> None:
    """Refuses a model whose weights alone do not fit into the memory that is free, before any of them is read.

    Args:
        name: What messages call the model.
        weights: How many it has.
        dtype: The floating-point type that they are loaded in.
        device: The torch device that they go to; they are read on the CPU first.

    Raises:
        UsageError: Says how much is needed and free, and what needs less.
    """
    needed = weights * BYTES[dtype]
    for place in dict.fromkeys(("cpu", device)):
        free = free_memory(place)
        if free is None or needed <= free:
            continue
        smaller = f" --dtype bfloat16 ({_gigabytes(2 * weights)})," if BYTES[dtype] > 2 and 2 * weights <= free else ""
        where = "this machine" if place == "cpu" else f"device {place!r}"
        raise UsageError(
            f"model {name!r} has {weights:,} weights, which take {_gigabytes(needed)} in {dtype}, and {where} has "
            f"{_gigabytes(free)} of memory free: choose{smaller} a smaller model or a larger machine."
        )


def free_memory(device: str) -> int | None:
    """Bytes of memory that are free on a device; None where this cannot be told.

    On Linux it is the least of what the machine and the group of processes have left; caches of files count as free.

    Args:
        device: `cpu`, or another device of torch.
    """
    if device != "cpu":
        import torch

        return int(torch.cuda.mem_get_info(torch.device(device))[0]) if device.startswith("cuda") else None
    machine, group = MEMORY_FILES
    left = [
        1024 * int(line.split()[1])
        for line in _lines(machine)
        if line.startswith("MemAvailable:") and line.split()[1].isdecimal()
    ]
    with suppress(OSError, ValueError):
        used = int((group / "memory.current").read_text())
        caches = sum(int(line.split()[1]) for line in _lines(group / "memory.stat") if line.startswith("inactive_file "))
        left.append(int((group / "memory.max").read_text()) - used + caches)  # `max`, which is no number: no limit
    return min(left, default=None)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
