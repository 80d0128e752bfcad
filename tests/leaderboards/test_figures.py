"""Figures of a hand-made store: files, what stands in them, and refusals."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import NotApplicable, UnknownName, UsageError
from flowgauge.leaderboards.figures.aggregate import superpose
from flowgauge.leaderboards.figures.curves import curves
from flowgauge.leaderboards.figures.entropy import Point, fit, slot_points, task_points
from flowgauge.leaderboards.figures.plot import FIGURES, plot
from flowgauge.leaderboards.figures.source import Source, one_a_condition
from flowgauge.leaderboards.figures.style import LONGEST, file_stem, look
from flowgauge.methods.registry import METHODS as REGISTERED
from flowgauge.models.flow.graph import SKIP

from .conftest import keep, patterned, record, sentence


def svg(paths: list[Path]) -> str:
    (found,) = [path for path in paths if path.suffix == ".svg"]
    return found.read_text()


def group_of(text: str, name: str) -> str:
    """The SVG group of an id, up to its end."""
    start = text.index(f'id="{name}"')
    return text[start : text.index("</g>", start)]


def test_a_pattern_has_dashed_skips_and_heads_from_one(drawn_store: str, tmp_path: Path):
    text = svg(plot(drawn_store, "pattern", tmp_path / "out", instance="a"))
    assert "stroke-dasharray" in group_of(text, f"skip-1-1-1-{SKIP}-+1")
    assert "stroke-dasharray" not in group_of(text, "edge-2-1-2-2-+1")
    assert set(re.findall(r'id="(head-[^"]+)"', text)) == {"head-1-2-1", "head-2-2-3"}
    assert re.search(r">3</text>", text) and "cats" in text and "influence (logits)" in text


def test_small_words_are_drawn_only_when_asked_for(drawn_store: str, tmp_path: Path):
    few = svg(plot(drawn_store, "pattern", tmp_path / "few", instance="a"))
    all_words = svg(plot(drawn_store, "pattern", tmp_path / "all", instance="a", share=0.0))
    name = f"skip-1-0-0-{SKIP}-+1"
    assert f'id="{name}"' not in few and f'id="{name}"' in all_words


def test_sign_is_drawn_twice(drawn_store: str, tmp_path: Path):
    text = svg(plot(drawn_store, "pattern", tmp_path / "out", instance="a"))
    green, red = group_of(text, "edge-2-1-2-2-+1"), group_of(text, "edge-1-3-2-0--1")
    assert "#009e73" in green and "#d55e00" in red
    after = text[text.index('id="edge-1-3-2-0--1"') :]
    assert "stroke: #ffffff" in after[: after.index("</g>", after.index("</g>") + 1)]


@pytest.mark.parametrize("method", ["influence-patterns", "attention", "random"])
def test_every_method_has_a_pattern_in_two_files(drawn_store: str, tmp_path: Path, method: str):
    paths = plot(drawn_store, "pattern", tmp_path, method=method, instance="a")
    assert [path.name for path in paths] == [f"pattern-toy-sva-obj-{method}-a.{kind}" for kind in ("png", "svg")]
    assert paths[0].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_two_sentences_stand_side_by_side(drawn_store: str, tmp_path: Path):
    (single, _), (double, _) = (plot(drawn_store, "pattern", tmp_path, instance=names) for names in (["a"], ["a", "c"]))
    assert double.name == "pattern-toy-sva-obj-influence-patterns-a-and-c.png"
    assert png_size(double) == pytest.approx((2 * png_size(single)[0], png_size(single)[1]), abs=2)


def png_size(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[16:24]
    return int.from_bytes(head[:4], "big"), int.from_bytes(head[4:], "big")


def test_the_same_bytes_for_the_same_store(drawn_store: str, tmp_path: Path):
    first, second = (plot(drawn_store, "all", tmp_path / name) for name in ("one", "two"))
    assert [p.name for p in first] == [p.name for p in second]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, second, strict=True))


def test_all_draws_every_kind_there_is_data_for(drawn_store: str, tmp_path: Path):
    names = {path.stem.split("-toy")[0] for path in plot(drawn_store, "all", tmp_path)}
    assert names == {"pattern", "aggregate", "entropy", "retention-curve", "gallery"}
    known = {"pattern", "aggregate", "entropy", "curve", "pruning", "receptive", "gallery", "attribution", "heads"}
    known |= {"mask", "texts", "depth", "counting"}
    assert set(FIGURES) == known


def test_instances_by_default_are_one_a_condition(drawn_store: str):
    source = Source(drawn_store)
    explained = source.explained(source.groups[0], "influence-patterns")
    assert one_a_condition(explained) == ["c", "a"]


def test_superposition_counts_sentences(drawn_store: str):
    source = Source(drawn_store)
    explained = source.explained(source.groups[0], "influence-patterns")
    one = superpose(explained, None, "S")
    assert (one.sentences, one.other, one.slots, one.target) == (2, 0, ("[CLS]", "SUBJ", "[MASK]", "END"), 2)
    assert {stroke.weight for stroke in one.strokes} == {1.0} and len(one.strokes) == 4


def test_only_templates_are_superposed(tmp_path: Path):
    from dataclasses import replace

    store = Store(str(tmp_path / "store"))
    free = replace(sentence("a"), slots=("[CLS]", "0", "1", "2"))
    keep(store, record("influence-patterns", instances=1), [free], [patterned()])
    with pytest.raises(NotApplicable, match="has no template"):
        plot(store.url, "aggregate", tmp_path)


def test_entropy_points_are_those_stored(drawn_store: str):
    found = Source(drawn_store).groups
    assert slot_points(found, "influence-patterns") == [
        Point("sva/obj [CLS]", 0.5, 0.3),
        Point("sva/obj SUBJ", 1.5, 0.1),
        Point("sva/obj END", 1.0, 0.2),
    ]
    assert slot_points(found, "attention") == [Point("sva/obj SUBJ", 1.5, 0.2)]
    assert task_points(found, "influence-patterns") == [Point("sva/obj", 1.25, 0.25)]
    assert task_points(found, "attention") == [Point("sva/obj", 1.25, 0.4)]


def test_the_line_is_fitted():
    line = fit([Point("a", 0.5, 0.3), Point("b", 1.5, 0.1), Point("c", 1.0, 0.2)])
    assert (line.slope, line.intercept, line.r) == pytest.approx((-0.2, 0.4, -1.0))
    assert math.isnan(fit([Point("a", 0.5, 0.3), Point("b", 1.5, 0.1)]).r)
    assert math.isnan(fit([Point(str(x), x, 0.3) for x in range(4)]).r)


def test_curves_are_sorted_by_budget(drawn_store: str):
    (curve,) = curves(Source(drawn_store).groups[0])
    assert (curve.label, curve.budgets, curve.values) == ("influence-patterns", (50.0, 100.0), (0.75, 1.0))
    assert (curve.low, curve.high, curve.area) == ((0.5, 1.0), (0.9, 1.0), 0.8)


def test_refusals_name_what_there_is(drawn_store: str, tmp_path: Path):
    with pytest.raises(UnknownName, match="did you mean pattern"):
        plot(drawn_store, "patern", tmp_path)
    with pytest.raises(UnknownName, match="did you mean sva/obj"):
        plot(drawn_store, "pattern", tmp_path, task="sva/obk")
    with pytest.raises(UnknownName, match="did you mean attention"):
        plot(drawn_store, "pattern", tmp_path, method="atention")
    with pytest.raises(UnknownName, match="condition of sva/obj"):
        plot(drawn_store, "aggregate", tmp_path, condition="X")
    with pytest.raises(UsageError, match="no instance is called 'zz' among the 3 explained; there are such as"):
        plot(drawn_store, "pattern", tmp_path, task="sva/obj", instance="zz")
    with pytest.raises(UsageError, match=r"share must lie in \[0, 1\)"):
        plot(drawn_store, "pattern", tmp_path, share=5)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="has no results yet"):
        plot(str(tmp_path / "empty"), "all", tmp_path)


def test_what_is_not_scored_says_how_to_score_it(tmp_path: Path):
    store = Store(str(tmp_path / "store"))
    keep(store, record("influence-patterns", instances=1), [sentence("a")], [patterned()])
    with pytest.raises(UsageError, match="score STORE --metric pattern_entropy"):
        plot(store.url, "entropy", tmp_path)
    with pytest.raises(UsageError, match="score STORE --metric retention_curve"):
        plot(store.url, "curve", tmp_path)


def test_names_of_files_are_never_too_long() -> None:
    names = [file_stem(f"mask {'probe=folder/' * 40} {end}") for end in "ab"]
    assert [len(name) for name in names] == [LONGEST, LONGEST] and names[0] != names[1]


def test_no_two_methods_are_drawn_alike():
    assert len({look(number) for number in range(len(REGISTERED.builtin))}) == len(REGISTERED.builtin)
    assert len({look(number) for number in range(64)}) == 64
