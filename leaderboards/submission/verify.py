"""Whether a bundle may enter a board: its form, its own consistency, and its scores against a verifier's."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from ...benchmark.external.folder_format import check_external_marks, content_sum, is_outside
from ...benchmark.store.cell import Cell
from ...benchmark.store.key import short_hash
from ...benchmark.store.record import FINAL, SCHEMA, Record, Score, TrainingRecord, check_schema
from ...benchmark.store.store import Store
from ...core.errors import FlowgaugeError
from ...core.progress import Progress
from ...metrics.scores import COLUMNS, Scores
from ...metrics.summary import summarise
from .bundle import BadBundle, BundleManifest, check_sums, read_manifest
from .trust import Trust

RecomputeScore = Callable[[Store, Record, str, int], Scores]
"""(cells of a bundle as a store, record, metric identity, instances to sample) -> the metric as the verifier finds it."""
TOLERANCE = 1e-4
"""Largest difference of recomputed scores, relative to 1 + their size: other machines round otherwise."""
ROWS, LETTERS = 10**7, 10_000
"""The most rows of a score, and the most bytes of a text in them."""
KINDS = {"float64": "double"}
"""Arrow's names of column types, where they differ from pandas' names."""
WIDTHS = 0.2
"""How far the ends of an interval may lie from recomputed ones, in widths: resampling depends on the order of instances."""


@dataclass(frozen=True)
class BundleProblem:
    """A rule that a bundle breaks, or a note on it.

    Attributes:
        where: Cell, or cell and metric.
        what: What is wrong, and by how much; or what was noticed.
    """

    where: str
    what: str


@dataclass(frozen=True)
class VerificationReport:
    """The result of verifying a bundle.

    Attributes:
        manifest: The bundle's manifest.
        records: Records of its cells.
        problems: Rules that it breaks; it may enter a board if there are none.
        trust: Level of trust that all its rows may show.
        rescored: How many rows were recomputed, by metric.
        rerun: Instances on which the method itself was run here, by the 12 digits of the cell: these rows may show `re-run`.
        notes: What was noticed, and what could not be checked and why; no note keeps a bundle out.
    """

    manifest: BundleManifest
    records: tuple[Record, ...]
    problems: tuple[BundleProblem, ...]
    trust: Trust
    rescored: dict[str, int] = field(default_factory=dict)
    rerun: dict[str, int] = field(default_factory=dict)
    notes: tuple[BundleProblem, ...] = ()

    def level(self, record: Record) -> Trust:
        """Level of trust that the rows of one of its cells may show."""
        return "re-run" if record.cell in self.rerun and not self.problems else self.trust


BundleCheck = Callable[[Store, VerificationReport], VerificationReport]
"""(cells of a bundle as a store, the report so far) -> the report with one more check, such as methods run again."""


def verify(
    bundle: str | Path,
    rescore: RecomputeScore | None = None,
    sample: int = 20,
    further: Sequence[BundleCheck] = (),
    quiet: bool = True,
) -> VerificationReport:
    """Checks schema, sums, fingerprints, bounds and counts, then recomputes the scores of a seeded sample.

    Args:
        bundle: Its folder.
        rescore: Recomputes rows from stored explanations on the verifier's model and task; None: form and consistency alone.
        sample: Instances of each cell and metric that are recomputed (metrics of the whole set are recomputed whole).
        further: Checks that follow where scores were recomputed (`check_rerun`, `check_secret_seed`).
        quiet: Whether no progress bar is shown.

    Raises:
        BadBundle: It cannot even be read as a bundle: manifest, links, names, sizes or sums.
    """
    manifest = read_manifest(bundle)
    check_sums(bundle, manifest)
    store = Store(str(Path(bundle) / "cells"), seals=False)
    problems: list[BundleProblem] = []
    records: list[Record] = []
    for cell in _cells(store, manifest):
        record = _record(store, cell, problems)
        if record is not None:
            records.append(record)
            problems += _consistent(cell, record)
    if not records:
        problems.append(BundleProblem("bundle", "it has no readable cells."))
    if problems or rescore is None:
        return VerificationReport(manifest, tuple(records), tuple(problems), "self-reported" if problems else "well-formed")
    counts: dict[str, int] = {}
    with Progress(len(records), quiet) as progress:
        for record in records:
            progress.step(f"recomputing {record.task} {record.method}", 0)
            problems += _recomputed(store, record, rescore, sample, counts)
            progress.step(f"recomputing {record.task} {record.method}")
    notes = tuple(_submitter_trained_models(store, manifest))
    checked = VerificationReport(
        manifest, tuple(records), tuple(problems), "well-formed" if problems else "re-scored", counts, notes=notes
    )
    for check in further:
        checked = check(store, checked)
    return checked


def _submitter_trained_models(store: Store, manifest: BundleManifest) -> Iterator[BundleProblem]:
    """A note on each model that the submitter trained: its weights come with the bundle, and nothing shows how it was trained."""
    for name in manifest.files:
        if name.startswith("cells/fits/") and name.endswith("/fit.json"):
            data = store.files.read(f"{store.files.root}/{name.removeprefix('cells/')}") or b""
            try:
                model = TrainingRecord.model_validate_json(data).key.get("model")
            except ValidationError:
                continue  # weights that cannot be read are trained anew
            if model is not None:
                yield BundleProblem(
                    name, f"the model {model} was trained by the submitter; scores were recomputed with its weights."
                )


def _cells(store: Store, manifest: BundleManifest) -> Iterator[Cell]:
    """Every folder of the bundle that holds files, with or without a record."""
    cells = [name.removeprefix("cells/") for name in manifest.files if not name.startswith("cells/fits/")]
    folders = {name.split("/explanations/")[0].split("/scores/")[0] for name in cells}
    for folder in sorted({f.removesuffix("/record.json") for f in folders}):
        yield Cell(store.files, f"{store.files.root}/{folder}")


def _record(store: Store, cell: Cell, problems: list[BundleProblem]) -> Record | None:
    where = cell.folder
    data = cell.files.read(f"{cell.path}/record.json")
    try:
        stored = json.loads(data or b"")
        check_schema(int(stored["schema_version"]), SCHEMA, "its record")
        record = Record.model_validate(stored)
    except FlowgaugeError as newer:
        problems.append(BundleProblem(where, str(newer)))
        return None
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, ValidationError) as error:
        problems.append(BundleProblem(where, f"its record cannot be read: {' '.join(str(error).split())[:200]}"))
        return None
    if not all(isinstance(record.key.get(part), dict) for part in ("method", "task")):
        problems.append(BundleProblem(where, "its key does not describe its method and its task."))
        return None
    if store.find(record).path != cell.path:
        problems.append(BundleProblem(where, "it lies in another folder than model, task and name of its record say."))
        return None
    if record.status not in FINAL:
        problems.append(BundleProblem(where, f"its status is {record.status}; only finished cells are taken."))
    if short_hash(record.key) != record.cell or record.folder != where:
        problems.append(BundleProblem(where, "its name is not the hash of its key."))
    if record.key.get("method", {}).get("name") != record.method or record.key.get("task", {}).get("name") != record.task:
        problems.append(BundleProblem(where, "method or task of its record are not those of its key."))
    if record.key.get("method", {}).get("settings") != record.settings or record.key.get("seed") != record.seed:
        problems.append(BundleProblem(where, "settings or seed of its record are not those of its key."))
    problems += [BundleProblem(where, what) for what in check_external_marks(record)]
    return record


def _consistent(cell: Cell, record: Record) -> Iterator[BundleProblem]:
    """Checks explanations, rows and aggregates of one cell against one another."""
    there = cell.sums()
    if absent := sorted(record.files.keys() - there.keys()):
        yield BundleProblem(cell.folder, f"{len(absent)} of the files that its record lists are not in it, first {absent[0]}.")
        return
    if there != record.files:
        yield BundleProblem(cell.folder, "its files are not those that its record lists.")
        return
    if record.status == "not-applicable":
        if record.instances or record.scores or there or not record.error:
            yield BundleProblem(
                cell.folder, "it says that its method is not applicable, but has explanations or scores, or no reason."
            )
        return
    try:
        ids = [sentence.id for name in cell.part_names() for sentence in cell.part(name).sentences]
    except FlowgaugeError as error:
        yield BundleProblem(cell.folder, f"its explanations cannot be read: {error}")
        return
    if len(ids) != len(set(ids)) or len(ids) != record.instances:
        yield BundleProblem(
            cell.folder, f"{len(ids)} explanations of {len(set(ids))} instances, its record says {record.instances}."
        )
    if is_outside(record) and content_sum(cell.parts()) != record.key.get("explanations"):
        yield BundleProblem(cell.folder, "its explanations are not those whose sum its key holds.")
    for metric, score in record.scores.items():
        if score.status == "done":
            yield from _score(cell, metric, score, set(ids))


def _score(cell: Cell, metric: str, score: Score, ids: set[str]) -> Iterator[BundleProblem]:
    where = f"{cell.folder}, {metric}"
    if score.metric != metric:
        yield BundleProblem(where, f"it holds the score of {score.metric}.")
        return
    stored = cell.read_score(metric)
    if stored is None or stored.model_dump_json() != score.model_dump_json():
        yield BundleProblem(where, "the score in its record is not the one beside its rows.")
        return
    fault = _table_fault(cell.files.read(cell.scores_path(metric)) or b"")
    if fault:
        yield BundleProblem(where, fault)
        return
    try:
        rows = cell.rows(metric)
    except FlowgaugeError as error:
        yield BundleProblem(where, str(error))
        return
    yield from _rows(where, rows, score, ids)
    if score.scope == "instance":
        yield from _aggregates(where, rows, score)


def _table_fault(data: bytes) -> str:
    """Why a file of rows is not read; empty where it is.

    Texts are checked as dictionaries, before they are spread out in memory: a few bytes may repeat a long text a million times.
    """
    texts = [name for name, kind in COLUMNS.items() if kind == "string"]
    try:
        schema = pq.read_schema(pa.BufferReader(data))
        if schema.names != list(COLUMNS):
            return f"its rows have the columns {schema.names}."
        types = {column.name: str(column.type).removeprefix("large_") for column in schema}
        odd = [name for name, kind in COLUMNS.items() if types[name] != KINDS.get(kind, kind)]
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
        return f"its rows are not whole: {' '.join(str(error).split())[:200]}"
    return ""


def _rows(where: str, rows: pd.DataFrame, score: Score, ids: set[str]) -> Iterator[BundleProblem]:
    stranger = sorted(set(rows["instance"]) - ids)
    if stranger:
        yield BundleProblem(where, f"rows of instance {stranger[0]!r}, which is not explained.")
    if rows.duplicated(["instance", "variant", "draw"]).any():
        yield BundleProblem(where, "an instance has two rows of one variant and draw.")
    value = rows["value"].to_numpy(float)
    if (np.isnan(value) & (rows["reason"].fillna("") == "").to_numpy()).any():
        yield BundleProblem(where, "scores that are NaN without a reason.")
    ranked = (rows["variant"] == score.ranked).to_numpy()
    if score.scope == "instance" and set(rows["instance"][ranked]) != ids:
        yield BundleProblem(
            where, f"{len(ids - set(rows['instance'][ranked]))} explained instances have no row of {score.ranked}."
        )
    low, high = (limit if limit is not None else side for limit, side in zip(score.bounds, (-math.inf, math.inf), strict=True))
    out = ranked & ((value < low - 1e-9) | (value > high + 1e-9))
    if out.any():
        yield BundleProblem(where, f"{int(out.sum())} scores lie outside [{low:g}, {high:g}], first {value[out][0]:g}.")


def _aggregates(where: str, rows: pd.DataFrame, score: Score) -> Iterator[BundleProblem]:
    """Compares stored aggregates with those of the rows; intervals too, for resampling is seeded.

    Version 0.1 resampled the instances in the order of the rows: its intervals are of the rows as well.
    """
    ours = {a.variant: asdict(a) for a in summarise(rows)}
    theirs = {a.variant: asdict(a) for a in score.aggregates}
    if ours.keys() != theirs.keys():
        yield BundleProblem(where, "its aggregates are of other variants than its rows.")
        return
    if not all(np.allclose(_ends(s), _ends(theirs[v]), rtol=1e-6, atol=1e-9, equal_nan=True) for v, s in ours.items()):
        ours = {a.variant: asdict(a) for a in summarise(rows, by_id=False, resamples=4000)}
    for variant, summary in ours.items():
        for name in ("value", "low", "high", "count", "undefined"):
            if not np.isclose(summary[name], theirs[variant][name], rtol=1e-6, atol=1e-9, equal_nan=True):
                yield BundleProblem(where, f"{name} of {variant} is {theirs[variant][name]:g}, its rows give {summary[name]:g}.")
                return


def _ends(summary: dict[str, Any]) -> tuple[float, float]:
    return summary["low"], summary["high"]


def _recomputed(
    store: Store, record: Record, rescore: RecomputeScore, sample: int, counts: dict[str, int]
) -> Iterator[BundleProblem]:
    for metric, score in record.scores.items():
        if score.status != "done":
            continue
        where = f"{record.folder}, {metric}"
        try:
            ours = rescore(store, record, metric, sample)
        except FlowgaugeError as error:
            yield BundleProblem(where, f"it cannot be recomputed: {error}")
            continue
        counts[metric] = counts.get(metric, 0) + (len(ours.rows) or len(ours.aggregates))
        yield from _differ(where, store.find(record).rows(metric), ours.rows)
        if score.scope == "set":
            yield from _set_differs(where, score, ours)


def _differ(where: str, theirs: pd.DataFrame, ours: pd.DataFrame) -> Iterator[BundleProblem]:
    keys = ["instance", "variant", "draw"]
    theirs = theirs[theirs["instance"].isin(ours["instance"])]
    both = ours.merge(theirs, on=keys, how="outer", suffixes=("", "_theirs"), indicator=True)
    absent, extra = (int((both["_merge"] == side).sum()) for side in ("left_only", "right_only"))
    if absent:
        yield BundleProblem(where, f"{absent} of {len(ours)} recomputed rows are missing from it.")
    if extra:
        first = both[both["_merge"] == "right_only"].iloc[0]
        yield BundleProblem(where, f"{extra} of its rows are not recomputed, first {first['instance']!r}, {first['variant']}.")
    both = both[both["_merge"] == "both"]
    moved = both["condition"].fillna("") != both["condition_theirs"].fillna("")
    if moved.any():
        first = both[moved].iloc[0]
        yield BundleProblem(
            where, f"{first['instance']!r} is of condition {first['condition']}, not {first['condition_theirs']}."
        )
    value, stored = both["value"].to_numpy(float), both["value_theirs"].to_numpy(float)
    differs = ~np.isclose(stored, value, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    if differs.any():
        first, gap = both[differs].iloc[0], np.abs(value - stored)[differs]
        size = f"by up to {np.nanmax(gap):.3g}" if not np.isnan(gap).all() else "in being defined"
        yield BundleProblem(
            where,
            f"{int(differs.sum())} of {len(ours)} recomputed rows differ {size}; first {first['instance']!r}, "
            f"{first['variant']}: {first['value_theirs']:g} there, {first['value']:g} recomputed.",
        )


def _set_differs(where: str, score: Score, ours: Scores) -> Iterator[BundleProblem]:
    """Compares aggregates that are no means of rows; ends of intervals depend on the order of instances, which may differ."""
    theirs = {a.variant: a for a in score.aggregates}
    if {a.variant for a in ours.aggregates} != theirs.keys():
        yield BundleProblem(where, "its aggregates are of other variants than recomputed.")
        return
    for recomputed in ours.aggregates:
        stored, width = theirs[recomputed.variant], abs(recomputed.high - recomputed.low)
        slack = {"value": 0.0, "low": WIDTHS * width, "high": WIDTHS * width, "count": 0.0, "undefined": 0.0}
        for name, more in slack.items():
            there, here = float(getattr(stored, name)), float(getattr(recomputed, name))
            if not np.isclose(there, here, rtol=TOLERANCE, atol=TOLERANCE + np.nan_to_num(more), equal_nan=True):
                yield BundleProblem(where, f"{name} of {recomputed.variant} is {there:g}, recomputed {here:g}.")
                return


def raise_on_problems(checked: VerificationReport) -> None:
    """Raises where a bundle has problems.

    Args:
        checked: The report on it.

    Raises:
        BadBundle: Names the first problem, and how many there are.
    """
    if checked.problems:
        first = checked.problems[0]
        raise BadBundle(f"{first.where}: {first.what} ({len(checked.problems)} problems in all)")
