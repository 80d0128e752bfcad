"""Whether a bundle may enter a board: its form, its own consistency, and its scores against a verifier's. No torch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import ValidationError

from ..benchmark.cell import Cell
from ..benchmark.explanation_io import DamagedPart
from ..benchmark.jobs import FINAL
from ..benchmark.key import short_hash
from ..benchmark.outside import content_sum, is_outside, marks
from ..benchmark.record import SCHEMA, Record, Score
from ..benchmark.store import Store
from ..core.errors import FlowgaugeError
from ..metrics.scores import COLUMNS, Scores
from ..metrics.summary import summarise
from .bundle import BadBundle, Manifest, check_sums, read_manifest

Trust = Literal["self-reported", "well-formed", "re-scored", "re-run", "maintained"]
TRUST: tuple[Trust, ...] = ("self-reported", "well-formed", "re-scored", "re-run", "maintained")
"""From least to most."""
Rescore = Callable[[Store, Record, str, int], Scores]
"""(cells of a bundle as a store, record, metric identity, instances to sample) -> the metric as the verifier finds it."""
TOLERANCE = 1e-4
"""Of recomputed scores, relative to 1 + their size: other machines round otherwise."""
WIDTHS = 0.2
"""Of an interval: how far its resampled ends may lie from those that are recomputed in another order."""

TEXTS = ("instance", "condition", "variant", "reason")
"""Columns of score rows that hold text."""


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with a bundle.

    Attributes:
        where: Cell, or cell and metric.
        what: The rule it breaks, and by how much.
    """

    where: str
    what: str


@dataclass(frozen=True)
class Checked:
    """What verification found.

    Attributes:
        manifest: Of the bundle.
        records: Its cells.
        problems: None of them: it may enter.
        trust: What all its rows may show.
        rescored: Rows recomputed, by metric.
        rerun: Instances on which the method itself was run here, by the 12 digits of the cell: these rows may show `re-run`.
        notes: What was seen, and what could not be checked and why; that speaks against nobody.
    """

    manifest: Manifest
    records: tuple[Record, ...]
    problems: tuple[Problem, ...]
    trust: Trust
    rescored: dict[str, int] = field(default_factory=dict)
    rerun: dict[str, int] = field(default_factory=dict)
    notes: tuple[Problem, ...] = ()

    def level(self, record: Record) -> Trust:
        """What the rows of one of its cells may show."""
        return "re-run" if record.cell in self.rerun and not self.problems else self.trust


Further = Callable[[Store, Checked], Checked]
"""(cells of a bundle as a store, what was found so far) -> what was found with this: methods run again, or on fresh instances."""


def verify(bundle: str | Path, rescore: Rescore | None = None, sample: int = 20, further: Sequence[Further] = ()) -> Checked:
    """Checks schema, sums, fingerprints, bounds and counts, then recomputes the scores of a seeded sample.

    Args:
        bundle: Its folder.
        rescore: Recomputes rows from stored explanations on the verifier's model and task; None: form and consistency alone.
        sample: Instances of each cell and metric that are recomputed (metrics of the whole set are recomputed whole).
        further: Checks that follow where scores were recomputed (`leaderboards.again`, `leaderboards.fresh`).

    Raises:
        BadBundle: It cannot even be read as a bundle: manifest, links, names, sizes or sums.
    """
    manifest = read_manifest(bundle)
    check_sums(bundle, manifest)
    store = Store(str(Path(bundle) / "cells"))
    problems: list[Problem] = []
    records: list[Record] = []
    for cell in _cells(store, manifest):
        record = _record(store, cell, problems)
        if record is not None:
            records.append(record)
            problems += _consistent(cell, record)
    if not records:
        problems.append(Problem("bundle", "it has no readable cells."))
    if problems or rescore is None:
        return Checked(manifest, tuple(records), tuple(problems), "self-reported" if problems else "well-formed")
    counts: dict[str, int] = {}
    for record in records:
        problems += _rescored(store, record, rescore, sample, counts)
    checked = Checked(manifest, tuple(records), tuple(problems), "well-formed" if problems else "re-scored", counts)
    for check in further:
        checked = check(store, checked)
    return checked


def _cells(store: Store, manifest: Manifest) -> Iterator[Cell]:
    """Every folder of the bundle that holds files, with or without a record."""
    cells = [name.removeprefix("cells/") for name in manifest.files if not name.startswith("cells/fits/")]
    folders = {name.split("/explanations/")[0].split("/scores/")[0] for name in cells}
    for folder in sorted({f.removesuffix("/record.json") for f in folders}):
        yield Cell(store.files, f"{store.files.root}/{folder}")


def _record(store: Store, cell: Cell, problems: list[Problem]) -> Record | None:
    where = cell.folder
    data = cell.files.read(f"{cell.path}/record.json")
    try:
        stored = json.loads(data or b"")
        if int(stored["schema_version"]) > SCHEMA:
            problems.append(
                Problem(where, f"its record has schema {stored['schema_version']}, this flowgauge reads up to {SCHEMA}.")
            )
            return None
        record = Record.model_validate(stored)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, ValidationError) as error:
        problems.append(Problem(where, f"its record cannot be read: {' '.join(str(error).split())[:200]}"))
        return None
    if not all(isinstance(record.key.get(part), dict) for part in ("method", "task")):
        problems.append(Problem(where, "its key does not describe its method and its task."))
        return None
    if store.find(record).path != cell.path:
        problems.append(Problem(where, "it lies in another folder than model, task and name of its record say."))
        return None
    if record.status not in FINAL:
        problems.append(Problem(where, f"its status is {record.status}; only finished cells are taken."))
    if short_hash(record.key) != record.cell or record.folder != where:
        problems.append(Problem(where, "its name is not the hash of its key."))
    if record.key.get("method", {}).get("name") != record.method or record.key.get("task", {}).get("name") != record.task:
        problems.append(Problem(where, "method or task of its record are not those of its key."))
    if record.key.get("method", {}).get("settings") != record.settings or record.key.get("seed") != record.seed:
        problems.append(Problem(where, "settings or seed of its record are not those of its key."))
    problems += [Problem(where, what) for what in marks(record)]
    return record


def _consistent(cell: Cell, record: Record) -> Iterator[Problem]:
    """Explanations, rows and aggregates of one cell against one another."""
    there = cell.sums()
    if absent := sorted(record.files.keys() - there.keys()):
        yield Problem(cell.folder, f"{len(absent)} of the files that its record lists are not in it, first {absent[0]}.")
        return
    if there != record.files:
        yield Problem(cell.folder, "its files are not those that its record lists.")
        return
    if record.status == "not-applicable":
        if record.instances or record.scores or there or not record.error:
            yield Problem(cell.folder, "it says that its method is not applicable, but has explanations or scores, or no reason.")
        return
    try:
        ids = [sentence.id for name in cell.part_names() for sentence in cell.part(name).sentences]
    except (DamagedPart, FlowgaugeError) as error:
        yield Problem(cell.folder, f"its explanations cannot be read: {error}")
        return
    if len(ids) != len(set(ids)) or len(ids) != record.instances:
        yield Problem(cell.folder, f"{len(ids)} explanations of {len(set(ids))} instances, its record says {record.instances}.")
    if is_outside(record) and content_sum(cell.parts()) != record.key.get("explanations"):
        yield Problem(cell.folder, "its explanations are not those that its key was made of.")
    for metric, score in record.scores.items():
        if score.status == "done":
            yield from _score(cell, metric, score, set(ids))


def _score(cell: Cell, metric: str, score: Score, ids: set[str]) -> Iterator[Problem]:
    where = f"{cell.folder}, {metric}"
    stored = cell.read_score(metric)
    if stored is None or stored.model_dump_json() != score.model_dump_json():
        yield Problem(where, "the score in its record is not the one beside its rows.")
        return
    try:
        rows = cell.rows(metric)
    except FlowgaugeError as error:
        yield Problem(where, str(error))
        return
    if list(rows.columns) != list(COLUMNS):
        yield Problem(where, f"its rows have the columns {list(rows.columns)}.")
        return
    if mistyped := _mistyped(rows):
        yield Problem(where, f"its rows have a column {mistyped!r} with values of another kind, or none.")
        return
    yield from _rows(where, rows, score, ids)
    if score.scope == "instance":
        yield from _aggregates(where, rows, score)


def _mistyped(rows: pd.DataFrame) -> str | None:
    """The first column that does not hold what score rows hold; None where all do."""
    fitting = {name: all(isinstance(one, str) for one in rows[name].dropna()) for name in TEXTS}
    fitting |= {name: fitting[name] and rows[name].notna().all() for name in ("instance", "variant")}
    fitting |= {"draw": pd.api.types.is_integer_dtype(rows["draw"]), "value": pd.api.types.is_float_dtype(rows["value"])}
    return next((name for name, fits in fitting.items() if not fits), None)


def _rows(where: str, rows: pd.DataFrame, score: Score, ids: set[str]) -> Iterator[Problem]:
    stranger = sorted(set(rows["instance"]) - ids)
    if stranger:
        yield Problem(where, f"rows of instance {stranger[0]!r}, which is not explained.")
    if rows.duplicated(["instance", "variant", "draw"]).any():
        yield Problem(where, "an instance stands twice.")
    value = rows["value"].to_numpy(float)
    if (np.isnan(value) & (rows["reason"].fillna("") == "").to_numpy()).any():
        yield Problem(where, "scores that are NaN without a reason.")
    ranked = (rows["variant"] == score.ranked).to_numpy()
    if score.scope == "instance" and set(rows["instance"][ranked]) != ids:
        yield Problem(where, f"{len(ids - set(rows['instance'][ranked]))} explained instances have no row of {score.ranked}.")
    low, high = (limit if limit is not None else side for limit, side in zip(score.bounds, (-math.inf, math.inf), strict=True))
    out = ranked & ((value < low - 1e-9) | (value > high + 1e-9))
    if out.any():
        yield Problem(where, f"{int(out.sum())} scores lie outside [{low:g}, {high:g}], first {value[out][0]:g}.")


def _aggregates(where: str, rows: pd.DataFrame, score: Score) -> Iterator[Problem]:
    """The aggregates are those of the rows; intervals too, for resampling is seeded."""
    ours = {a.variant: asdict(a) for a in summarise(rows)}
    theirs = {a.variant: a.model_dump() for a in score.aggregates}
    if ours.keys() != theirs.keys():
        yield Problem(where, "its aggregates are of other variants than its rows.")
        return
    for variant, found in ours.items():
        for name in ("value", "low", "high", "count", "undefined"):
            if not np.isclose(found[name], theirs[variant][name], rtol=1e-6, atol=1e-9, equal_nan=True):
                yield Problem(where, f"{name} of {variant} is {theirs[variant][name]:g}, its rows give {found[name]:g}.")
                return


def _rescored(store: Store, record: Record, rescore: Rescore, sample: int, counts: dict[str, int]) -> Iterator[Problem]:
    for metric, score in record.scores.items():
        if score.status != "done":
            continue
        where = f"{record.folder}, {metric}"
        try:
            ours = rescore(store, record, metric, sample)
        except FlowgaugeError as error:
            yield Problem(where, f"it cannot be recomputed: {error}")
            continue
        counts[metric] = counts.get(metric, 0) + (len(ours.rows) or len(ours.aggregates))
        yield from _differ(where, store.find(record).rows(metric), ours.rows)
        if score.scope == "set":
            yield from _set_differs(where, score, ours)


def _differ(where: str, theirs: pd.DataFrame, ours: pd.DataFrame) -> Iterator[Problem]:
    keys = ["instance", "variant", "draw"]
    both = ours.merge(theirs, on=keys, how="left", suffixes=("", "_theirs"), indicator=True)
    absent = int((both["_merge"] == "left_only").sum())
    value, stored = both["value"].to_numpy(float), both["value_theirs"].to_numpy(float)
    gap = np.abs(value - stored)
    differs = (gap > TOLERANCE * (1 + np.abs(value))) | (np.isnan(value) != np.isnan(stored))
    differs &= (both["_merge"] == "both").to_numpy()
    if absent:
        yield Problem(where, f"{absent} of {len(both)} recomputed rows are missing from it.")
    if differs.any():
        first = both[differs].iloc[0]
        size = f"by up to {np.nanmax(gap[differs]):.3g}" if not np.isnan(gap[differs]).all() else "in being defined"
        yield Problem(
            where,
            f"{int(differs.sum())} of {len(both)} recomputed rows differ {size}; first {first['instance']!r}, "
            f"{first['variant']}: {first['value_theirs']:g} there, {first['value']:g} recomputed.",
        )


def _set_differs(where: str, score: Score, ours: Scores) -> Iterator[Problem]:
    """Aggregates that are no means of rows; the ends of intervals hang on the order of instances, which may be another here."""
    theirs = {a.variant: a for a in score.aggregates}
    if {a.variant for a in ours.aggregates} != theirs.keys():
        yield Problem(where, "its aggregates are of other variants than recomputed.")
        return
    for found in ours.aggregates:
        stored, width = theirs[found.variant], abs(found.high - found.low)
        slack = {"value": 0.0, "low": WIDTHS * width, "high": WIDTHS * width, "count": 0.0, "undefined": 0.0}
        for name, more in slack.items():
            there, here = float(getattr(stored, name)), float(getattr(found, name))
            if not np.isclose(there, here, rtol=TOLERANCE, atol=TOLERANCE + np.nan_to_num(more), equal_nan=True):
                yield Problem(where, f"{name} of {found.variant} is {there:g}, recomputed {here:g}.")
                return


def rejected(checked: Checked) -> None:
    """Stops at a bundle with problems.

    Raises:
        BadBundle: Names the first, and how many there are.
    """
    if checked.problems:
        first = checked.problems[0]
        raise BadBundle(f"{first.where}: {first.what} ({len(checked.problems)} problems in all)")


def weakest(levels: Sequence[Trust]) -> Trust:
    """The least trusted of several levels."""
    return min(levels, key=TRUST.index)
