"""Whether a bundle may enter a board: its form, its own consistency, and its scores against a verifier's."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from ...benchmark.store.cell import RECORD, Cell
from ...benchmark.store.record import Record, Score, TrainingRecord
from ...benchmark.store.renewal import count_old, is_old
from ...benchmark.store.store import Store
from ...core.errors import FlowgaugeError, NotApplicable, shortened
from ...core.progress import Progress
from ...metrics.scores import NO_INTERVAL, Aggregate, Scores
from ...metrics.summary import summarise
from .bundle import BadBundle, BundleCopy, BundleManifest, name_of_training, private_copy
from .consistency import SUMMARY, VALUES, aggregate_faults, check_cell, check_trainings, read_record
from .trust import BundleProblem, Trust, weakest

log = logging.getLogger(__name__)
TOLERANCE = 1e-4
"""Largest difference of recomputed scores, relative to 1 + their size: other machines round otherwise."""
SAMPLE = 200
"""Instances of a cell and metric that are recomputed by default."""


class Recompute(Protocol):
    """Recomputes what a bundle says, on the verifier's own model and task (`benchmark.verification.recompute_scores`)."""

    def check_cell(self, store: Store, record: Record) -> str:
        """Checks what a cell says of model, task, method and instances, and asks again whether its method is applicable.

        Returns:
            What is worth a note; empty for nothing.

        Raises:
            NotApplicable: It cannot be asked here.
            FlowgaugeError: It says something else than what is computed here.
        """
        ...

    def __call__(self, store: Store, record: Record, metric: str, sample: int) -> Scores:
        """Scores of some of a cell's instances by one of its metrics.

        Raises:
            NotApplicable: The metric is not applicable here; the text is the reason.
            FlowgaugeError: The score says something else of its metric than is true here, or cannot be recomputed.
        """
        ...


@dataclass(frozen=True)
class VerificationReport:
    """The result of verifying a bundle.

    Attributes:
        manifest: The bundle's manifest.
        records: Records of its cells.
        problems: Rules that it breaks; it may enter a board if there are none.
        trust: Level of trust that all its rows may show.
        rescored: How many rows were recomputed, by metric.
        rerun: Instances on which the method itself was run here, by the 12 digits of the cell.
        levels: Level of trust that the rows of a cell may show, by the same digits, where it is more than `trust`.
        notes: What was noticed, and what could not be checked and why; no note keeps a bundle out.
    """

    manifest: BundleManifest
    records: tuple[Record, ...]
    problems: tuple[BundleProblem, ...]
    trust: Trust
    rescored: dict[str, int] = field(default_factory=dict)
    rerun: dict[str, int] = field(default_factory=dict)
    levels: dict[str, Trust] = field(default_factory=dict)
    notes: tuple[BundleProblem, ...] = ()

    def level(self, record: Record) -> Trust:
        """Level of trust that the rows of one of its cells may show."""
        return self.trust if self.problems else self.levels.get(record.cell, self.trust)


BundleCheck = Callable[[Store, VerificationReport], VerificationReport]
"""(cells of a bundle as a store, the report so far) -> the report with one more check, such as methods run again."""


def verify(
    bundle: str | Path,
    rescore: Recompute | None = None,
    sample: int = SAMPLE,
    further: Sequence[BundleCheck] = (),
    quiet: bool = True,
) -> VerificationReport:
    """Checks a bundle, as `verified` does.

    Args:
        bundle: Its folder.
        rescore: Recomputes what it says on the verifier's model and task; None: form and consistency alone.
        sample: Instances of each cell and metric that are recomputed (metrics of the whole set are recomputed whole).
        further: Checks that follow where scores were recomputed (`check_rerun`, `check_secret_seed`).
        quiet: Whether no progress bar is shown.

    Raises:
        UsageError: There is no bundle.
        BadBundle: It cannot even be read as a bundle: manifest, links, names, sizes or sums.
    """
    with verified(bundle, rescore, sample, further, quiet) as (_, report):
        return report


@contextmanager
def verified(
    bundle: str | Path,
    rescore: Recompute | None = None,
    sample: int = SAMPLE,
    further: Sequence[BundleCheck] = (),
    quiet: bool = True,
) -> Iterator[tuple[BundleCopy, VerificationReport]]:
    """A private copy of a bundle with the report on it: its form and consistency, then what it says against what is recomputed.

    Args and errors are those of `verify`.
    """
    with private_copy(bundle) as copy:
        report = _report(copy, rescore, sample, further, quiet)
        problems, notes = (
            tuple(replace(each, what=each.what.replace(str(copy.folder), str(bundle))) for each in remarks)
            for remarks in (report.problems, report.notes)
        )
        yield copy, replace(report, problems=problems, notes=notes)


def _report(
    copy: BundleCopy, rescore: Recompute | None, sample: int, further: Sequence[BundleCheck], quiet: bool
) -> VerificationReport:
    store, manifest = Store(str(copy.folder / "cells"), seals=False), copy.manifest
    names = [name.removeprefix("cells/") for name in manifest.files]
    problems: list[BundleProblem] = []
    records: list[Record] = []
    for cell in _cells(store, names):
        record, faults = read_record(store, cell)
        problems += [BundleProblem(cell.folder, fault) for fault in faults]
        if record is not None:
            records.append(record)
            problems += check_cell(cell, record)
    matched = {score.reference for record in records for score in record.scores.values()}
    hidden = [record for record in records if record.reference_only and record.folder not in matched]
    problems += [
        BundleProblem(record.folder, "tables leave it out, but no score of the bundle is matched to it.") for record in hidden
    ]
    faults_of_trainings, useless = check_trainings(store, names, records)
    problems += faults_of_trainings
    for folder in useless:
        store.files.remove(f"{store.files.root}/{folder}")
    if not records:
        problems.append(BundleProblem("bundle", "it has no readable cells."))
    notes = tuple(BundleProblem(folder, f"this training is left out: {why}") for folder, why in useless.items())
    if old := sum(map(count_old, records)):
        what = "intervals of version 0.1 cannot be checked, and today's are computed from the rows wherever they are shown"
        notes = (*notes, BundleProblem("bundle", f"{what} (scores that have them: {old})."))
    trust: Trust = "self-reported" if problems else "well-formed"
    report = VerificationReport(manifest, tuple(records), tuple(problems), trust, notes=notes)
    if problems or rescore is None:
        return report
    report = _recomputed(store, report, rescore, sample, quiet)
    for check in () if report.problems else further:
        report = check(store, report)
    return report


def _cells(store: Store, names: Sequence[str]) -> Iterator[Cell]:
    """Every folder of the bundle that holds files, with or without a record."""
    folders = {
        name.split("/explanations/")[0].split("/scores/")[0].removesuffix(f"/{RECORD}")
        for name in names
        if not name.startswith("fits/")
    }
    yield from (Cell(store.files, f"{store.files.root}/{folder}") for folder in sorted(folders))


def _recomputed(store: Store, report: VerificationReport, rescore: Recompute, sample: int, quiet: bool) -> VerificationReport:
    """The report on a consistent bundle, with what comes of recomputing."""
    problems: list[BundleProblem] = []
    notes = [*report.notes, *_trainings(store, report.manifest)]
    counts: dict[str, int] = {}
    levels: dict[str, Trust] = {}
    with Progress(len(report.records), quiet) as progress:
        for record in report.records:
            progress.step(f"recomputing {record.task} {record.method}", 0)
            levels[record.cell], note = "re-scored", ""
            try:
                note = rescore.check_cell(store, record)
                for metric, score in record.scores.items():
                    faults = _score_faults(store, record, score, rescore, sample, counts)
                    problems += [BundleProblem(f"{record.folder}, {metric}", fault) for fault in faults]
            except NotApplicable as reason:
                note = f"it is {record.status}, which cannot be asked again here: {reason}"
                levels[record.cell] = "well-formed"
            except Exception as error:  # a record of any form
                problems.append(BundleProblem(record.folder, f"it cannot be recomputed: {_text(error)}"))
            notes += [BundleProblem(record.folder, note)] if note else []
            progress.step(f"recomputing {record.task} {record.method}")
    trust: Trust = "well-formed" if problems else weakest([*levels.values()])
    return replace(report, problems=tuple(problems), trust=trust, rescored=counts, levels=levels, notes=tuple(notes))


def _text(error: BaseException) -> str:
    """An error's own words; another error is that of a record whose parts do not fit one another."""
    log.debug("recomputing failed", exc_info=error)
    if isinstance(error, FlowgaugeError):
        return str(error)
    return f"its record has not the form that flowgauge writes ({shortened(str(error), 100)})."


def _trainings(store: Store, manifest: BundleManifest) -> Iterator[BundleProblem]:
    """A note on each training: its weights come with the bundle, and nothing shows how they were trained."""
    for name in manifest.files:
        if name.startswith("cells/fits/") and name.endswith("/fit.json"):
            data = store.files.read(f"{store.files.root}/{name.removeprefix('cells/')}")
            if data is None:
                continue  # it is left out
            key = TrainingRecord.model_validate_json(data).key
            kind = "model" if "model" in key else "method"
            used = "; scores were recomputed with its weights" if kind == "model" else ""
            yield BundleProblem(name, f"the {kind} {name_of_training(key)} was trained by the submitter{used}.")


def _score_faults(
    store: Store, record: Record, score: Score, rescore: Recompute, sample: int, counts: dict[str, int]
) -> Iterator[str]:
    """Compares a score with what is computed here: a sample of rows, or all where aggregates are no means of rows."""
    claimed = score.status == "not-applicable"
    try:
        ours = rescore(store, record, score.metric, record.instances if claimed else sample)
        if ours.aggregates and ours.rows["instance"].nunique() < record.instances:
            ours = rescore(store, record, score.metric, record.instances)
    except NotApplicable as reason:
        if not claimed or shortened(str(reason)) != score.reason:
            yield f"here it is not applicable: {reason}"
        return
    except Exception as error:  # a record of any form
        yield f"it cannot be recomputed: {_text(error)}"
        return
    if claimed:
        yield "it says that it is not applicable, and here it is applicable."
        return
    counts[score.metric] = counts.get(score.metric, 0) + (len(ours.rows) or len(ours.aggregates))
    rows = store.find(record).rows(score.metric)
    yield from _differ(rows, ours.rows)
    yield from _aggregates_differ(score, rows, ours)


def _differ(theirs: pd.DataFrame, ours: pd.DataFrame) -> Iterator[str]:
    keys = ["instance", "variant", "draw"]
    theirs = theirs[theirs["instance"].isin(ours["instance"])]
    both = ours.merge(theirs, on=keys, how="outer", suffixes=("", "_theirs"), indicator=True)
    absent, extra = (int((both["_merge"] == side).sum()) for side in ("left_only", "right_only"))
    if absent:
        yield f"{absent} of {len(ours)} recomputed rows are missing from it."
    if extra:
        first = both[both["_merge"] == "right_only"].iloc[0]
        yield f"{extra} of its rows are not recomputed, first {first['instance']!r}, {first['variant']}."
    both = both[both["_merge"] == "both"]
    for name in ("condition", "cluster", "reason"):
        moved = both[name].fillna("") != both[f"{name}_theirs"].fillna("")
        if moved.any():
            first = both[moved].iloc[0]
            yield (
                f"the {name} of {first['instance']!r}, {first['variant']}, is {str(first[f'{name}_theirs'])[:200]!r} there, "
                f"{first[name]!r} recomputed."
            )
    value, stored = both["value"].to_numpy(float), both["value_theirs"].to_numpy(float)
    differs = ~np.isclose(stored, value, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    if differs.any():
        first, gap = both[differs].iloc[0], np.abs(value - stored)[differs]
        size = f"by up to {np.nanmax(gap):.3g}" if not np.isnan(gap).all() else "in being defined"
        yield (
            f"{int(differs.sum())} of {len(ours)} recomputed rows differ {size}; first {first['instance']!r}, "
            f"{first['variant']}: {first['value_theirs']:g} there, {first['value']:g} recomputed."
        )


def _aggregates_differ(score: Score, rows: pd.DataFrame, ours: Scores) -> Iterator[str]:
    """Compares aggregates with those that the metric gives; or, where it gives none, with the means of the stored rows."""
    theirs = {aggregate.variant: aggregate for aggregate in score.aggregates}
    expected = ours.aggregates or summarise(rows, score.bounds)
    if {aggregate.variant for aggregate in expected} != theirs.keys():
        yield "its aggregates are of other variants than recomputed."
        return
    # Intervals of means were held against the rows before; those of version 0.1 cannot be checked, and no reader shows them.
    names = SUMMARY if ours.aggregates and not is_old(score) else VALUES
    if is_old(score):
        expected = tuple(_without_new_reason(aggregate, theirs[aggregate.variant].reason) for aggregate in expected)
    yield from aggregate_faults(theirs, expected, (*names, "reason"), "recomputed", TOLERANCE)


def _without_new_reason(aggregate: Aggregate, old: str) -> Aggregate:
    """An aggregate as version 0.1 wrote it, which gave no reason why there is no interval."""
    added = NO_INTERVAL in aggregate.reason.removeprefix(old.rstrip(".")) and aggregate.reason.startswith(old.rstrip("."))
    return replace(aggregate, reason=old) if added else aggregate


def chance_undetected(instances: int, doctored: int, sample: int = SAMPLE) -> float:
    """The probability that none of the doctored instances of a cell and metric is among those that are recomputed.

    C(instances - doctored, sample) / C(instances, sample): every cell and metric has a sample of its own, which is drawn after
    the submission. For c of them with as many doctored instances each, it is the c-th power.

    Args:
        instances: Of the cell.
        doctored: How many of them have false scores.
        sample: How many are recomputed.

    >>> round(chance_undetected(1000, 3), 2), chance_undetected(64, 1)
    (0.51, 0.0)
    """
    sample = min(sample, instances)
    return math.comb(instances - doctored, sample) / math.comb(instances, sample)


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
