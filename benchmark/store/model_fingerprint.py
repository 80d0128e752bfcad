"""The identity of a model: the sha256 of its files, so that a finished plan need not load it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ...core.errors import UsageError

WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
"""Weight files, in the order in which transformers prefers them."""
TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.txt", "vocab.json", "merges.txt", "*.model",
)  # fmt: skip
LABELS = ("_name_or_path", "name_or_path", "transformers_version", "torch_dtype", "dtype", "tokenizer_file", "vocab_file")
"""Entries of JSON files that change no number (the dtype is a part of the key by itself)."""


def model_fingerprint(source: str, revision: str | None = None) -> str | None:
    """Sha256 of a checkpoint's weight files, configuration and tokenizer; None where it is not on this machine.

    Args:
        source: A folder or a name on the Hub.
        revision: Branch, tag or commit on the Hub.

    Raises:
        UsageError: A configuration that is not JSON.
    """
    folder = Path(source).expanduser() if Path(source).expanduser().is_dir() else _snapshot(source, revision)
    if folder is None:
        return None
    weights = next((paths for pattern in WEIGHTS if (paths := sorted(folder.glob(pattern)))), None)
    if weights is None:
        return None
    total = hashlib.sha256()
    for path in [*weights, *(path for pattern in ("config.json", *TOKENIZER) for path in sorted(folder.glob(pattern)))]:
        total.update(f"{path.name}:{_json_sum(path) if path.name.endswith('config.json') else _file_sum(path)}\n".encode())
    return total.hexdigest()


def _json_sum(path: Path) -> str:
    """Sha256 of a JSON file without the entries of `LABELS`."""
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
    """The folder of a Hub model in the local cache; None where it is not there."""
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(name, revision=revision, local_files_only=True))
    except Exception:  # a missing cache and an unknown name mean the same here: the model has to be loaded first
        return None
