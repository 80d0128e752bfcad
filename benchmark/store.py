"""Cells on disk or in a bucket: every file appears whole or not at all. No torch.

<store>/<model>/<task>/<method>-<12 hex>/
    record.json                            written last
    explanations/00064.safetensors         one a batch, named after the number of its first instance
    scores/<metric>@<version>.parquet      one row an (instance, variant, draw)
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from ..core.errors import FlowgaugeError, UsageError
from ..methods.explanation import Explanation
from . import explanation_io
from .explanation_io import DamagedPart, Part, Sentence
from .record import SCHEMA, Record, Score

RECORD = "record.json"


def safe_name(text: str) -> str:
    """A model or task name as folders: `/` separates, anything unusual becomes `_`, nothing points upwards.

    >>> safe_name("sva/obj"), safe_name("../my pairs.tsv")
    ('sva/obj', '_/my_pairs.tsv')
    """
    parts = [re.sub(r"[^A-Za-z0-9._+@=-]", "_", part) for part in text.split("/") if part]
    return "/".join("_" if set(part) == {"."} else part for part in parts) or "_"


class Store:
    """A folder of cells.

    Args:
        url: A path or any fsspec URL (`s3://bucket/results`, `memory://x`).
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self.fs, self.root = fsspec.core.url_to_fs(os.path.expanduser(url) if "://" not in url else url)
        except (ImportError, ValueError, OSError) as error:
            raise UsageError(f"cannot open the store {url!r}: {error}") from error
        self.root = self.root.rstrip("/")

    def cell(self, model: str, task: str, folder: str) -> Cell:
        """The cell of a model and a task in `<method>-<12 hex>`; it need not exist yet."""
        return Cell(self, f"{self.root}/{safe_name(model)}/{safe_name(task)}/{safe_name(folder).replace('/', '_')}")

    def cells(self) -> list[Cell]:
        """Every cell with a record, in the order of their paths.

        Raises:
            UsageError: There is no such store.
        """
        if not self.fs.isdir(self.root):
            raise UsageError(f"there is no store at {self.url!r}; `flowgauge run ... --store {self.url}` makes one.")
        found = self.fs.find(self.root)
        return [Cell(self, path.rpartition("/")[0]) for path in sorted(found) if path.endswith(f"/{RECORD}")]

    def records(self) -> list[Record]:
        """The record of every cell."""
        return [record for cell in self.cells() if (record := cell.record()) is not None]

    def find(self, record: Record) -> Cell:
        """The cell a record belongs to."""
        return self.cell(record.model, record.task, record.folder)

    def check_writable(self) -> None:
        """Makes the store's folder and a file in it.

        Raises:
            UsageError: It cannot be written.
        """
        probe = f"{self.root}/.writable-{uuid.uuid4().hex}"
        self.write(probe, b"")
        self.fs.rm_file(probe)

    def read(self, path: str) -> bytes | None:
        """A file's bytes, None where there is no such file."""
        try:
            data: bytes = self.fs.cat_file(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise FlowgaugeError(f"cannot read {path}: {error}") from error
        return data

    def write(self, path: str, data: bytes) -> str:
        """Writes under a temporary name, then renames; returns the sha256."""
        folder, _, name = path.rpartition("/")
        temporary = f"{folder}/.{name}.{uuid.uuid4().hex}.tmp"
        try:
            self.fs.makedirs(folder, exist_ok=True)
            self.fs.pipe_file(temporary, data)
            if "file" in self.fs.protocol:
                os.replace(temporary, path)
            else:
                self.fs.mv(temporary, path)
        except OSError as error:
            raise UsageError(f"cannot write the store {self.url!r}: {error}; choose another with --store.") from error
        return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Where:
    """Where one instance's explanation is: a file's name and the row in it."""

    file: str
    row: int


class Cell:
    """One cell's folder."""

    def __init__(self, store: Store, path: str) -> None:
        self.store, self.path = store, path
        self._held: tuple[str, Part] | None = None

    @property
    def folder(self) -> str:
        """`<method>-<12 hex>`."""
        return self.path.rpartition("/")[2]

    def record(self) -> Record | None:
        """Its record, None where there is none or it is not whole.

        Raises:
            FlowgaugeError: A newer flowgauge wrote it, or it is whole and no record.
        """
        data = self.store.read(f"{self.path}/{RECORD}")
        try:
            stored = None if data is None else json.loads(data)
        except ValueError:
            return None
        if stored is None:
            return None
        try:
            if stored["schema_version"] > SCHEMA:
                newer = f"schema {stored['schema_version']}, this flowgauge reads up to {SCHEMA}"
                raise FlowgaugeError(f"{self.path} was written with {newer}: install a newer flowgauge or choose another store.")
            return Record.model_validate(stored)
        except (ValidationError, KeyError, TypeError) as error:
            first, path = " ".join(str(error).split())[:200], f"{self.path}/{RECORD}"
            raise FlowgaugeError(f"{path} is not a record: {first}. Delete it to score the cell again.") from error

    def write_record(self, record: Record) -> None:
        """Writes the record; the cell is finished when it says so."""
        self.store.write(f"{self.path}/{RECORD}", record.model_dump_json(indent=1).encode())

    def write_part(self, first: int, part: Part) -> None:
        """Writes the explanations of one batch whose first instance is number `first`."""
        name = f"explanations/{first:05d}.safetensors"
        self.store.write(f"{self.path}/{name}", explanation_io.to_bytes(part))
        self._held = None
        self.index.update({sentence.id: Where(name, row) for row, sentence in enumerate(part.sentences)})

    def part_names(self) -> list[str]:
        """Names of its explanation files."""
        try:
            self.store.fs.invalidate_cache()
            found = self.store.fs.ls(f"{self.path}/explanations", detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [f"explanations/{p.rpartition('/')[2]}" for p in sorted(found) if re.search(r"/\d+\.safetensors$", p)]

    def part(self, name: str) -> Part:
        """One file's explanations; the last one read is held.

        Raises:
            DamagedPart: It is not whole.
        """
        if self._held is None or self._held[0] != name:
            data = self.store.read(f"{self.path}/{name}")
            if data is None:
                raise DamagedPart(f"{self.path}/{name} is missing.")
            self._held = (name, explanation_io.from_bytes(data, f"{self.path}/{name}"))
        return self._held[1]

    def parts(self) -> Iterator[Part]:
        """Every file's explanations; what is not whole is left out."""
        for name in self.part_names():
            try:
                yield self.part(name)
            except DamagedPart:
                continue

    @cached_property
    def index(self) -> dict[str, Where]:
        """Where each instance's explanation is; instances in files that are not whole are missing."""
        found: dict[str, Where] = {}
        for name in self.part_names():
            try:
                sentences = self.part(name).sentences
            except DamagedPart:
                continue
            found |= {sentence.id: Where(name, row) for row, sentence in enumerate(sentences)}
        return found

    def explanations(self, ids: Sequence[str]) -> tuple[tuple[Explanation, ...], tuple[Explanation, ...]]:
        """Gold and guided explanations of instances by id."""
        gold, guided = [], []
        for id in ids:
            at = self.index[id]
            part = self.part(at.file)
            gold.append(part.gold[at.row])
            guided.append(part.guided[at.row])
        return tuple(gold), tuple(guided)

    def sentences(self) -> dict[str, Sentence]:
        """Every explained instance as figures need it, by id."""
        return {sentence.id: sentence for part in self.parts() for sentence in part.sentences}

    def write_scores(self, score: Score, rows: pd.DataFrame) -> None:
        """One metric's rows, with the score itself in the file's metadata so that the file stands alone."""
        table = pa.Table.from_pandas(rows, preserve_index=False)
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), b"flowgauge": score.model_dump_json().encode()})
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        self.store.write(self._scores_path(score.metric), buffer.getvalue())

    def read_score(self, metric: str) -> Score | None:
        """A metric's stored score, None where there is no whole file."""
        data = self.store.read(self._scores_path(metric))
        if data is None:
            return None
        try:
            return Score.model_validate_json(pq.read_schema(pa.BufferReader(data)).metadata[b"flowgauge"])
        except (pa.ArrowException, ValidationError, KeyError, TypeError, OSError):
            return None

    def rows(self, metric: str) -> pd.DataFrame:
        """A metric's rows: instance, condition, variant, draw, value, reason.

        Raises:
            FlowgaugeError: There are none.
        """
        data = self.store.read(self._scores_path(metric))
        if data is None:
            raise FlowgaugeError(f"{self.path} has no scores of {metric}.")
        frame: Any = pq.read_table(pa.BufferReader(data)).to_pandas()
        return frame

    def sums(self) -> dict[str, str]:
        """Sha256 of each explanations and scores file by its name in the cell."""
        found = {}
        for folder in ("explanations", "scores"):
            try:
                paths = self.store.fs.ls(f"{self.path}/{folder}", detail=False)
            except (FileNotFoundError, NotADirectoryError):
                continue
            for path in sorted(paths):
                name = path.rpartition("/")[2]
                data = None if name.startswith(".") else self.store.read(path)
                if data is not None:
                    found[f"{folder}/{name}"] = hashlib.sha256(data).hexdigest()
        return found

    def siblings(self, method: str) -> list[Cell]:
        """Other cells of a method for the same model and task."""
        found = self.store.fs.glob(f"{self.path.rpartition('/')[0]}/{safe_name(method).replace('/', '_')}-*/{RECORD}")
        cells = [Cell(self.store, path.rpartition("/")[0]) for path in sorted(found)]
        return [cell for cell in cells if cell.folder != self.folder]

    def remove(self) -> None:
        """Deletes the cell."""
        self.store.fs.rm(self.path, recursive=True)

    def sweep(self) -> None:
        """Removes temporary files that a killed run left."""
        for path in self.store.fs.find(self.path):
            name = path.rpartition("/")[2]
            if name.startswith(".") and name.endswith(".tmp"):
                self.store.fs.rm_file(path)

    def _scores_path(self, metric: str) -> str:
        return f"{self.path}/scores/{metric}.parquet"
