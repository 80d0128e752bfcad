"""Reads and writes the folder of one cell: its record, its explanations and its scores."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from ...core.errors import FlowgaugeError, one_line
from ...methods.explanation import Explanation
from .atomic_files import Files
from .explanation_file import DamagedPart, ExplainedSentence, Part, PartHeader, from_bytes, head, to_bytes
from .record import SCHEMA, Record, Score, check_schema

log = logging.getLogger(__name__)
RECORD = "record.json"


def safe_name(text: str) -> str:
    """The folders of a model or task name: `/` separates them, unusual characters become `_`, and none points upwards.

    >>> safe_name("sva/obj"), safe_name("../my pairs.tsv")
    ('sva/obj', '_/my_pairs.tsv')
    """
    parts = [re.sub(r"[^A-Za-z0-9._+@=-]", "_", part) for part in text.split("/") if part]
    return "/".join("_" if set(part) == {"."} else part for part in parts) or "_"


@dataclass(frozen=True)
class ExplanationPlace:
    """Where the explanation of one instance is stored.

    Attributes:
        file: Name of the file in the cell.
        row: Index of the instance in it.
    """

    file: str
    row: int


class Cell:
    """The folder of one cell.

    Args:
        files: The store that it lies in.
        path: The folder as the store's file system names it.
    """

    def __init__(self, files: Files, path: str) -> None:
        self.files, self.path = files, path
        self._last_part: tuple[str, Part] | None = None

    @property
    def folder(self) -> str:
        """The folder's name: `<method>-<12 hex>`."""
        return self.path.rpartition("/")[2]

    def record(self) -> Record | None:
        """The cell's record; None where there is none or it is damaged.

        Raises:
            FlowgaugeError: A newer flowgauge wrote it.
        """
        data = self.files.read(f"{self.path}/{RECORD}")
        if data is None:
            return None
        try:
            stored = json.loads(data)
            schema = int(stored["schema_version"])
        except (ValueError, KeyError, TypeError):
            stored, schema = None, 0
        check_schema(schema, SCHEMA, f"the record of {self.path}")
        try:
            return Record.model_validate(stored)
        except ValidationError:
            log.warning("%s/%s is damaged and left out; the same `flowgauge run` mends it.", self.path, RECORD)
            return None

    def write_record(self, record: Record) -> None:
        """Writes the record, which is the last file of a cell that is written."""
        self.files.write(f"{self.path}/{RECORD}", record.model_dump_json(indent=1).encode())

    def write_part(self, first: int, part: Part) -> None:
        """Writes the explanations of one batch.

        Args:
            first: Index of its first instance among the cell's instances; the file is named after it.
            part: The explanations.
        """
        name = f"explanations/{first:05d}.safetensors"
        self.files.write(f"{self.path}/{name}", to_bytes(part))
        self._last_part = None
        self.index.update({sentence.id: ExplanationPlace(name, row) for row, sentence in enumerate(part.sentences)})

    def part_names(self) -> list[str]:
        """Names of its explanation files, as paths in the cell."""
        names = self.files.names(f"{self.path}/explanations")
        return [f"explanations/{name}" for name in names if name.endswith(".safetensors")]

    def part(self, name: str) -> Part:
        """The explanations of one file; the file that was read last is kept in memory.

        Raises:
            DamagedPart: The file is missing or damaged.
        """
        if self._last_part is None or self._last_part[0] != name:
            self._last_part = (name, from_bytes(self._part_bytes(name), f"{self.path}/{name}"))
        return self._last_part[1]

    def _part_bytes(self, name: str) -> bytes:
        data = self.files.read(f"{self.path}/{name}")
        if data is None:
            raise DamagedPart(f"{self.path}/{name} is missing.")
        return data

    def _headers(self) -> Iterator[tuple[str, PartHeader]]:
        """Name and header of every explanation file that is not damaged."""
        for name in self.part_names():
            with suppress(DamagedPart):
                yield name, head(self._part_bytes(name), f"{self.path}/{name}")

    def parts(self) -> Iterator[Part]:
        """The explanations of every file, without damaged ones."""
        for name in self.part_names():
            try:
                yield self.part(name)
            except DamagedPart:
                continue

    @cached_property
    def index(self) -> dict[str, ExplanationPlace]:
        """Where the explanation of each instance is, by id; instances of damaged files are missing."""
        return {
            sentence.id: ExplanationPlace(name, row)
            for name, header in self._headers()
            for row, sentence in enumerate(header.sentences)
        }

    def explanations(self, ids: Sequence[str]) -> tuple[tuple[Explanation, ...], tuple[Explanation, ...]]:
        """Explanations of instances.

        Args:
            ids: Ids of the instances.

        Returns:
            The explanations of the gold answers and those of the predicted answers, in the order of the ids.
        """
        gold, predicted = [], []
        for instance in ids:
            place = self.index[instance]
            part = self.part(place.file)
            gold.append(part.gold[place.row])
            predicted.append(part.predicted[place.row])
        return tuple(gold), tuple(predicted)

    def sentences(self) -> dict[str, ExplainedSentence]:
        """Every explained instance as figures need it, by id."""
        return self.summary()[0]

    def summary(self) -> tuple[dict[str, ExplainedSentence], list[Mapping[str, float]]]:
        """Every explained instance by id, and what each batch cost; explanations are not decoded for it."""
        headers = [header for _, header in self._headers()]
        sentences = {sentence.id: sentence for header in headers for sentence in header.sentences}
        return sentences, [header.cost for header in headers]

    def write_scores(self, score: Score, rows: pd.DataFrame) -> None:
        """Writes one metric's rows, with the score in the file's metadata, so that the file can be read without the record."""
        table = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(None)
        buffer = io.BytesIO()
        # Without Arrow's own copy of the schema, which would hold the score a second time, in base64: half the file.
        with pq.ParquetWriter(buffer, table.schema, compression="zstd", store_schema=False) as writer:
            writer.write_table(table)
            writer.add_key_value_metadata({"flowgauge": score.model_dump_json()})
        self.files.write(self.scores_path(score.metric), buffer.getvalue())

    def read_score(self, metric: str) -> Score | None:
        """A metric's stored score; None where there is no file or it is damaged."""
        data = self.files.read(self.scores_path(metric))
        if data is None:
            return None
        try:
            return Score.model_validate_json(pq.read_schema(pa.BufferReader(data)).metadata[b"flowgauge"])
        except (pa.ArrowException, ValidationError, KeyError, TypeError, OSError):
            return None

    def scores(self) -> dict[str, Score]:
        """Every stored score by metric identity, without damaged files."""
        names = [name.removesuffix(".parquet") for name in self.files.names(f"{self.path}/scores")]
        return {name: score for name in names if (score := self.read_score(name)) is not None}

    def rows(self, metric: str) -> pd.DataFrame:
        """A metric's rows, with the columns instance, condition, variant, draw, value and reason.

        Raises:
            FlowgaugeError: There are none, or the file is damaged.
        """
        data = self.files.read(self.scores_path(metric))
        if data is None:
            raise FlowgaugeError(f"{self.path} has no scores of {metric}: `flowgauge score` computes them.")
        try:
            table = pq.read_table(pa.BufferReader(data))
        except (pa.ArrowException, OSError) as error:
            raise FlowgaugeError(
                f"{self.path}: the scores of {metric} are damaged ({one_line(error)}); run its plan again."
            ) from error
        frame: Any = table.to_pandas(types_mapper={pa.string(): pd.StringDtype()}.get)
        return frame

    def sums(self) -> dict[str, str]:
        """Sha256 of each explanations and scores file by its name in the cell."""
        names = [
            f"{folder}/{name}" for folder in ("explanations", "scores") for name in self.files.names(f"{self.path}/{folder}")
        ]
        return {name: hashlib.sha256(self.files.read(f"{self.path}/{name}") or b"").hexdigest() for name in names}

    def siblings(self, method: str) -> list[Cell]:
        """Other cells of a method for the same model and task."""
        task, start = self.path.rpartition("/")[0], f"{safe_name(method).replace('/', '_')}-"
        paths = [path.rpartition("/")[0] for path in self.files.below(task) if path.endswith(f"/{RECORD}")]
        return [Cell(self.files, path) for path in paths if path != self.path and path.startswith(f"{task}/{start}")]

    def remove(self) -> None:
        """Deletes the cell's folder."""
        self.files.remove(self.path)

    def sweep(self) -> None:
        """Deletes temporary files that a killed run left."""
        for path in self.files.below(self.path):
            name = path.rpartition("/")[2]
            if name.startswith(".") and name.endswith(".tmp"):
                self.files.remove(path)

    def scores_path(self, metric: str) -> str:
        """The file of a metric's rows."""
        return f"{self.path}/scores/{metric}.parquet"
