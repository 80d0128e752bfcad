"""No way to cheat that is listed in `tamperings` passes; an honest bundle does, with its methods run again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.store.record import Record
from flowgauge.benchmark.store.store import Store
from flowgauge.benchmark.verification.recompute_scores import ScoreRecomputer
from flowgauge.benchmark.verification.rerun_methods import MethodRerunner
from flowgauge.core.errors import NotApplicable
from flowgauge.leaderboards.submission.bundle import BadBundle, pack
from flowgauge.leaderboards.submission.check_rerun import RerunCheck
from flowgauge.leaderboards.submission.verify import verify
from flowgauge.metrics.scores import Scores, frame
from flowgauge.tasks.agreement import capacity
from flowgauge.tasks.lexicon import templates

from ..forged import resign, sign
from .tamperings import (
    aggregates,
    costs,
    explanations,
    manifests,
    metrics,
    names_and_keys,
    not_applicable,
    paths,
    records,
    rows,
    trainings,
)  # fmt: skip
from .tamperings.catalogue import OF_BUNDLES, OF_RECORDS, TAMPERINGS

FORGED = (aggregates, costs, explanations, manifests, metrics, names_and_keys, not_applicable, paths, records, rows, trainings)
"""Importing these files fills the tables."""

ALL = capacity(templates()["sva/obj"], "SP")
"""Sentences of a condition: with all of them in `test`, the task has no train split."""


class OfTamperedCells:
    """Recomputes the cells and scores that differ from those of an honest bundle; of the others it says what is stored."""

    def __init__(self, recomputer: ScoreRecomputer, honest: Path) -> None:
        records = Store(str(honest / "cells")).records()
        self.recomputer, self.honest = recomputer, {of_cell(record) for record in records}
        self.honest |= {of_score(record, metric) for record in records for metric in record.scores}

    def check_cell(self, store: Store, record: Record) -> str:
        return "" if of_cell(record) in self.honest else self.recomputer.check_cell(store, record)

    def __call__(self, store: Store, record: Record, metric: str, sample: int) -> Scores:
        if of_score(record, metric) not in self.honest:
            return self.recomputer(store, record, metric, sample)
        score = record.scores[metric]
        if score.status == "not-applicable":
            raise NotApplicable(score.reason)
        return Scores(frame([]), score.aggregates)


def of_cell(record: Record) -> str:
    """All that a cell's predictions rest on: the record but for sizes of files, which `resign` leaves out."""
    return record.model_copy(update={"sizes": {}}).model_dump_json()


def of_score(record: Record, metric: str) -> str:
    """All that one of a cell's scores rests on: the record without its other scores, with the sums of files."""
    files = {
        name: total for name, total in record.files.items() if name in (f"scores/{metric}.parquet",) or "scores/" not in name
    }
    return of_cell(record.model_copy(update={"scores": {metric: record.scores[metric]}, "files": files}))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle that `tamperings/catalogue.py` describes."""
    folder = tmp_path_factory.mktemp("small")
    run(
        tasks=f"sva/obj:sentences={ALL}", methods=["saliency", "random:draws=2", "influence-patterns", "diffmask-input"],
        metrics=["ablated_accuracy", "comprehensiveness", "pattern_entropy", "concentration"], limit=4,
        store=str(folder / "store"), device="cpu",
    )  # fmt: skip
    pack(str(folder / "store"), folder / "bundle", "a tester")
    return folder / "bundle"


@pytest.fixture(scope="module")
def recomputer() -> ScoreRecomputer:
    """One for all, so that the sentences are encoded once."""
    return ScoreRecomputer(device="cpu")


def test_an_honest_bundle_passes_with_its_methods_run_again(small: Path, recomputer: ScoreRecomputer) -> None:
    checked = verify(small, recomputer, further=[RerunCheck(MethodRerunner(recomputer), 2)])
    assert checked.problems == () and checked.trust == "re-scored"
    levels = {record.method: checked.level(record) for record in checked.records}
    assert levels.pop("diffmask-input") == "re-scored" and set(levels.values()) == {"re-run"} and len(levels) == 3


@pytest.mark.parametrize("name", TAMPERINGS)
def test_no_tampering_passes(name: str, small: Path, recomputer: ScoreRecomputer, tmp_path: Path) -> None:
    tamper, words = TAMPERINGS[name]
    copy = Path(shutil.copytree(small, tmp_path / "copy"))
    tamper(copy)
    resign(copy)
    try:
        checked = verify(copy, OfTamperedCells(recomputer, small))
    except BadBundle as error:
        assert words in str(error)
    else:
        assert checked.problems and checked.trust in ("self-reported", "well-formed")
        assert words in "\n".join(problem.what for problem in checked.problems)


@pytest.mark.parametrize("name", OF_RECORDS)
def test_no_tampering_of_a_record_passes(name: str, small: Path, tmp_path: Path) -> None:
    tamper, words = OF_RECORDS[name]
    copy = Path(shutil.copytree(small, tmp_path / "copy"))
    tamper(copy)
    sign(copy)
    checked = verify(copy)
    assert words in "\n".join(problem.what for problem in checked.problems) and checked.trust == "self-reported"


@pytest.mark.parametrize("name", OF_BUNDLES)
def test_no_tampering_of_a_manifest_is_read(name: str, small: Path, tmp_path: Path) -> None:
    tamper, words = OF_BUNDLES[name]
    copy = Path(shutil.copytree(small, tmp_path / "copy"))
    tamper(copy)
    with pytest.raises(BadBundle, match=words):
        verify(copy)


def test_the_table_is_long() -> None:
    assert len(TAMPERINGS) + len(OF_RECORDS) + len(OF_BUNDLES) >= 100


def test_every_file_of_ways_to_cheat_is_read() -> None:
    files = {path.stem for path in (Path(__file__).parent / "tamperings").glob("*.py")}
    assert files == {module.__name__.rpartition(".")[2] for module in FORGED} | {"catalogue", "edits"}
