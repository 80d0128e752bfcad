"""Which model it is, as the sha256 of its files. No torch, so that a finished plan costs nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ...core.errors import UsageError

WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
"""In the order in which transformers prefers them."""
TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.txt", "vocab.json", "merges.txt", "*.model",
)  # fmt: skip
LABELS = ("_name_or_path", "name_or_path", "transformers_version", "torch_dtype", "dtype", "tokenizer_file", "vocab_file")
"""Entries of JSON files that change no number (the dtype is a part of the key by itself)."""


def model_fingerprint(source: str, revision: str | None = None) -> str | None:
    """Sha256 over a checkpoint's weight files, configuration and tokenizer; None where it is not on this machine yet.

    Args:
        source: A folder or a name on the Hub.
        revision: Branch, tag or commit on the Hub.

    Raises:
        UsageError: A configuration that is no JSON.
    """
    folder = Path(source).expanduser() if Path(source).expanduser().is_dir() else _snapshot(source, revision)
    if folder is None:
        return None
    weights = next((found for pattern in WEIGHTS if (found := sorted(folder.glob(pattern)))), None)
    if weights is None:
        return None
    total = hashlib.sha256()
    for path in [*weights, *(found for pattern in ("config.json", *TOKENIZER) for found in sorted(folder.glob(pattern)))]:
        total.update(f"{path.name}:{_json_sum(path) if path.name.endswith('config.json') else _file_sum(path)}\n".encode())
    return total.hexdigest()


def _json_sum(path: Path) -> str:
    """Sha256 of a JSON file without its labels."""
    try:
        kept = {key: value for key, value in json.loads(path.read_bytes()).items() if key not in LABELS}
    except (ValueError, AttributeError) as error:
        raise UsageError(
            f"{path} is damaged, no JSON object can be read from it ({error}): copy the checkpoint again."
        ) from error
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _file_sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _snapshot(name: str, revision: str | None) -> Path | None:
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(name, revision=revision, local_files_only=True))
    except Exception:  # every way of not being there (no cache, no such name) means the same: load it first
        return None
