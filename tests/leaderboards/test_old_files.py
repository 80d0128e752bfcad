"""Every schema version ever written still loads: records, explanations, scores, fits, ledgers and bundles of tests/fixtures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from flowgauge.benchmark.external import folder_format as outside
from flowgauge.benchmark.external.importer import import_explanations
from flowgauge.benchmark.loading.trained_weights import TrainedWeights
from flowgauge.benchmark.store.record import SCHEMA
from flowgauge.benchmark.store.results import table
from flowgauge.benchmark.store.store import Store
from flowgauge.cli import app
from flowgauge.leaderboards.comparison.method_comparison import compare_methods
from flowgauge.leaderboards.stored.records import shown_method
from flowgauge.leaderboards.submission.board import name_of
from flowgauge.leaderboards.submission.board_reader import open_board
from flowgauge.leaderboards.submission.bundle import SCHEMA as MANIFEST_SCHEMA
from flowgauge.leaderboards.submission.bundle import private_copy
from flowgauge.leaderboards.submission.ledger import read_ledger, trusted
from flowgauge.leaderboards.submission.verify import verify
from flowgauge.leaderboards.tables.show import render
from flowgauge.leaderboards.tables.task_tables import task_tables

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
STORES = sorted(FIXTURES.glob("store-*"))
AREA = {"attention": 0.75, "influence-patterns": 1.0, "diffmask-single": 1.0}
"""Of the retention curve, as the versions that wrote the files show it."""


def test_there_are_files_of_every_version() -> None:
    found = {json.loads(path.read_text())["schema_version"] for path in FIXTURES.glob("store-*/**/record.json")}
    assert found == set(range(1, SCHEMA + 1)), f"add tests/fixtures/store-{SCHEMA}, written by this version."
    manifests = {json.loads(path.read_text())["schema_version"] for path in FIXTURES.glob("bundle-*/manifest.json")}
    assert manifests == set(range(1, MANIFEST_SCHEMA + 1)), f"add tests/fixtures/bundle-{MANIFEST_SCHEMA}."
    fits = {json.loads(path.read_text())["schema_version"] for path in FIXTURES.glob("store-*/fits/*/fit.json")}
    assert fits == {1}
    handed = {json.loads(path.read_text())["schema_version"] for path in FIXTURES.glob("outside-*/manifest.json")}
    assert handed == set(range(1, outside.SCHEMA + 1)), f"add tests/fixtures/outside-{outside.SCHEMA}."


@pytest.mark.parametrize("folder", STORES, ids=lambda path: path.name)
def test_a_store_reads_whole(folder: Path) -> None:
    store = Store(str(folder))
    records = store.records()
    assert {r.schema_version for r in records} == {int(folder.name[-1])} and {r.status for r in records} == {"done"}
    for record in records:
        cell = store.find(record)
        assert cell.sums() == record.files
        parts = list(cell.parts())
        assert [len(part.sentences) for part in parts] == [record.instances] == [2]
        (part,) = parts
        assert all(np.isfinite(getattr(one, view)).all() for one in part.gold for view in one.views - {"patterns", "values"})
        assert cell.scores() == record.scores
        (metric,) = record.scores
        rows = cell.rows(metric)
        assert rows[rows["variant"] == "auc"]["value"].mean() == AREA[record.method]


def test_views_of_old_explanations_are_what_they_were() -> None:
    """The same method on the same sentences; the embedded model is the same in schemas 2 and 3."""
    found = {}
    for folder in STORES:
        store = Store(str(folder))
        found[folder.name] = {r.method: next(store.find(r).parts()) for r in store.records()}
    two, three = (found[name]["attention"] for name in ("store-2", "store-3"))
    assert [s.tokens for s in two.sentences] == [s.tokens for s in three.sentences]
    for one, other in zip(two.gold, three.gold, strict=True):
        assert one.views == other.views
        assert one.patterns.total.tolist() == pytest.approx(other.patterns.total.tolist(), rel=1e-5)
        assert one.patterns.positions.tolist() == other.patterns.positions.tolist()
    for part in (found["store-1"]["influence-patterns"], found["store-2"]["influence-patterns"]):
        for one in part.gold:
            np.testing.assert_allclose(one.patterns.total, one.tokens[one.patterns.source])
    mask = found["store-3"]["diffmask-single"].gold[0]
    assert mask.mask is not None and mask.gate is not None and mask.fill is not None and mask.mask.shape == mask.gate.shape


@pytest.mark.parametrize("folder", STORES, ids=lambda path: path.name)
def test_a_store_makes_tables_and_comparisons(folder: Path) -> None:
    records = Store(str(folder)).records()
    (one,) = task_tables(Store(str(folder)), records)
    assert {row.label: row.cells["retention"].value for row in one.rows} == {shown_method(r): AREA[r.method] for r in records}
    assert len(table(records)) == 4 * len(records)
    assert "agreement-bert on sva/obj" in render(str(folder)) and json.loads(render(str(folder), "json"))["tasks"]
    (side,) = compare_methods(str(folder), "retention_curve")
    assert set(side.scores.methods) == {shown_method(r) for r in records}
    shown = CliRunner().invoke(app, ["show", str(folder), "--csv"])
    assert shown.exit_code == 0 and "retention_curve@1-773c6b72" in shown.stdout


def test_all_of_them_make_one_site(tmp_path: Path) -> None:
    pytest.importorskip("altair", reason="the site's charts need altair: pip install 'flowgauge[site]'.")
    pytest.importorskip("vl_convert", reason="the site's charts need vl-convert-python: pip install 'flowgauge[site]'.")
    from flowgauge.leaderboards.site.build import build

    urls = [str(folder) for folder in STORES]
    assert len({name_of(r) for r in open_board(urls).records}) == 5  # attention is the same cell in schemas 2 and 3
    build(urls, tmp_path / "site")
    pages = [path.read_text(encoding="utf-8") for path in (tmp_path / "site" / "methods").glob("*.html")]
    assert len(pages) == 3 and sum("re-scored</span>" in page for page in pages) >= 1


def test_a_fit_gives_its_weights() -> None:
    (folder,) = (FIXTURES / "store-3" / "fits").iterdir()
    fits = TrainedWeights(str(FIXTURES / "store-3"))
    fit = fits.read(str(folder))
    assert fit is not None and fit.status == "done" and fit.curve == [{"step": 1.0, "loss": 0.5}]

    def never(training):
        raise AssertionError("it is there already")

    weights = fits.weights("probe", fit.key, 0, never)
    assert weights["probe.weight"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_ledger_tells_every_kind_of_event() -> None:
    board = Store(str(FIXTURES / "store-3"))
    events = read_ledger(board)
    assert [event.action for event in events] == ["entered", "re-scored", "left"]
    assert trusted(events) == {name_of(record): "re-scored" for record in board.records()}


def test_a_bundle_is_well_formed() -> None:
    folder = FIXTURES / "bundle-1"
    with private_copy(folder) as copy:
        assert copy.manifest.submitter == "flowgauge" and len(copy.manifest.files) == 5
    checked = verify(folder)
    assert checked.problems == () and checked.trust == "well-formed" and len(checked.records) == 1
    assert checked.notes[-1].what.startswith("intervals of version 0.1 cannot be checked")


def test_explanations_from_outside_are_scored(tmp_path: Path) -> None:
    import_explanations(FIXTURES / "outside-1", store=str(tmp_path), metrics=["concentration"])
    (record,) = Store(str(tmp_path)).records()
    assert (record.method, record.status, record.instances) == ("outside.place-in-sentence", "done", 2)
    (part,) = Store(str(tmp_path)).find(record).parts()
    for sentence, one in zip(part.sentences, part.gold, strict=True):
        np.testing.assert_array_equal(one.tokens, np.arange(len(sentence.tokens)) / 8)
