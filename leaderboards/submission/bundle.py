"""A submission: cells of a store with a manifest of their sums. Data only: JSON, Parquet, safetensors; never pickle, never code.

<bundle>/
    manifest.json                          who, when, with what, and size and sha256 of every other file
    cells/                                 as a store has them, with the fits that trained methods and models rest on
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...benchmark.store.damage import find_damage
from ...benchmark.store.record import FINAL, Record, TrainingRecord, check_schema
from ...benchmark.store.store import Store
from ...core.errors import FlowgaugeError, UnknownName, UsageError, shortened
from ...core.registry import Spec
from ...core.text_files import parse_json
from ...core.version import VERSION

SCHEMA = 1
"""Raised by any change of the manifest that older readers would misread."""
MANIFEST = "manifest.json"
ENDINGS = (".json", ".parquet", ".safetensors")
FIT = ("fit.json", "weights.safetensors")
"""Files of a training that a bundle takes."""
FILE_BYTES, BUNDLE_BYTES, FILES = 2**31, 2**35, 200_000
"""The most bytes of one file, the most bytes of a bundle, and the most files."""
MANIFEST_BYTES = 2**28
PART = re.compile(r"[A-Za-z0-9._+@=-]{1,200}")


class BadBundle(FlowgaugeError):
    """Raised at a bundle that breaks the rules; the text says which file and which rule."""


class BundledFile(BaseModel):
    """One file of a bundle."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0, le=FILE_BYTES)


class BundleManifest(BaseModel):
    """The manifest of a bundle: who submits it, and the size and sha256 of every file.

    Attributes:
        schema_version: `SCHEMA` when written.
        submitter: A name to show, in the submitter's words.
        note: Free text of the submitter.
        created: Time of packing, ISO 8601.
        flowgauge: The version that packed it.
        files: By path below the bundle.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    schema_version: int = SCHEMA
    kind: Literal["flowgauge-bundle"] = "flowgauge-bundle"
    submitter: str = Field(min_length=1, max_length=200, pattern=r"\S")
    note: str = Field(default="", max_length=2000)
    created: str
    flowgauge: str
    files: dict[str, BundledFile]


def pack(
    url: str,
    out: str | Path,
    submitter: str,
    note: str = "",
    tasks: Sequence[str] = (),
    methods: Sequence[str] = (),
    only: Collection[Record] | None = None,
) -> BundleManifest:
    """Copies finished cells of a store on this machine into a new bundle, and what says that a method is not applicable.

    Args:
        url: The store.
        out: A folder that does not exist yet, or is empty.
        submitter: A name to show.
        note: Free text.
        tasks: Only these.
        methods: Only these.
        only: Records of the only cells that are packed, such as those of a plan; None: all.

    Returns:
        The manifest as written.

    Raises:
        UsageError: No such store, task or method, nothing finished, or a folder that holds something.
    """
    store, out = Store(url), Path(out).expanduser()
    if out.name in ("", ".."):
        raise UsageError(f"{str(out)!r} does not name a folder: choose another --out, such as bundle.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is there already and not empty: choose another --out.")
    named = None if only is None else {(record.model, record.task, record.folder) for record in only}
    records = [r for r in store.records() if r.status in FINAL and (named is None or (r.model, r.task, r.folder) in named)]
    for kind, names in (("task", tasks), ("method", methods)):
        known = {getattr(record, kind) for record in records}
        for name in names:
            if name not in known:
                raise UnknownName(f"{kind} with finished cells in this store", name, known)
    chosen = [r for r in records if (not tasks or r.task in tasks) and (not methods or r.method in methods)]
    if not chosen:
        raise UsageError(f"{url!r} has no finished cells to submit: `flowgauge run` adds some.")
    for cell in map(store.find, chosen):
        for name, fault in find_damage(cell).items():
            raise UsageError(f"{cell.path}/{name} {fault}, so that nothing is packed. {cell.remedy}")
    folder = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        files = {path: _copy(store, source, folder / path) for source, path in _files_of(store, chosen)}
        manifest = _manifest(submitter, note, files)
        (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
        if out.exists():
            out.rmdir()
        folder.rename(out)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}; choose another --out.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return manifest


def _files_of(store: Store, records: Sequence[Record]) -> Iterator[tuple[str, str]]:
    """Each file of the records' cells in the store, and its path in the bundle."""
    root = store.files.root
    for record in records:
        cell = store.find(record)
        names = ["record.json", *(name for name in record.files if name.endswith(ENDINGS))]
        yield from ((f"{cell.path}/{name}", f"cells{cell.path.removeprefix(root)}/{name}") for name in names)
    for path in store.files.below(f"{root}/fits"):
        folder, _, name = path.rpartition("/")
        if name == FIT[0] and _is_used(store.files.read(path) or b"", records):
            yield from ((f"{folder}/{name}", f"cells{folder.removeprefix(root)}/{name}") for name in FIT)


def _is_used(fit: bytes, records: Sequence[Record]) -> bool:
    """Whether a training was finished and one of the cells rests on it."""
    try:
        training = TrainingRecord.model_validate_json(fit)
    except ValidationError:
        return False
    return training.status == "done" and any(rests_on(record, training.key) for record in records)


def name_of_training(key: Mapping[str, Any]) -> str:
    """What was trained under a key: a model or a method."""
    return str(key.get("model") or dict(key.get("method") or {}).get("name"))


def rests_on(record: Record, key: Mapping[str, Any]) -> bool:
    """Whether the model or the method of a cell was trained under a key."""
    if "model" in key:
        return bool(Spec.parse(record.asked.get("model", "")).name == key["model"])
    return bool(key) and all(name in record.key and record.key[name] == value for name, value in key.items())


def _copy(store: Store, source: str, target: Path) -> BundledFile:
    data = store.files.read(source)
    if data is None:
        raise UsageError(f"{source} is missing: run its plan again.")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return BundledFile(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))


def _manifest(submitter: str, note: str, files: dict[str, BundledFile]) -> BundleManifest:
    try:
        return BundleManifest(
            submitter=submitter, note=note, created=datetime.now(UTC).isoformat(timespec="seconds"), flowgauge=VERSION,
            files=files,
        )  # fmt: skip
    except ValidationError as error:
        fault = error.errors()[0]
        name = {"submitter": "name"}.get(str(fault["loc"][0]), fault["loc"][0])
        raise UsageError(f"the bundle cannot be described: {name}: {fault['msg']}.") from error


@dataclass(frozen=True)
class BundleCopy:
    """A private copy of a bundle, in which every file has the sum that the manifest gives it.

    Attributes:
        folder: Where it is.
        manifest: Its manifest.
        digest: Sha256 of the manifest.
    """

    folder: Path
    manifest: BundleManifest
    digest: str


@contextmanager
def private_copy(bundle: str | Path) -> Iterator[BundleCopy]:
    """Copies the files that a bundle's manifest names to a folder of this user alone, deleted at the end.

    Whatever happens to the bundle meanwhile, what is verified is then what is merged.

    Raises:
        UsageError: There is no bundle.
        BadBundle: As for `read_manifest`, or a file has another sum than the manifest gives it.
    """
    bundle = Path(bundle)
    manifest, data = _read_manifest(bundle)
    with TemporaryDirectory(prefix="flowgauge-bundle-") as folder:
        for name, kept in manifest.files.items():
            _copy_checked(bundle / name, Path(folder) / name, name, kept)
        yield BundleCopy(Path(folder), manifest, hashlib.sha256(data).hexdigest())


def read_manifest(folder: str | Path) -> BundleManifest:
    """Reads the manifest of a bundle and checks everything that can be checked without opening another file.

    Args:
        folder: The bundle.

    Raises:
        UsageError: There is no such folder, or none with a manifest.
        BadBundle: The manifest is of a newer schema, a path leaves the bundle, or a file is a link or a device, not listed,
            missing, of another kind or too large.
    """
    return _read_manifest(Path(folder))[0]


def _read_manifest(folder: Path) -> tuple[BundleManifest, bytes]:
    path = folder / MANIFEST
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}: name one that `flowgauge leaderboard submit` wrote.")
    if not os.path.lexists(path):
        raise UsageError(
            f"{folder} has no {MANIFEST}, so it is no bundle: `flowgauge leaderboard submit STORE --out BUNDLE --name YOU` packs "
            "the cells of a store into one."
        )
    with _open_plain(path, MANIFEST) as file:
        data = file.read(MANIFEST_BYTES + 1)
    if len(data) > MANIFEST_BYTES:
        raise BadBundle(f"{path} has more than {MANIFEST_BYTES >> 20} MiB.")
    try:
        stored = parse_json(data)
        check_schema(int(stored.get("schema_version", 0)) if isinstance(stored, dict) else 0, SCHEMA, path, BadBundle)
        manifest = BundleManifest.model_validate(stored)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadBundle(f"{path} is not a manifest: it is cut or damaged. Copy the bundle again, or pack it again.") from error
    except (ValueError, TypeError, OverflowError, RecursionError, ValidationError) as error:
        raise BadBundle(f"{path} is not a manifest: {shortened(str(error), 300)}") from error
    _check_files(folder, manifest)
    return manifest, data


def _check_files(folder: Path, manifest: BundleManifest) -> None:
    if len(manifest.files) > FILES or sum(kept.bytes for kept in manifest.files.values()) > BUNDLE_BYTES:
        raise BadBundle(f"{folder} lists more than {FILES} files or {BUNDLE_BYTES >> 30} GiB.")
    for name in manifest.files:
        _check_name(name)
    there = dict(_walk(folder))
    there.pop(MANIFEST)
    extra, missing = sorted(there.keys() - manifest.files.keys()), sorted(manifest.files.keys() - there.keys())
    if extra or missing:
        raise BadBundle(f"{folder}: {f'{extra[0]!r} is not in the manifest' if extra else f'{missing[0]!r} is missing'}.")
    for name, size in there.items():
        if size != manifest.files[name].bytes:
            raise BadBundle(f"{name} has {size} bytes, the manifest says {manifest.files[name].bytes}.")


def _check_name(name: str) -> None:
    """A path of plain names below `cells/` that ends like data."""
    parts = name.split("/")
    plain = all(PART.fullmatch(part) and set(part) != {"."} for part in parts)
    if parts[1:2] == ["fits"]:  # a cell may not hide here: files below fits/ are not checked against a record
        known = len(parts) == 4 and parts[3] in FIT
    else:
        known = parts[-1] == "record.json" or parts[-2:-1] in (["explanations"], ["scores"])
    if not plain or parts[0] != "cells" or len(parts) < 4 or not name.endswith(ENDINGS) or not known:
        raise BadBundle(
            f"the manifest names {name[:200]!r}: expected cells/<model>/<task>/<cell>/... ending in {', '.join(ENDINGS)}, or "
            f"cells/fits/<name>/ with {' and '.join(FIT)}."
        )


def _walk(folder: Path) -> Iterator[tuple[str, int]]:
    """Path and size of every plain file; links and devices are refused, and never followed."""
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                info = entry.stat(follow_symlinks=False)
                name = Path(entry.path).relative_to(folder).as_posix()
                if stat.S_ISDIR(info.st_mode):
                    waiting.append(Path(entry.path))
                elif stat.S_ISREG(info.st_mode):
                    yield name, info.st_size
                else:
                    raise BadBundle(f"{name[:200]!r} is neither a plain file nor a folder; links are not taken.")


def _open_plain(path: Path, name: str) -> BinaryIO:
    """Opens a plain file for reading; a link is not followed, and a pipe or a device is not waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise BadBundle(f"{name} cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadBundle(f"{name} is no plain file.")
    return open(descriptor, "rb")


def _copy_checked(source: Path, target: Path, name: str, kept: BundledFile) -> None:
    """Copies a file of a bundle, which must have the size and the sum of the manifest."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with _open_plain(source, name) as file, target.open("wb") as copy:
        while size <= kept.bytes and (data := file.read(2**24)):
            digest.update(data)
            size += copy.write(data)
    if size != kept.bytes or digest.hexdigest() != kept.sha256:
        raise BadBundle(f"{name} has another sha256 than the manifest says.")
