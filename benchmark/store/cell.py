"""Reads and writes the folder of one cell: its record, its explanations and its scores."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from ...core.errors import FlowgaugeError
from ...methods.explanation import Explanation
from .atomic_files import Files
from .explanation_file import ExplainedSentence, Part, PartHeader, from_bytes, head, to_bytes
from .mending import mending_command
from .record import SCHEMA, Record, Score, check_schema
from .sums import BLANK, DamagedFile, seal

log = logging.getLogger(__name__)
RECORD = "record.json"
FOLDERS = ("explanations", "scores")


def safe_name(text: str) -> str:
    """The folders of a model or task name: `/` separates them, unusual characters become `_`, and none points upwards.

    >>> safe_name("sva/obj"), safe_name("../my pairs.tsv")
    ('sva/obj', '_/my_pairs.tsv')
    """
    parts = [re.sub(r"[^A-Za-z0-9._+@=-]", "_", part) for part in text.split("/") if part]
    return "/".join("_" if set(part) == {"."} else part for part in parts) or "_"


def safe_folder(text: str) -> str:
    """The one folder of a cell's name.

    >>> safe_folder("attention-de7d7744ccd7"), safe_folder("my/own-de7d7744ccd7")
    ('attention-de7d7744ccd7', 'my_own-de7d7744ccd7')
    """
    return safe_name(text).replace("/", "_")


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
        record: Its record, against whose sums its files are held; without one they are held against their seals alone.

    Attributes:
        listed: That record; None where it has none, or it was not read yet.
    """

    def __init__(self, files: Files, path: str, record: Record | None = None) -> None:
        self.files, self.path = files, path
        self.listed: Record | None
        self._sums: dict[str, str]
        self._index: dict[str, ExplanationPlace]
        self._indexed: set[str]
        self._last_part: tuple[str, Part] | None
        self.hold_against(record)

    @property
    def folder(self) -> str:
        """The folder's name: `<method>-<12 hex>`."""
        return self.path.rpartition("/")[2]

    def record(self) -> Record | None:
        """The cell's record, whose sums its files are held against from now on; None where it has no whole one of its own.

        Raises:
            FlowgaugeError: A newer flowgauge wrote it.
        """
        try:
            data = self.files.read(f"{self.path}/{RECORD}")
            if data is None:
                return None
            stored = json.loads(data)
            check_schema(int(stored["schema_version"]), SCHEMA, f"the record of {self.path}")
            record = Record.model_validate(stored)
        except (ValueError, KeyError, TypeError, RecursionError, DamagedFile):  # pydantic's error is a ValueError
            log.warning("%s/%s is damaged and left out; the same `flowgauge run` mends it.", self.path, RECORD)
            return None
        if not f"/{self.path}".endswith(f"/{safe_name(record.model)}/{safe_name(record.task)}/{safe_folder(record.folder)}"):
            log.warning("%s/%s is the record of another cell, %s, and left out.", self.path, RECORD, record.folder)
            return None
        if self.listed is None:
            self.listed, self._sums = record, dict(record.files)
        return record

    def write_record(self, record: Record) -> None:
        """Writes the record, which is the last file of a cell that is written."""
        self.files.write(f"{self.path}/{RECORD}", record.to_bytes())

    def read(self, name: str) -> bytes | None:
        """One of its files, held against its seal and the record's sum; None where it is missing.

        Args:
            name: The file's path in the cell.

        Raises:
            DamagedFile: It is not what was written; the message names the command that mends it.
        """
        try:
            return self.files.read(f"{self.path}/{name}", self._sums.get(name, ""))
        except DamagedFile as error:
            stored = self.record()
            if stored is not None and stored.files.get(name) not in (None, self._sums.get(name)):
                self.listed, self._sums = stored, dict(stored.files)  # another process wrote the file and the record since
                return self.read(name)
            raise DamagedFile(f"{error} {self.remedy}") from error

    @property
    def remedy(self) -> str:
        """A sentence that names the command by which its damaged files are computed again."""
        if self.listed is None:
            return "The same `flowgauge run` mends it."
        return mending_command(self.listed, self.files.url)

    def write_part(self, first: int, part: Part) -> None:
        """Writes the explanations of one batch, unless another process has stored some from its first instance on.

        Args:
            first: Index of its first instance among the cell's instances; the file is named after it.
            part: The explanations.
        """
        name = f"explanations/{first:05d}.safetensors"
        self._sums.pop(name, None)
        try:
            self.files.write(f"{self.path}/{name}", to_bytes(part), replace=False)
        except FileExistsError:
            self.refresh()
            if part.sentences[0].id not in self.index:  # what is there is damaged, or of other instances
                self.files.write(f"{self.path}/{name}", to_bytes(part))
        self.refresh()

    def part_names(self) -> list[str]:
        """Names of its explanation files, as paths in the cell."""
        names = self.files.names(f"{self.path}/explanations")
        return [f"explanations/{name}" for name in names if name.endswith(".safetensors")]

    def part(self, name: str) -> Part:
        """The explanations of one file; the file that was read last is kept in memory.

        Raises:
            DamagedFile: The file is missing or damaged.
        """
        if self._last_part is None or self._last_part[0] != name:
            self._last_part = (name, from_bytes(self.whole(name), f"{self.path}/{name}"))
        return self._last_part[1]

    def whole(self, name: str) -> bytes:
        """One of its files, as `read` reads it.

        Raises:
            DamagedFile: It is damaged or missing.
        """
        data = self.read(name)
        if data is None:
            raise DamagedFile(f"{self.path}/{name} is missing. {self.remedy}")
        return data

    def headers(self, names: Iterable[str]) -> Iterator[tuple[str, PartHeader]]:
        """Name and header of those explanation files that are not damaged."""
        for name in names:
            try:
                header = head(self.whole(name), f"{self.path}/{name}")
            except DamagedFile:
                continue
            yield name, header

    def parts(self) -> Iterator[Part]:
        """The explanations of every file.

        Raises:
            DamagedFile: A file is damaged.
        """
        for name in self.part_names():
            yield self.part(name)

    @property
    def index(self) -> Mapping[str, ExplanationPlace]:
        """Where the explanation of each instance is, by id; instances of damaged files are missing."""
        if not self._indexed:
            self.refresh()
        return self._index

    def refresh(self) -> None:
        """Adds to the index what was written since, by this process or by others."""
        for name, header in self.headers(name for name in self.part_names() if name not in self._indexed):
            self._indexed.add(name)
            for row, sentence in enumerate(header.sentences):
                self._index.setdefault(sentence.id, ExplanationPlace(name, row))

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
        """Every explained instance as figures need it, by id, in the order of the task."""
        return self.summary()[0]

    def summary(self) -> tuple[dict[str, ExplainedSentence], list[Mapping[str, float]]]:
        """Every explained instance by id, in the task's order, and what each batch cost; explanations are not decoded for it."""
        headers = [header for _, header in self.headers(self.part_names())]
        sentences = [sentence for header in headers for sentence in header.sentences]
        sentences.sort(key=lambda sentence: sentence.place or 0)
        return {sentence.id: sentence for sentence in sentences}, [header.cost for header in headers]

    def write_scores(self, score: Score, rows: pd.DataFrame) -> Score:
        """Writes one metric's rows, with the score in the file's metadata, so that the file can be read without the record.

        The column of clusters is left out where no instance is in one.

        Returns:
            The score that is stored: where another process has stored the same one in the meantime, that.
        """
        in_clusters = (rows["cluster"].fillna("") != "").any()
        kept = rows if in_clusters else rows.drop(columns="cluster")
        table = pa.Table.from_pandas(kept, preserve_index=False).replace_schema_metadata(None)
        buffer = io.BytesIO()
        # Without Arrow's own copy of the schema, which would hold the score a second time, in base64: half the file.
        with pq.ParquetWriter(buffer, table.schema, compression="zstd", store_schema=False) as writer:
            writer.write_table(table)
            writer.add_key_value_metadata({"flowgauge": score.model_dump_json(), "seal": BLANK})
        path, data = self.scores_path(score.metric), seal(buffer.getvalue())
        self._sums.pop(f"scores/{score.metric}.parquet", None)
        try:
            self.files.write(path, data, replace=False)
        except FileExistsError:
            there = self.read_score(score.metric)
            if there is not None and (there.reference, there.intervals) == (score.reference, score.intervals):
                return there
            self.files.write(path, data)
        return score

    def read_score(self, metric: str) -> Score | None:
        """A metric's stored score; None where there is no file, or it is damaged or another metric's."""
        try:
            data = self.read(f"scores/{metric}.parquet")
            if data is None:
                return None
            score = Score.model_validate_json(pq.read_schema(pa.BufferReader(data)).metadata[b"flowgauge"])
            return score if score.metric == metric else None
        except (pa.ArrowException, ValidationError, KeyError, TypeError, OSError, DamagedFile):
            return None

    def scores(self) -> dict[str, Score]:
        """Every stored score by metric identity, without damaged files."""
        names = [name.removesuffix(".parquet") for name in self.files.names(f"{self.path}/scores")]
        return {name: score for name in names if (score := self.read_score(name)) is not None}

    def rows(self, metric: str) -> pd.DataFrame:
        """A metric's rows, with the columns of `metrics.scores.COLUMNS`; the cluster is empty where the file has none.

        Raises:
            FlowgaugeError: There are none, or the file is damaged.
        """
        data = self.read(f"scores/{metric}.parquet")
        if data is None:
            raise FlowgaugeError(f"{self.path} has no scores of {metric}: `flowgauge score` computes them.")
        try:
            # Without threads and buffers: most tables are small, and starting them takes longer than reading.
            table = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False).read(use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise DamagedFile(f"{self.scores_path(metric)} is damaged: it is not a whole Parquet file. {self.remedy}") from error
        if len(set(table.column_names)) < len(table.column_names):
            raise DamagedFile(f"{self.scores_path(metric)} is damaged: it has a column twice. {self.remedy}")
        frame: Any = table.to_pandas(types_mapper={pa.string(): pd.StringDtype()}.get, use_threads=False)
        if "cluster" not in frame and "condition" in frame:
            frame.insert(frame.columns.get_loc("condition") + 1, "cluster", pd.Series("", frame.index, pd.StringDtype()))
        return frame

    def sums(self) -> dict[str, str]:
        """Sha256 of each explanations and scores file as it is now, by its name in the cell."""
        return {name: self._state(name)[0] for name in self.names()}

    def states(self) -> dict[str, tuple[str, int]]:
        """Sum and size of each file for a new record; those that the record lists stay, so that damage to them is noticed."""
        sizes = self.listed.sizes if self.listed else {}
        there = self.files.below(self.path)
        kept = {n: (total, sizes.get(n, s.size)) for n, total in self._sums.items() if (s := there.get(f"{self.path}/{n}"))}
        return {name: kept.get(name) or self._state(name) for name in self.names()}

    def names(self) -> list[str]:
        """Names of its explanations and scores files, as paths in the cell."""
        return [f"{folder}/{name}" for folder in FOLDERS for name in self.files.names(f"{self.path}/{folder}")]

    def _state(self, name: str) -> tuple[str, int]:
        data = self.files.read(f"{self.path}/{name}") or b""
        return hashlib.sha256(data).hexdigest(), len(data)

    def hold_against(self, record: Record | None) -> None:
        """Holds its files against a record's sums from now on (None: the next one read), and forgets what was read of them."""
        self.listed, self._sums = record, dict(record.files) if record else {}
        self._index, self._indexed, self._last_part = {}, set(), None

    def siblings(self) -> list[Cell]:
        """Other cells of the same model and task that have a record."""
        task = self.path.rpartition("/")[0]
        paths = [path.rpartition("/")[0] for path in self.files.below(task) if path.endswith(f"/{RECORD}")]
        return [Cell(self.files, path) for path in paths if path != self.path and path.rpartition("/")[0] == task]

    def remove(self) -> None:
        """Deletes the cell's folder."""
        self.files.remove(self.path)

    def sweep(self) -> None:
        """Deletes temporary files that killed processes left."""
        for folder in (self.path, *(f"{self.path}/{name}" for name in FOLDERS)):
            self.files.sweep(folder)

    def scores_path(self, metric: str) -> str:
        """The file of a metric's rows."""
        return f"{self.path}/scores/{metric}.parquet"
