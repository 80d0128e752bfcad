"""The static site of a board, read as files: links, numbers, escaping, trust, downloads."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pandas as pd
import pytest
from tests.conftest import FULL_SIZE
from tests.leaderboards.conftest import keep, record, rows, score, write
from tests.leaderboards.site.conftest import Page, pages
from tests.leaderboards.synthetic import HOSTILE, synthetic_store
from typer.testing import CliRunner

from flowgauge.benchmark.store.store import Store
from flowgauge.cli import app
from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.comparison.method_comparison import compare_methods
from flowgauge.leaderboards.comparison.model_boards import model_boards
from flowgauge.leaderboards.comparison.task_boards import read_task_boards
from flowgauge.leaderboards.export.sheets import export
from flowgauge.leaderboards.site import build as building
from flowgauge.leaderboards.site.build import build
from flowgauge.leaderboards.submission.board import merge, name_of
from flowgauge.leaderboards.submission.board_reader import open_board
from flowgauge.leaderboards.submission.ledger import add_event
from flowgauge.metrics.scores import Aggregate

pytest.importorskip("altair", reason="the site's charts need altair: pip install 'flowgauge[site]'.")
pytest.importorskip("vl_convert", reason="the site's charts need vl-convert-python: pip install 'flowgauge[site]'.")

VENDOR = Path(building.__file__).parent / "static" / "vendor"


@pytest.mark.parametrize("which", ["real_site", "synthetic_site"])
def test_every_link_resolves_and_nothing_is_asked_of_a_server(which, request) -> None:
    _, folder = request.getfixturevalue(which)
    read_pages = pages(folder)
    assert {page.path.parent.name for page in read_pages} >= {folder.name, "tasks", "methods"}
    for page in read_pages:
        for address in page.addresses():
            parts = urlsplit(address)
            assert parts.scheme in ("", "data"), address
            if parts.path and not parts.scheme:
                assert (page.path.parent / unquote(parts.path)).resolve().is_file(), f"{page.path}: {address}"
        ids = [fields["id"] for _, fields in page.tags if "id" in fields]
        assert len(ids) == len(set(ids)), page.path
    for sheet in folder.glob("assets/*.css"):
        assert not re.search(r"@import|url\(\s*['\"]?(?!data:)", sheet.read_text(encoding="utf-8")), sheet


@pytest.mark.parametrize("which", ["real_site", "synthetic_site"])
def test_pages_allow_no_code_but_their_own_files(which, request) -> None:
    for page in pages(request.getfixturevalue(which)[1]):
        policy = next(fields["content"] for tag, fields in page.tags if fields.get("http-equiv") == "Content-Security-Policy")
        assert "default-src 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy
        for tag, fields in page.tags:
            assert not [name for name in fields if name.startswith("on") or name == "style"], (page.path, tag, fields)
            assert tag != "script" or fields.get("src") or fields.get("type") == "application/json"


@pytest.mark.parametrize("which", ["real_site", "synthetic_site"])
def test_numbers_are_those_of_compare(which, request) -> None:
    store, folder = request.getfixturevalue(which)
    checked = 0
    for side in compare_methods(store):
        path = next(p for p in folder.glob("tasks/*.html") if side.group.task.replace("/", "-") in p.name)
        page = Page(path)
        for index, label in enumerate(side.scores.methods):
            cells = page.cells[index]
            assert page.rows[index] == label
            assert float(cells[0]["sort"]) == side.ranks.rank[index]
            assert f"[{side.ranks.low[index]:g}, {side.ranks.high[index]:g}]" in cells[0]["text"]
            assert float(cells[2]["sort"]) == pytest.approx(np.nanmean(side.scores.values[index]), abs=1e-12)
            assert side.table()[index + 1][3] == " ".join(cells[2]["text"].split())
            checked += 1
        assert all(
            sentence in " ".join(path.read_text(encoding="utf-8").replace("&#39;", "'").split()) for sentence in side.sentences
        )
    assert checked >= 2


def test_downloads_hold_what_is_shown(synthetic_site) -> None:
    store, folder = synthetic_site
    shown = Page(folder / "index.html")
    overall = pd.read_csv(folder / "data" / "overall.csv")
    assert shown.rows == overall["label"].tolist()
    assert [float(cells[2]["sort"]) for cells in shown.cells] == overall["rank"].tolist()
    for name, count in (("results", 36), ("pairs", 45), ("ranks", 18), ("overall", 6)):
        table = pd.read_parquet(folder / "data" / f"{name}.parquet")
        assert (
            len(table)
            == count
            == len(pd.read_csv(folder / "data" / f"{name}.csv"))
            == len(json.loads((folder / "data" / f"{name}.json").read_text()))
        )
    cells = pd.read_csv(folder / "data" / "results.csv")
    assert set(zip(cells["method"], cells["task"], strict=True)) == {(r.method, r.task) for r in Store(store).records()}
    for kind in ("ranks", "cost"):
        for ending, start in (("svg", b"<svg"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("json", b"{")):
            assert (folder / "charts" / f"{kind}-toy.{ending}").read_bytes().startswith(start)


def test_weights_of_the_page_give_the_overall_ranks(synthetic_site) -> None:
    page = Page(synthetic_site[1] / "index.html")
    data = next(block for block in page.data if "tables" in block)
    ranks = np.mean([table["ranks"] for table in data["tables"]], 0)
    shown = {label: float(cells[2]["sort"]) for label, cells in zip(page.rows, page.cells, strict=True)}
    assert dict(zip(data["methods"], ranks.tolist(), strict=True)) == pytest.approx(shown)


def test_hostile_texts_are_only_texts(hostile: str, tmp_path: Path) -> None:
    build([hostile], tmp_path / "site", title=HOSTILE)
    read_pages = pages(tmp_path / "site")
    assert len(read_pages) == 7  # index, task, sentences, two methods on it, three methods
    for page in read_pages:
        raw = page.path.read_text(encoding="utf-8")
        assert (
            "<script>alert" not in raw
            and "<img src=x" not in raw
            and raw.count("</script>") == sum(t == "script" for t, _ in page.tags)
        )
        assert all(
            fields.get("src", "").endswith((".js", ".svg"))
            for tag, fields in page.tags
            if tag in ("script", "img") and "src" in fields
        )
    assert all(re.fullmatch(r"[\w./-]+", str(p.relative_to(tmp_path))) for p in (tmp_path / "site").rglob("*"))
    browsed = next(page for page in read_pages if page.path.parent.name == "instances").data[0]["instances"][0]
    assert browsed["tokens"][1] == HOSTILE and browsed["condition"] == "S" + HOSTILE
    assert browsed["methods"][0]["tokens"] == [0.04, 2.0, 0.0, -0.5]
    for svg in (tmp_path / "site").rglob("*.svg"):
        assert "<script" not in svg.read_text(encoding="utf-8")


def test_trust_is_the_ledgers_else_self_reported(synthetic_site, tmp_path: Path) -> None:
    store = Store(synthetic_store(tmp_path / "store", 2, 1, 1))
    first = store.records()[0]
    add_event(store, "entered", [name_of(first)], "re-scored", who="someone")
    build([store.url], tmp_path / "site")
    badges = {row: cells[-1]["text"].strip() for row, cells in _task_rows(tmp_path / "site")}
    assert badges == {first.method: "re-scored", store.records()[1].method: "self-reported"}
    assert {cells[-1]["text"].strip() for _, cells in _task_rows(synthetic_site[1])} == {"self-reported"}


def _task_rows(folder: Path):
    page = Page(next(iter(sorted(folder.glob("tasks/*.html")))))
    return zip(page.rows, page.cells, strict=True)


def test_a_missing_score_says_why_and_several_stores_are_one_board(tmp_path: Path) -> None:
    one, second = Store(synthetic_store(tmp_path / "one", 2, 1, 1)), Store(str(tmp_path / "other"))
    keep(second, record("broken", [], task="made/00", status="failed", error="out of memory at layer 3", instances=0))
    keep(second, one.records()[0].model_copy(update={"instances": 7}))
    reader = open_board([one.url, second.url])
    assert [r.method for r in reader.records] == ["method-000", "method-001", "broken"]
    assert reader.records[0].instances == 40  # the first store's
    build([one.url, second.url], tmp_path / "site")
    for path in ("tasks", "methods"):
        texts = [p.read_text(encoding="utf-8") for p in (tmp_path / "site" / path).glob("*.html")]
        assert any("out of memory at layer 3" in text for text in texts)
    assert "1 method not in the overall order" in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")


def test_what_is_trained_once_says_so_in_every_table(tmp_path: Path) -> None:
    store, note = Store(str(tmp_path / "store")), "trained once (seed 0): the interval does not cover another training"
    for name, values in (("mask", [1.0, 0, 1, 1]), ("plain", [0.0, 0, 1, 0])):
        kept = score("accuracy", {"all": 0.5}, ranked="all", higher_is_better=True)
        one = record(name, [kept], seed=0, instances=4)
        key = one.key | ({"trained_on": {"limit": None}} if name == "mask" else {})
        write(store, one.model_copy(update={"key": key}), {"accuracy@1": rows(values)})
    (side,) = compare_methods(store.url)
    assert f"mask: {note}." in side.text()[2]
    build([store.url], tmp_path / "site")
    for page in ("index.html", "tasks/toy-sva-obj.html", "methods/mask.html"):
        text = (tmp_path / "site" / page).read_text(encoding="utf-8")
        assert note in text and "plain: trained" not in text, page
    for table in ("overall", "sva/obj", "method:mask"):
        (told, *_) = [row["trained_once"] for row in json.loads(export([store.url], table, "json")) if row["label"] == "mask"]
        assert told == note, table
    assert f"mask: {note}." in " ".join(export([store.url], "sva/obj", "latex").split())


def test_method_pages_have_settings_citation_and_drawings(real_site) -> None:
    text = (real_site[1] / "methods" / "influence-patterns.html").read_text(encoding="utf-8")
    assert "Lu et al. 2021" in text and "beam=1" in text
    drawn = list((real_site[1] / "figures").glob("*.svg"))
    assert len(drawn) == 2


def test_leaving_one_task_out(synthetic_site) -> None:
    board = model_boards(read_task_boards(open_board([synthetic_site[0]])))[0]
    assert len(board.counted) == 3 and board.left_out("metric") == []
    changes = board.left_out("task")
    assert [change.name for change in changes] == ["made/00", "made/01", "made/02"]
    ranks = board.table_ranks
    np.testing.assert_allclose(ranks.mean(0), board.overall.rank)
    rest = ranks[1:].mean(0)
    assert changes[0].first == tuple(np.array(board.methods)[rest == rest.min()])
    place = {name: before for name, before, _ in changes[0].moves}
    assert all(place[name] == order_of(board.overall.rank)[board.methods.index(name)] for name in place)
    assert all(len(run) > 1 for run in board.ties)


def order_of(ranks: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    return rankdata(ranks)


def test_every_table_comes_in_every_format(synthetic_site) -> None:
    folder = synthetic_site[1]
    endings: dict[str, set[str]] = {}
    for page in pages(folder):
        for tag, fields in page.tags:
            address = fields.get("href") or ""
            if tag == "a" and "download" in fields and "/charts/" not in address and not address.startswith("charts/"):
                stem, _, ending = address.rpartition("/")[2].rpartition(".")
                endings.setdefault(stem, set()).add(ending)
    whole = {"results", "ranks", "pairs", "overall"}
    assert all(endings.pop(name) == {"csv", "parquet", "json"} for name in whole)
    assert set(map(frozenset, endings.values())) == {frozenset(("csv", "parquet", "json", "md", "tex"))}
    assert {"overall-toy", "tasks-toy", "without-task-toy", "method-method-000", "toy-made-00-accuracy-beats"} <= endings.keys()
    for stem in endings:
        frames = [pd.read_csv(folder / "data" / f"{stem}.csv"), pd.read_parquet(folder / "data" / f"{stem}.parquet"),
                  pd.DataFrame(json.loads((folder / "data" / f"{stem}.json").read_text()))]  # fmt: skip
        assert len({tuple(frame.columns) for frame in frames}) == len({len(frame) for frame in frames}) == 1
        lines = (folder / "data" / f"{stem}.md").read_text().splitlines()
        assert len(lines) == len(frames[0]) + 2
        assert (folder / "data" / f"{stem}.tex").read_text().count(r"\\") == len(frames[0]) + 1


@pytest.mark.parametrize(
    ("name", "stem"),
    [("tasks", "tasks-toy"), ("without-task", "without-task-toy"), ("method:method-001", "method-method-001"),
     ("made/01:accuracy:beats", "toy-made-01-accuracy-beats"), ("overall", "overall-toy")],
)  # fmt: skip
def test_the_command_prints_what_the_page_offers(synthetic_site, name: str, stem: str) -> None:
    store, folder = synthetic_site
    for format, ending in (("csv", "csv"), ("markdown", "md"), ("latex", "tex"), ("json", "json")):
        assert export([store], name, format) == (folder / "data" / f"{stem}.{ending}").read_text().rstrip("\n"), format


def test_the_matrix_holds_what_the_page_shows(synthetic_site) -> None:
    store, folder = synthetic_site
    data = pd.read_csv(folder / "data" / "toy-made-00-accuracy-beats.csv", index_col=0)
    side = next(s for s in compare_methods(store) if s.group.task == "made/00")
    assert data.index.tolist() == data.columns.tolist() == list(side.ranks.methods)
    off = ~np.eye(len(data), dtype=bool)
    np.testing.assert_allclose(data.to_numpy()[off], side.ranks.beats[off])
    assert data.isna().to_numpy()[~off].all()


def test_a_method_that_is_nowhere_defined_does_not_take_the_others_ranks(tmp_path: Path) -> None:
    store = Store(synthetic_store(tmp_path / "store", 2, 1, 1))
    first = store.records()[0]
    score = next(iter(first.scores.values()))
    rows = store.find(first).rows(score.metric).assign(value=np.nan, reason="it scores no words.")
    nothing = Aggregate(variant="all", value=np.nan, low=np.nan, high=np.nan, count=0, undefined=40, reason="it scores no words.")
    bare = score.model_copy(update={"aggregates": (nothing,)})
    third = first.model_copy(update={"cell": "f" * 12, "method": "headless", "scores": {score.metric: bare}})
    store.find(third).write_scores(bare, rows)
    store.find(third).write_record(third)
    (side,) = compare_methods(store.url)
    assert side.scores.methods == ("method-001", "method-000") and side.scores.common.all()
    assert side.missing == {"headless": "it scores no words."}


def test_a_board_without_explanations_says_so(honest: Path, tmp_path: Path) -> None:
    merge(honest, str(tmp_path / "board"), explanations=0, trust="maintained")
    build([str(tmp_path / "board")], tmp_path / "site")
    assert not list(tmp_path.glob("site/instances/*"))
    assert "only the checksums of the explanations" in next(tmp_path.glob("site/tasks/*.html")).read_text()
    assert "not kept" in (tmp_path / "site" / "index.html").read_text()


def test_build_replaces_a_site_and_nothing_else(synthetic_site, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["leaderboard", "build", synthetic_site[0], "--out", str(tmp_path / "site")])
    assert done.exit_code == 0, done.output
    before = {p.relative_to(tmp_path): p.read_bytes() for p in (tmp_path / "site").rglob("*.html")}
    listed = json.loads((tmp_path / "site" / "files.json").read_text())
    assert {*listed, "files.json"} == {
        p.relative_to(tmp_path / "site").as_posix() for p in (tmp_path / "site").rglob("*") if p.is_file()
    }
    (tmp_path / "site" / "CNAME").write_text("board.example.org")
    again = build([synthetic_site[0]], tmp_path / "site")
    assert (tmp_path / "site" / "CNAME").read_text() == "board.example.org"
    assert before == {p.relative_to(tmp_path): p.read_bytes() for p in (tmp_path / "site").rglob("*.html")}
    assert (again.pages, again.bytes) == (
        sum(name.endswith(".html") for name in listed),
        sum((tmp_path / "site" / name).stat().st_size for name in listed),
    )


def test_without_the_charts_packages_the_command_says_what_to_install(synthetic_site, tmp_path: Path, monkeypatch) -> None:
    known = importlib.util.find_spec
    monkeypatch.setattr(building, "find_spec", lambda name: None if name == "vl_convert" else known(name))
    with pytest.raises(UsageError, match=r"pip install 'flowgauge\[site\]'"):
        build([synthetic_site[0]], tmp_path / "site")


def test_vendored_scripts_are_those_that_their_table_names() -> None:
    table = dict(re.findall(r"^\| (\S+) \| .* \| ([0-9a-f]{64}) \|$", (VENDOR / "README.md").read_text(), re.MULTILINE))
    assert table == {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in VENDOR.iterdir() if p.suffix in (".js", ".css")}


REFERENCE_SECONDS = 0.45
"""What `reference_seconds` takes on the machine for which limits in seconds are stated; slower machines have more."""


def reference_seconds() -> float:
    """Processor time of work like that of a build: rows as JSON, numbers as text, sorted arrays."""
    start = time.process_time()
    rows = [{"method": f"m{i}", "value": i / 7, "low": i / 9, "text": "x" * 20} for i in range(40_000)]
    for _ in range(3):
        json.loads(json.dumps(rows))
    values = np.random.default_rng(0).normal(size=(100, 10_000))
    for _ in range(5):
        np.sort(values, axis=1)
    assert sum(len(f"{row['value']:.3f}") for row in rows for _ in range(5)) > 1_000_000
    return time.process_time() - start


@pytest.mark.slow
def test_many_methods_are_built_in_time(tmp_path: Path) -> None:
    """In full (`FLOWGAUGE_FULL_TESTS=1`) a hundred on twenty tasks with five seeds, else forty on one with two.

    Half of the limit is used. Nine tenths of it are the tests of the pairs of each table and of the overall order: 4950 pairs of
    a hundred methods ask for 990,000 flips.
    """
    methods, tasks, seeds, seconds = (100, 20, 5, 1200) if FULL_SIZE else (40, 1, 2, 20)
    store = synthetic_store(tmp_path / "store", methods, tasks, seeds)
    limit = seconds * max(1.0, reference_seconds() / REFERENCE_SECONDS)
    start = time.process_time()
    summary = build([store], tmp_path / "site")
    assert time.process_time() - start < limit
    assert summary.pages == methods + 1 + 2 * tasks and (tmp_path / "site" / "index.html").stat().st_size < 2**18
