"""Figures by name: the files of each, what `all` draws, and errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.leaderboards.conftest import keep, patterned, record, sentence

from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import UnknownName, UsageError
from flowgauge.leaderboards.figures.plot import FIGURES, plot


@pytest.mark.parametrize("method", ["influence-patterns", "attention", "random"])
def test_every_method_has_a_pattern_in_two_files(drawn_store: str, tmp_path: Path, method: str):
    paths = plot(drawn_store, "pattern", tmp_path, method=method, instance="a")
    assert [path.name for path in paths] == [f"pattern-toy-sva-obj-{method}-a.{kind}" for kind in ("png", "svg")]
    assert paths[0].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_same_bytes_for_the_same_store(drawn_store: str, tmp_path: Path):
    first, second = (plot(drawn_store, "all", tmp_path / name) for name in ("one", "two"))
    assert [p.name for p in first] == [p.name for p in second]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, second, strict=True))


def test_all_draws_every_kind_there_is_data_for(drawn_store: str, tmp_path: Path):
    names = {path.stem.split("-toy")[0] for path in plot(drawn_store, "all", tmp_path)}
    assert names == {"pattern", "aggregate", "entropy", "retention-curve", "gallery"}
    known = {"pattern", "aggregate", "entropy", "curve", "pruning", "receptive", "gallery", "attribution", "heads"}
    known |= {"mask", "texts", "depth", "frontier", "counting", "circuit"}
    assert set(FIGURES) == known


def test_all_draws_graphs_and_heads_with_the_same_bytes(attributed_store: str, tmp_path: Path):
    first, second = (plot(attributed_store, "all", tmp_path / name) for name in ("one", "two"))
    assert [path.name.split("-")[0] for path in first] == ["attribution"] * 2 + ["heads"] * 2
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("what", "files"),
    [
        ("mask", {"mask-toy-rte-diffmask-input-0.png", "mask-toy-rte-diffmask-hidden-0.png"}),
        ("texts", {"texts-toy-rte.png"}),
        ("depth", {"depth-kept-toy-rte.png"}),
    ],
)
def test_masks_are_drawn_for_both_diffmask_methods(masked_store, tmp_path, what, files) -> None:
    assert {path.name for path in plot(masked_store, what, tmp_path / "out") if path.suffix == ".png"} == files


def test_refusals_name_what_there_is(drawn_store: str, tmp_path: Path):
    with pytest.raises(UnknownName, match="did you mean pattern"):
        plot(drawn_store, "patern", tmp_path)
    with pytest.raises(UnknownName, match="did you mean sva/obj"):
        plot(drawn_store, "pattern", tmp_path, task="sva/obk")
    with pytest.raises(UnknownName, match="did you mean attention"):
        plot(drawn_store, "pattern", tmp_path, method="atention")
    with pytest.raises(UnknownName, match="condition of sva/obj"):
        plot(drawn_store, "aggregate", tmp_path, condition="X")
    with pytest.raises(UsageError, match="no instance among the 3 explained is called 'zz': known: "):
        plot(drawn_store, "pattern", tmp_path, task="sva/obj", instance="zz")
    with pytest.raises(UnknownName, match="no instance among the 3 explained is called 'zz'"):
        plot(drawn_store, "all", tmp_path, instance="zz")
    with pytest.raises(UnknownName, match="condition in this store"):
        plot(drawn_store, "all", tmp_path, condition="zz")
    with pytest.raises(UsageError, match=r"share must lie in \[0, 1\)"):
        plot(drawn_store, "pattern", tmp_path, share=5)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="has no results yet"):
        plot(str(tmp_path / "empty"), "all", tmp_path)


@pytest.mark.parametrize(
    ("what", "metric"),
    [("entropy", "pattern_entropy"), ("curve", "retention_curve"), ("pruning", "head_pruning"), ("receptive", "receptive_field")],
)
def test_a_figure_without_scores_says_how_to_add_them(tmp_path: Path, what: str, metric: str):
    store = Store(str(tmp_path / "store"))
    keep(store, record("influence-patterns", instances=1), [sentence("a")], [patterned()])
    with pytest.raises(UsageError, match=f"flowgauge score STORE --metric {metric}"):
        plot(store.url, what, tmp_path)


def test_one_reason_for_all_figures_is_said_once(drawn_store: str, tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UsageError, match="no figure can be drawn") as refused:
        plot(drawn_store, out=tmp_path / "file")
    assert str(refused.value).count("cannot write figures") == 1 and "pattern, aggregate, " in str(refused.value)
