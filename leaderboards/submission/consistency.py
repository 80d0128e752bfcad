"""Whether a bundle is consistent in itself: records, explanations, rows, aggregates and trainings. Nothing is recomputed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from itertools import chain

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from ...benchmark.external.folder_format import check_external_marks, content_sum, is_outside
from ...benchmark.external.look_alikes import look_alike
from ...benchmark.store.cell import RECORD, Cell
from ...benchmark.store.explanation_file import ExplainedSentence, Part
from ...benchmark.store.key import short_hash
from ...benchmark.store.record import FINAL, SCHEMA, Cost, Record, Score, TrainingRecord, check_schema
from ...benchmark.store.renewal import is_old
from ...benchmark.store.store import Store
from ...benchmark.store.sums import check as check_seal
from ...core.errors import FlowgaugeError, UsageError, shortened
from ...core.registry import check_name
from ...core.text_files import parse_json
from ...methods.registry import METHODS
from ...metrics.scores import COLUMNS, Aggregate
from ...metrics.summary import summarise
from ...models.registry import MODELS
from ...models.zoo import ZOO
from ...tasks.registry import TASKS
from .bundle import FIT, rests_on
from .trust import BundleProblem

ROWS, LETTERS = 10**7, 10_000
"""The most rows of a score, and the most bytes of a text in them."""
KINDS = {"float64": "double"}
"""Arrow's names of column types, where they differ from pandas' names."""
VALUES = ("value", "count", "undefined", "clusters", "sd_draws")
"""Numbers of an aggregate that rows give, whatever the metric."""
SUMMARY = ("value", "low", "high", "count", "undefined", "clusters", "sd_draws", "bias")
"""The same with the ends of today's interval, and the bias that it is corrected for."""


def read_record(store: Store, cell: Cell) -> tuple[Record | None, list[str]]:
    """Reads the record of a bundle's cell.

    Args:
        store: The bundle's cells.
        cell: One of them.

    Returns:
        The record, None where it cannot be read; and what is wrong with it.
    """
    try:
        data = cell.files.read(f"{cell.path}/{RECORD}") or b""
        check_schema(int(parse_json(data)["schema_version"]), SCHEMA, "its record")
        check_seal(data, "its record")
        record = Record.read_strictly(data)
    except FlowgaugeError as newer:
        return None, [str(newer)]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        return None, [f"its record cannot be read: {shortened(str(error), 200)}"]
    if not all(isinstance(record.key.get(part), dict) for part in ("method", "task")):
        return None, ["its key does not describe its method and its task."]
    if store.find(record).path != cell.path:
        return None, ["it lies in another folder than model, task and name of its record say."]
    return record, [*_names(record), *_identity(record), *check_external_marks(record)]


def _names(record: Record) -> Iterator[str]:
    """Names that a reader of a board could take for those of something else."""
    if not is_outside(record):
        try:
            check_name("method", record.method)
        except UsageError as error:
            yield str(error)
        if not record.method.isascii():
            yield f"its method is called {record.method!r}: use letters without accents, since others may be mistaken for them."
    known = {"method": METHODS.builtin, "model": [*ZOO, *MODELS.builtin], "task": TASKS.builtin}
    for kind, taken in known.items():
        name = getattr(record, kind)
        if not name.strip():
            yield f"its {kind} has no name."
        elif other := look_alike(name.split(":")[0], taken):
            yield f"its {kind} {name[:100]!r} may be mistaken for flowgauge's own {other}: give it a name of its own."


def _identity(record: Record) -> Iterator[str]:
    """Whether the key is that of the record."""
    method, task = record.key["method"], record.key["task"]
    if record.status not in FINAL:
        yield f"its status is {record.status}; only finished cells are taken."
    if short_hash(record.key) != record.cell:
        yield "its name is not the hash of its key."
    if method.get("name") != record.method or task.get("name") != record.task:
        yield "method or task of its record are not those of its key."
    if method.get("settings") != record.settings or record.key.get("seed") != record.seed:
        yield "settings or seed of its record are not those of its key."
    for name in ("started", "finished"):
        try:
            datetime.fromisoformat(getattr(record, name) or "2000-01-01")
        except ValueError:
            yield f"{name} is {getattr(record, name)[:100]!r}, which is no time (ISO 8601)."


def check_cell(cell: Cell, record: Record) -> Iterator[BundleProblem]:
    """Checks the files, explanations, rows and aggregates of one cell against one another.

    Args:
        cell: The cell.
        record: Its record.

    Yields:
        What does not fit.
    """
    there = cell.sums()
    if absent := sorted(record.files.keys() - there.keys()):
        yield BundleProblem(cell.folder, f"{len(absent)} of the files that its record lists are not in it, first {absent[0]}.")
        return
    if there != record.files:
        yield BundleProblem(cell.folder, "its files are not those that its record lists.")
        return
    if record.status == "not-applicable":
        if record.instances or record.correct or record.cost or record.scores or there or not record.error.strip():
            yield BundleProblem(
                cell.folder, "it says that its method is not applicable, but has explanations, scores or costs, or no reason."
            )
        return
    try:
        parts = [cell.part(name) for name in cell.part_names()]
    except FlowgaugeError as error:
        yield BundleProblem(cell.folder, f"its explanations cannot be read: {error}")
        return
    sentences = {sentence.id: sentence for part in parts for sentence in part.sentences}
    faults = (_files(cell, record), _explanations(record, parts), _cost(record, parts))
    yield from (BundleProblem(cell.folder, fault) for fault in chain(*faults))
    for metric, score in record.scores.items():
        where = f"{cell.folder}, {metric}"
        if score.metric != metric:
            yield BundleProblem(where, f"it holds the score of {score.metric}.")
        elif score.status == "done":
            yield from (BundleProblem(where, fault) for fault in _score(cell, score, sentences))
        elif score.status == "failed" or score.aggregates or not score.reason.strip():
            yield BundleProblem(where, "it failed, or is not applicable but has scores or no reason: score it again.")
    try:
        for name in there:
            check_seal(cell.files.read(f"{cell.path}/{name}") or b"", name)
    except FlowgaugeError as error:
        yield BundleProblem(cell.folder, str(error))


def _files(cell: Cell, record: Record) -> Iterator[str]:
    """No file is there that nothing else checks."""
    expected = {f"scores/{name}.parquet" for name, score in record.scores.items() if score.status == "done"}
    if record.sizes and record.sizes != {name: len(cell.files.read(f"{cell.path}/{name}") or b"") for name in record.files}:
        yield "its files are not of the sizes that its record lists."
    others = record.files.keys() - expected - set(cell.part_names())
    if others:
        yield f"it has the file {min(others)}, which belongs to no score of its record."
    if odd := next((name for name in cell.part_names() if not name.split("/")[1].removesuffix(".safetensors").isdecimal()), ""):
        yield f"{odd} is not named after the number of its first instance."


def _explanations(record: Record, parts: Sequence[Part]) -> Iterator[str]:
    sentences = [sentence for part in parts for sentence in part.sentences]
    ids = {sentence.id for sentence in sentences}
    if not len(ids) == len(sentences) == record.instances or not ids:
        yield f"{len(sentences)} explanations of {len(ids)} instances, its record says {record.instances}."
    right = [sentence.correct for sentence in sentences]
    correct = None if None in right else sum(map(bool, right))
    if record.correct != correct:
        yield f"its record says that {record.correct} instances are predicted correctly, its explanations {correct}."
    for part in parts:
        for sentence, gold, predicted in zip(part.sentences, part.gold, part.predicted, strict=True):
            if sentence.correct and predicted is not gold:
                yield f"{sentence.id!r} is predicted correctly, but has another explanation of the predicted answer."
                return
    if is_outside(record) and content_sum(parts) != record.key.get("explanations"):
        yield "its explanations are not those whose sum its key holds."


def _cost(record: Record, parts: Sequence[Part]) -> Iterator[str]:
    """Seconds and bytes are as submitted; they are numbers that can be, and the record has those of the explanations."""
    seconds = [score.seconds for score in record.scores.values()]
    numbers = [*seconds, *(number for part in parts for number in part.cost.values())]
    if not all(math.isfinite(number) and number >= 0 for number in numbers):
        yield "a cost is negative or infinite."
        return
    try:
        cost = Cost.of_parts([part.cost for part in parts])
    except (KeyError, ValidationError):
        yield "its explanations do not say what they cost."
        return
    wrong = record.instances - (record.correct or 0)
    if cost is not None and record.correct is not None and cost.explanations != record.instances + wrong:
        yield f"it says that it computed {cost.explanations} explanations, and has {record.instances + wrong}."
    stored, summed = (np.array([] if each is None else list(each.model_dump().values()), float) for each in (record.cost, cost))
    if len(stored) != len(summed) or not np.allclose(stored, summed, rtol=1e-6, atol=1e-9, equal_nan=True):
        yield "the cost in its record is not that of its explanations."


def _score(cell: Cell, score: Score, sentences: Mapping[str, ExplainedSentence]) -> Iterator[str]:
    if fault := _beside_rows(cell, score):
        yield fault
        return
    fault = _table_fault(cell.files.read(cell.scores_path(score.metric)) or b"")
    if fault:
        yield fault
        return
    try:
        rows = cell.rows(score.metric)
    except FlowgaugeError as error:
        yield str(error)
        return
    yield from _rows(rows, score, sentences)
    yield from _means(rows, score)


def _beside_rows(cell: Cell, score: Score) -> str:
    """Says that the score beside the rows is not that of the record, whose intervals may have been renewed; empty where it is."""
    try:
        stored = cell.read_score(score.metric)
    except FlowgaugeError as newer:
        return str(newer)
    if stored is not None and is_old(stored) and not is_old(score):
        stored, score = _without_ends(stored), _without_ends(score)
    same = stored is not None and stored.model_dump_json() == score.model_dump_json()
    return "" if same else "the score in its record is not the one beside its rows."


def _without_ends(score: Score) -> Score:
    aggregates = tuple(replace(aggregate, low=math.nan, high=math.nan, bias=None) for aggregate in score.aggregates)
    return score.model_copy(update={"aggregates": aggregates, "intervals": 1})


def _table_fault(data: bytes) -> str:
    """Why a file of rows is not read; empty where it is.

    Texts are checked as dictionaries, before they are spread out in memory: a few bytes may repeat a long text a million times.
    """
    texts = [name for name, kind in COLUMNS.items() if kind == "string"]
    try:
        schema = pq.read_schema(pa.BufferReader(data))
        without_clusters = [name for name in COLUMNS if name != "cluster"]
        if schema.names not in (list(COLUMNS), without_clusters):
            return f"its rows have the columns {schema.names}."
        texts = [name for name in texts if name in schema.names]
        types = {column.name: str(column.type).removeprefix("large_") for column in schema}
        odd = [name for name, kind in COLUMNS.items() if name in types and types[name] != KINDS.get(kind, kind)]
        if odd:
            return f"its column {odd[0]!r} is of {types[odd[0]]}, expected {COLUMNS[odd[0]]}."
        file = pq.ParquetFile(pa.BufferReader(data), read_dictionary=texts)
        if file.metadata.num_rows > ROWS:
            return f"it has {file.metadata.num_rows} rows, more than {ROWS}."
        for batch in file.iter_batches(columns=texts):
            if absent := [name for name in ("instance", "variant") if batch.column(name).null_count]:
                return f"its column {absent[0]!r} has no value in some rows."
            if any((pc.max(pc.binary_length(c.dictionary)).as_py() or 0) > LETTERS for c in batch.columns):
                return f"it has texts of more than {LETTERS} bytes."
    except (pa.ArrowException, OSError, ValueError) as error:
        return f"its rows are not whole: {shortened(str(error), 200)}"
    return ""


def _rows(rows: pd.DataFrame, score: Score, sentences: Mapping[str, ExplainedSentence]) -> Iterator[str]:
    stranger = sorted(set(rows["instance"]) - sentences.keys())
    if stranger:
        yield f"rows of instance {stranger[0]!r}, which is not explained."
        return
    if rows.duplicated(["instance", "variant", "draw"]).any():
        yield "an instance has two rows of one variant and draw."
    for name in ("condition", "cluster"):
        stored = rows[name].fillna("").to_numpy(str)
        expected = np.array([getattr(sentences[instance], name) for instance in rows["instance"]], str)
        if (moved := stored != expected).any():
            there, here = stored[moved][0] or "none", expected[moved][0] or "none"
            yield f"{rows['instance'][moved].iloc[0]!r} is of {name} {here}, not {there}."
    value = rows["value"].to_numpy(float)
    if (np.isnan(value) & (rows["reason"].fillna("") == "").to_numpy()).any():
        yield "scores that are NaN without a reason."
    ranked = (rows["variant"] == score.ranked).to_numpy()
    is_mean = ranked.any() or score.ranked_aggregate is None  # a metric may rank by an aggregate that has no rows
    if score.scope == "instance" and is_mean and (absent := sentences.keys() - set(rows["instance"][ranked])):
        yield f"{len(absent)} explained instances have no row of {score.ranked}."
    low, high = (limit if limit is not None else side for limit, side in zip(score.bounds, (-math.inf, math.inf), strict=True))
    out = ranked & ((value < low - 1e-9) | (value > high + 1e-9))
    if out.any():
        yield f"{int(out.sum())} scores lie outside [{low:g}, {high:g}], first {value[out][0]:g}."


def _means(rows: pd.DataFrame, score: Score) -> Iterator[str]:
    """Compares stored aggregates with those of the rows, with their intervals.

    A metric may have further aggregates without rows, such as ratios of sums; those of the whole set need not be means of rows.
    """
    if score.scope == "instance":
        theirs = {aggregate.variant: aggregate for aggregate in score.aggregates}
        ours = summarise(rows, score.bounds)
        if len(theirs) < len(score.aggregates) or not {aggregate.variant for aggregate in ours} <= theirs.keys():
            yield "its aggregates are of other variants than its rows."
            return
        # Ends of version 0.1 were bootstrapped and cannot be checked, so that no reader shows them (`benchmark.store.renewal`).
        yield from aggregate_faults(theirs, ours, VALUES if is_old(score) else SUMMARY, "its rows give")


def aggregate_faults(
    theirs: Mapping[str, Aggregate], ours: Iterable[Aggregate], names: Iterable[str], source: str, tolerance: float = 1e-6
) -> Iterator[str]:
    """Compares aggregates by variant; of each variant the first difference is said.

    Args:
        theirs: As stored.
        ours: As computed here, of variants that are stored.
        names: The fields to compare.
        source: What says otherwise, in words.
        tolerance: How far numbers may, relative to 1 + their size.
    """
    for aggregate in ours:
        there, here = asdict(theirs[aggregate.variant]), asdict(aggregate)
        for name in names:
            one, other = (math.nan if value is None else value for value in (there[name], here[name]))
            same = one == other if isinstance(other, str) else np.isclose(one, other, tolerance, tolerance, equal_nan=True)
            if not same:
                shown = [text[:200] if isinstance(text, str) else f"{text:g}" for text in (one, other)]
                yield f"{name} of {aggregate.variant} is {shown[0]}, {source} {shown[1]}."
                break


def check_trainings(store: Store, names: Iterable[str], records: Sequence[Record]) -> tuple[list[BundleProblem], dict[str, str]]:
    """Checks that each training is whole and is the one that its folder names.

    Args:
        store: The bundle's cells.
        names: The paths of its files below the cells.
        records: The records of its cells.

    Returns:
        What is wrong; and trainings that are in order but of no use here, by folder, with the reason.
    """
    problems, useless = [], {}
    for folder in sorted({name.rpartition("/")[0] for name in names if name.startswith("fits/")}):
        fit, weights = (store.files.read(f"{store.files.root}/{folder}/{name}") for name in FIT)
        try:
            training = TrainingRecord.read_strictly(fit or b"")
        except (ValueError, RecursionError) as error:
            problems.append(BundleProblem(folder, f"its fit.json cannot be read: {shortened(str(error), 200)}"))
            continue
        if fault := _training_fault(folder, training, weights):
            problems.append(BundleProblem(folder, fault))
        elif "weights" not in training.model_fields_set:
            useless[folder] = "its fit.json, by an early flowgauge, has no sum of its weights."
        elif not any(rests_on(record, training.key) for record in records):
            useless[folder] = "no cell of the bundle rests on it."
    return problems, useless


def _training_fault(folder: str, training: TrainingRecord, weights: bytes | None) -> str:
    if folder.rpartition("-")[2] != short_hash(training.key):
        return "its name is not the hash of its key."
    if not math.isfinite(training.seconds) or training.seconds < 0:
        return f"it took {training.seconds} seconds."
    if training.status != "done" or weights is None:
        return "it has no weights: train it again."
    try:
        check_seal(weights, "its weights file")
    except FlowgaugeError as error:
        return str(error)
    if "weights" in training.model_fields_set and hashlib.sha256(weights).hexdigest() != training.weights:
        return "its weights are not those whose sum its fit.json holds: train it again."
    return ""
