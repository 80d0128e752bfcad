"""The identity of a model: the sha256 of its files, so that a finished plan need not load it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ...models.checkpoint_files import local_folder, read_json, weight_files
from ...models.problem_types import stated_problem_type
from ..store.sums import file_sum

TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.txt", "vocab.json", "merges.txt", "*.model",
)  # fmt: skip
LABELS = ("_name_or_path", "name_or_path", "transformers_version", "torch_dtype", "dtype", "tokenizer_file", "vocab_file")
"""Entries of JSON files that change no number (the dtype is a part of the key by itself)."""


def model_fingerprint(source: str, revision: str | None = None) -> str | None:
    """Sha256 of what is loaded of a checkpoint: weight files, configuration and tokenizer; None where they are not all here.

    Args:
        source: A folder or a name on the Hub.
        revision: Branch, tag or commit on the Hub.

    Raises:
        UsageError: A configuration that is not JSON, or a file that is no regular file.
    """
    folder = local_folder(source, revision)
    if folder is None or not (folder / "config.json").is_file():
        return None
    config = read_json(folder / "config.json")
    weights = weight_files(folder, config)
    if not weights or not all(path.is_file() for path in weights):
        return None
    total = hashlib.sha256()
    for path in [
        *weights,
        *(path for pattern in ("config.json", *TOKENIZER) for path in sorted(folder.glob(pattern))),
        *_versions(folder),
    ]:
        digest = _json_sum(path) if path.name.endswith("config.json") else file_sum(path)
        total.update(f"{path.relative_to(folder).as_posix()}:{digest}\n".encode())
    if str((config.get("architectures") or [""])[0]).endswith("ForSequenceClassification"):
        problem, _ = stated_problem_type(config)
        if problem != "single_label_classification":  # such outputs were explained as if they were classes
            total.update(f"outputs:{problem}\n".encode())
    return total.hexdigest()


def _versions(folder: Path) -> list[Path]:
    """Tokenizer files for certain versions of transformers, which `tokenizer_config.json` may name and which are then read."""
    config = folder / "tokenizer_config.json"
    names = read_json(config).get("fast_tokenizer_files") if config.is_file() else None
    listed = {str(name) for name in names} - {"tokenizer.json"} if isinstance(names, list) else set()
    return [path for path in sorted(folder.glob("tokenizer*.json")) if path.name in listed]


def _json_sum(path: Path) -> str:
    """Sha256 of a JSON file without the entries of `LABELS`."""
    kept = {key: value for key, value in read_json(path).items() if key not in LABELS}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
