"""One mean has one interval wherever it is printed, also where a store or a bundle has made-up intervals of version 0.1."""

from __future__ import annotations

import io
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.store.record import Record
from flowgauge.benchmark.store.renewal import count_old, renew
from flowgauge.benchmark.store.results import table
from flowgauge.benchmark.store.store import Store
from flowgauge.leaderboards.comparison.method_comparison import compare_methods
from flowgauge.leaderboards.export.other_formats import every_eval_ever
from flowgauge.leaderboards.export.sheets import export
from flowgauge.leaderboards.figures.curves import curves
from flowgauge.leaderboards.stored.comparable_cells import groups
from flowgauge.leaderboards.stored.records import stored_records
from flowgauge.leaderboards.submission.board import merge
from flowgauge.leaderboards.submission.bundle import pack
from flowgauge.leaderboards.tables.columns import COLUMNS, RANKED
from flowgauge.leaderboards.tables.show import number, render
from flowgauge.metrics.scores import with_interval
from flowgauge.metrics.summary import summarise

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
METHODS, METRICS = ["integrated-gradients:samples=4", "influence-patterns"], ["ablated_accuracy", "comprehensiveness"]
Means = dict[tuple[str, str, str], list[float]]
"""Mean, low and high by method, plain name of the metric, and variant."""


def of_version_0_1(source: Path, target: Path) -> str:
    """A copy of a store whose scores have intervals of version 0.1, which are made up."""
    store = Store(str(shutil.copytree(source, target)))
    for record in store.records():
        cell, scores = store.find(record), {}
        for name, score in record.scores.items():
            false = tuple(replace(a, low=a.value - 0.011, high=a.value + 0.013) for a in score.aggregates)
            scores[name] = score.model_copy(update={"aggregates": false, "intervals": 1})
            if score.status == "done":
                cell.write_scores(scores[name], cell.rows(name))
        states = {name: Path(cell.path, name).read_bytes() for name in cell.names()}
        cell.hold_against(None)
        sizes = {name: len(data) for name, data in states.items()}
        cell.write_record(record.model_copy(update={"scores": scores, "files": cell.sums(), "sizes": sizes}))
    return store.url


@pytest.fixture(scope="module", params=["today", "made up", "made up, in a bundle", "made up, then renewed"])
def store(request: pytest.FixtureRequest, honest: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param == "today":
        return str(honest.parent / "store")
    folder = tmp_path_factory.mktemp("old")
    url = of_version_0_1(honest.parent / "store", folder / "store")
    assert all(map(count_old, Store(url).records()))
    if request.param == "made up, in a bundle":
        pack(url, folder / "bundle", "a tester")
        merge(folder / "bundle", str(folder / "board"))
        return str(folder / "board")
    if request.param == "made up, then renewed":
        assert renew(url) == (4, 2, ())
    return url


def of_rows(store: str) -> Means:
    """What the stored rows give."""
    return {
        (record.method, score.name, a.variant): [a.value, a.low, a.high]
        for record in Store(store).records() for score in record.scores.values() if score.status == "done"
        for a in summarise(Store(store).find(record).rows(score.metric), score.bounds)
    }  # fmt: skip


def agree(shown: Means, store: str) -> int:
    """Holds what is shown against the rows; returns how many means were shown. Labels may have an earlier version of a method."""
    right = of_rows(store)
    for (label, *score), numbers in shown.items():
        name = (label.partition("@")[0], *score)
        np.testing.assert_allclose(numbers, right[name], rtol=1e-9, atol=1e-9, err_msg=str(name))
    return len(shown)


def of_table(frame: pd.DataFrame) -> Means:
    done = frame[frame["variant"].notna()]
    return {
        (row["method"], row["metric"].split("@")[0], row["variant"]): [row["value"], row["low"], row["high"]]
        for row in done.to_dict("records")
    }


def test_the_table_of_a_run(store: str) -> None:
    """All is stored: the same run only reads it."""
    found = run(tasks="sva/obj", methods=METHODS, metrics=METRICS, limit=8, store=store, device="cpu")
    assert agree(of_table(found.to_pandas()), store) > 40
    right, text = of_rows(store), [cell for row in found.summary() for cell in row]
    for record in found.records:
        for name, score in record.scores.items():
            value, low, high = right[record.method, name.split("@")[0], score.ranked]
            assert with_interval(value, low, high, 8) in text


def test_show(store: str) -> None:
    frame = pd.read_csv(io.StringIO(render(store, "csv")))
    assert agree(of_table(frame), store) > 40 and len(frame) == len(of_rows(store))
    (shown,) = json.loads(render(store, "json"))["tasks"]
    by_key = {column.key: (column.metric, column.variant) for column in COLUMNS if column.metric}
    by_key |= {column["key"]: (column["metric"], column["variant"]) for column in shown["scores"]}
    cells = {
        (row["label"].split(":")[0], *by_key[key]): _numbers(cell)
        for row in shown["rows"] for key, cell in row["cells"].items() if key in by_key and cell["value"] is not None
    }  # fmt: skip
    assert agree(cells, store) >= 8
    beside = {("influence-patterns", RANKED[0], variant): _numbers(cell) for variant, cell in shown["beside"].items()}
    assert agree(beside, store) == 2
    text = render(store, "text", 160)
    for name in [*beside, ("influence-patterns", *RANKED), ("integrated-gradients", "comprehensiveness", "aopc")]:
        value, low, high = of_rows(store)[name]
        assert number(value, "share") in text and (low != low or f"{number(low, 'share')}–{number(high, 'share')}" in text), name


def _numbers(cell: dict[str, float | None]) -> list[float]:
    """JSON has null for NaN."""
    return [math.nan if (number := cell[name]) is None else number for name in ("value", "low", "high")]


def test_compare_and_export(store: str) -> None:
    for metric in METRICS:
        (side,) = compare_methods(store, metric)
        labels = [name.split(":")[0] for name in side.scores.methods]
        means = {(name, metric, side.variant): side.means[i].tolist() for i, name in enumerate(labels)}
        assert agree(means, store) == 2
        frame = pd.read_csv(io.StringIO(export([store], f"sva/obj:{metric}", "csv")))
        exported = {
            (row["label"].split(":")[0], metric, side.variant): [row["mean"], row["low"], row["high"]]
            for row in frame.to_dict("records")
        }
        assert agree(exported, store) == 2
    (document,) = every_eval_ever(stored_records(store), "a tester")
    results = {
        (r["evaluation_name"].split(": ")[1].split(":")[0], r["metric_config"]["metric_name"],
         r["metric_config"]["additional_details"]["variant"]): [
            r["score_details"]["score"],
            *(r["score_details"]["uncertainty"].get("confidence_interval", {}).get(e, np.nan) for e in ("lower", "upper")),
        ]
        for r in document["evaluation_results"]
    }  # fmt: skip
    assert agree(results, store) == 4


def test_the_downloads_of_the_site(store: str, tmp_path: Path) -> None:
    pytest.importorskip("altair", reason="the site's charts need altair: pip install 'flowgauge[site]'.")
    pytest.importorskip("vl_convert", reason="the site's charts need vl-convert-python: pip install 'flowgauge[site]'.")
    from flowgauge.leaderboards.site.build import build

    build([store], tmp_path / "site", instances=0)
    assert agree(of_table(pd.read_csv(tmp_path / "site" / "data" / "results.csv")), store) > 40
    ranks = pd.read_csv(tmp_path / "site" / "data" / "ranks.csv")
    means = {
        (r["label"].split(":")[0], r["metric"], r["variant"]): [r["mean"], r["low"], r["high"]] for r in ranks.to_dict("records")
    }
    assert agree(means, store) == 4


@pytest.mark.parametrize("name", ["store-1", "store-2", "store-3"])
def test_stores_of_earlier_versions(name: str) -> None:
    url = str(FIXTURES / name)
    assert agree(of_table(table(stored_records(url))), url) > 6
    assert agree(of_table(pd.read_csv(io.StringIO(render(url, "csv")))), url) > 6
    (group,) = groups(stored_records(url))
    drawn = {
        (curve.label, "retention_curve", f"budget/{budget:g}"): [value, low, high]
        for curve in curves(group)
        for budget, value, low, high in zip(curve.budgets, curve.values, curve.low, curve.high, strict=True)
    }
    assert agree(drawn, url) >= 4
    (side,) = compare_methods(url, "retention_curve")
    assert agree({(m, "retention_curve", "auc"): side.means[i].tolist() for i, m in enumerate(side.scores.methods)}, url) == 2


def test_records_are_left_as_they_are_by_reading(tmp_path: Path) -> None:
    url = str(shutil.copytree(FIXTURES / "store-1", tmp_path / "store"))
    before = {path: path.read_bytes() for path in Path(url).rglob("*") if path.is_file()}
    render(url)
    records: list[Record] = stored_records(url)
    assert not any(map(count_old, records)) and all(map(count_old, Store(url).records()))
    assert {path: path.read_bytes() for path in Path(url).rglob("*") if path.is_file()} == before
