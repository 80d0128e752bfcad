"""The files of a Hugging Face checkpoint that transformers reads, in its order; found without torch and without their weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import UsageError, in_words
from ..core.text_files import lies_inside

LARGEST_JSON = 2**26
"""Most bytes of a configuration or an index."""
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Files of weights in the order in which transformers 5 looks for them: the first that is there is read, and no other."""


def local_folder(source: str, revision: str | None = None) -> Path | None:
    """The folder of a checkpoint on this machine: the folder itself, or the snapshot of a Hub model in the cache; else None.

    Args:
        source: A folder or a name on the Hub.
        revision: Branch, tag or commit on the Hub.

    Raises:
        UsageError: A file of the folder is no regular file.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        try:
            from huggingface_hub import snapshot_download

            folder = Path(snapshot_download(source, revision=revision, local_files_only=True))
        except Exception:  # a missing cache and an unknown name mean the same here: nothing of it is on this machine
            return None
    check_regular(sorted(folder.iterdir()))
    return folder


def check_regular(paths: list[Path]) -> None:
    """Refuses pipes, sockets and devices, which a reader would wait for without end.

    Raises:
        UsageError: Names the first.
    """
    for path in paths:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise UsageError(
                f"{path} is no regular file but a pipe, socket or device, and is not read: copy the checkpoint again."
            )


def read_json(path: Path, largest: int = LARGEST_JSON, what: str = "JSON object") -> dict[str, Any]:
    """The JSON object of a file of a checkpoint.

    Args:
        path: The file.
        largest: The most bytes that it may have.
        what: What messages say is read from it.

    Raises:
        UsageError: The file cannot be read, is too large for its purpose, or holds no JSON object.
    """
    try:
        if path.stat().st_size > largest:
            raise UsageError(
                f"{path} has {path.stat().st_size:,} bytes, expected at most {largest:,}: copy the checkpoint again."
            )
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} is damaged, no {what} can be read from it ({in_words(error)}): copy the checkpoint again."
        ) from error
    if not isinstance(value, dict):
        raise UsageError(f"{path} is damaged, no {what} can be read from it: copy the checkpoint again.")
    return value


def weight_files(folder: Path, config: Mapping[str, Any]) -> tuple[Path, ...]:
    """The files of weights that transformers reads: one, or the shards that its index names; none where there are no weights.

    A folder may hold others, such as those of other frameworks or a stray copy: they are not read.

    Args:
        folder: The folder of the checkpoint.
        config: Its configuration, which may name the file of weights (`transformers_weights`).

    Raises:
        UsageError: An index that is damaged or names a file outside the folder, a file that is no regular file.
    """
    names = (str(config["transformers_weights"]),) if config.get("transformers_weights") else WEIGHTS
    first = next((name for name in names if (folder / name).is_file()), None)
    if first is None:
        return ()
    shards = [first]
    if first.endswith(".index.json"):
        weight_map = read_json(folder / first).get("weight_map")
        if not isinstance(weight_map, dict):
            raise UsageError(f"{folder / first} is damaged, it has no weight_map: copy the checkpoint again.")
        shards = sorted({str(shard) for shard in weight_map.values()})
    for shard in shards:
        if not lies_inside(shard):
            raise UsageError(
                f"{folder} names the file of weights {shard[:200]!r}, which lies outside it: copy the checkpoint again."
            )
    paths = [folder / shard for shard in shards]
    check_regular(paths)
    return tuple(paths)
