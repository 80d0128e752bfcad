"""One cell's folder: its record, explanations and scores. No torch."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from ...core.errors import FlowgaugeError, one_line
from ...methods.explanation import Explanation
from . import explanation_file as explanation_io
from .atomic_files import Files
from .explanation_file import DamagedPart, ExplainedSentence, Part
from .record import SCHEMA, Record, Score

log = logging.getLogger(__name__)
RECORD = "record.json"


def safe_name(text: str) -> str:
    """A model or task name as folders: `/` separates, anything unusual becomes `_`, nothing points upwards.

    >>> safe_name("sva/obj"), safe_name("../my pairs.tsv")
    ('sva/obj', '_/my_pairs.tsv')
    """
    parts = [re.sub(r"[^A-Za-z0-9._+@=-]", "_", part) for part in text.split("/") if part]
    return "/".join("_" if set(part) == {"."} else part for part in parts) or "_"


@dataclass(frozen=True)
class ExplanationPlace:
    """Where one instance's explanation is: a file's name and the row in it."""

    file: str
    row: int


class Cell:
    """One cell's folder."""

    def __init__(self, files: Files, path: str) -> None:
        self.files, self.path = files, path
        self._held: tuple[str, Part] | None = None

    @property
    def folder(self) -> str:
        """`<method>-<12 hex>`."""
        return self.path.rpartition("/")[2]

    def record(self) -> Record | None:
        """Its record, None where there is none or it is not whole.

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
        if schema > SCHEMA:
            newer = f"schema {schema}, this flowgauge reads up to {SCHEMA}"
            raise FlowgaugeError(f"{self.path} was written with {newer}: install a newer flowgauge or choose another store.")
        try:
            return Record.model_validate(stored)
        except ValidationError:
            log.warning("%s/%s is damaged and left out; the same `flowgauge run` mends it.", self.path, RECORD)
            return None

    def write_record(self, record: Record) -> None:
        """Writes the record; the cell is finished when it says so."""
        self.files.write(f"{self.path}/{RECORD}", record.model_dump_json(indent=1).encode())

    def write_part(self, first: int, part: Part) -> None:
        """Writes the explanations of one batch whose first instance is number `first`."""
        name = f"explanations/{first:05d}.safetensors"
        self.files.write(f"{self.path}/{name}", explanation_io.to_bytes(part))
        self._held = None
        self.index.update({sentence.id: ExplanationPlace(name, row) for row, sentence in enumerate(part.sentences)})

    def part_names(self) -> list[str]:
        """Names of its explanation files."""
        found = self.files.names(f"{self.path}/explanations")
        return [f"explanations/{name}" for name in found if name.endswith(".safetensors")]

    def part(self, name: str) -> Part:
        """One file's explanations; the last one read is held.

        Raises:
            DamagedPart: It is not whole.
        """
        if self._held is None or self._held[0] != name:
            data = self.files.read(f"{self.path}/{name}")
            if data is None:
                raise DamagedPart(f"{self.path}/{name} is missing.")
            self._held = (name, explanation_io.from_bytes(data, f"{self.path}/{name}"))
        return self._held[1]

    def _head(self, name: str) -> explanation_io.PartHeader:
        data = self.files.read(f"{self.path}/{name}")
        if data is None:
            raise DamagedPart(f"{self.path}/{name} is missing.")
        return explanation_io.head(data, f"{self.path}/{name}")

    def parts(self) -> Iterator[Part]:
        """Every file's explanations; what is not whole is left out."""
        for name in self.part_names():
            try:
                yield self.part(name)
            except DamagedPart:
                continue

    @cached_property
    def index(self) -> dict[str, ExplanationPlace]:
        """Where each instance's explanation is; instances in files that are not whole are missing."""
        found: dict[str, ExplanationPlace] = {}
        for name in self.part_names():
            try:
                sentences = self._head(name).sentences
            except DamagedPart:
                continue
            found |= {sentence.id: ExplanationPlace(name, row) for row, sentence in enumerate(sentences)}
        return found

    def explanations(self, ids: Sequence[str]) -> tuple[tuple[Explanation, ...], tuple[Explanation, ...]]:
        """Gold and guided explanations of instances by id."""
        gold, guided = [], []
        for id in ids:
            at = self.index[id]
            part = self.part(at.file)
            gold.append(part.gold[at.row])
            guided.append(part.predicted[at.row])
        return tuple(gold), tuple(guided)

    def sentences(self) -> dict[str, ExplainedSentence]:
        """Every explained instance as figures need it, by id."""
        return self.summary()[0]

    def summary(self) -> tuple[dict[str, ExplainedSentence], list[Mapping[str, float]]]:
        """Every explained instance by id, and what each part cost; the explanations themselves are not kept."""
        sentences: dict[str, ExplainedSentence] = {}
        costs: list[Mapping[str, float]] = []
        for name in self.part_names():
            try:
                part = self._head(name)
            except DamagedPart:
                continue
            sentences |= {sentence.id: sentence for sentence in part.sentences}
            costs.append(part.cost)
        return sentences, costs

    def write_scores(self, score: Score, rows: pd.DataFrame) -> None:
        """One metric's rows, with the score itself in the file's metadata so that the file stands alone."""
        table = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(None)
        buffer = io.BytesIO()
        # Without Arrow's own copy of the schema, which would hold the score a second time, in base64: half the file.
        with pq.ParquetWriter(buffer, table.schema, compression="zstd", store_schema=False) as writer:
            writer.write_table(table)
            writer.add_key_value_metadata({"flowgauge": score.model_dump_json()})
        self.files.write(self.scores_path(score.metric), buffer.getvalue())

    def read_score(self, metric: str) -> Score | None:
        """A metric's stored score, None where there is no whole file."""
        data = self.files.read(self.scores_path(metric))
        if data is None:
            return None
        try:
            return Score.model_validate_json(pq.read_schema(pa.BufferReader(data)).metadata[b"flowgauge"])
        except (pa.ArrowException, ValidationError, KeyError, TypeError, OSError):
            return None

    def scores(self) -> dict[str, Score]:
        """Every whole scores file's score, by metric identity."""
        names = [name.removesuffix(".parquet") for name in self.files.names(f"{self.path}/scores")]
        return {name: score for name in names if (score := self.read_score(name)) is not None}

    def rows(self, metric: str) -> pd.DataFrame:
        """A metric's rows: instance, condition, variant, draw, value, reason.

        Raises:
            FlowgaugeError: There are none, or they are not whole.
        """
        data = self.files.read(self.scores_path(metric))
        if data is None:
            raise FlowgaugeError(f"{self.path} has no scores of {metric}.")
        try:
            table = pq.read_table(pa.BufferReader(data))
        except (pa.ArrowException, OSError) as error:
            raise FlowgaugeError(f"{self.path}: the scores of {metric} are not whole: {one_line(error)}.") from error
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
        found = [path.rpartition("/")[0] for path in self.files.below(task) if path.endswith(f"/{RECORD}")]
        return [Cell(self.files, path) for path in found if path != self.path and path.startswith(f"{task}/{start}")]

    def remove(self) -> None:
        """Deletes the cell."""
        self.files.remove(self.path)

    def sweep(self) -> None:
        """Removes temporary files that a killed run left."""
        for path in self.files.below(self.path):
            name = path.rpartition("/")[2]
            if name.startswith(".") and name.endswith(".tmp"):
                self.files.remove(path)

    def scores_path(self, metric: str) -> str:
        """Where a metric's rows are."""
        return f"{self.path}/scores/{metric}.parquet"
