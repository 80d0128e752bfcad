"""Explanations to bytes and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowgauge.benchmark import explanation_io
from flowgauge.benchmark.explanation_io import DamagedPart, Part, Sentence, from_bytes, same, to_bytes
from flowgauge.core.errors import FlowgaugeError
from flowgauge.methods.explanation import Explanation
from flowgauge.models.graph import Patterns

LAYERS, HEADS = 2, 3


def sentence(name: str, n: int = 4) -> Sentence:
    return Sentence(name, "SP", ("t",) * n, ("s",) * n, ((0, 1),) * n, 2, ("is",), ("are",), ("is",), True)


@st.composite
def patterns(draw, n: int) -> Patterns:
    count, k = draw(st.integers(0, 3)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    number = lambda: rng.normal(size=count)  # noqa: E731
    heads = rng.integers(-3, HEADS, (count, LAYERS, k, k)) if draw(st.booleans()) else None
    return Patterns(
        source=rng.integers(0, n, count),
        total=number(),
        influence=number(),
        positions=rng.integers(-1, n, (count, LAYERS + 1, k)),
        head_influence=None if heads is None else number(),
        heads=heads,
        gap=number() if draw(st.booleans()) else None,
    )


@st.composite
def explanation(draw, n: int, draws: int = 0) -> Explanation:
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    shapes = {
        "tokens": (n,), "nodes": (LAYERS + 1, n), "flows": (n, LAYERS + 1, n), "units": (LAYERS, n, HEADS + 1), "heads": (LAYERS, HEADS),
        "edges": (LAYERS, HEADS, n, n), "mask": (LAYERS + 2, n),
    }  # fmt: skip
    chosen = draw(st.sets(st.sampled_from(sorted(shapes)), min_size=1))
    dtype = draw(st.sampled_from([np.float64, np.float32]))
    views = {name: rng.normal(size=shapes[name]).astype(dtype) for name in chosen}
    values = draw(st.dictionaries(st.sampled_from(["q", "completeness_error"]), st.floats(-1e6, 1e6)))
    if draws:
        return Explanation(values=values, draws=tuple(draw(explanation(n)) for _ in range(draws)))
    return Explanation(**views, patterns=draw(st.none() | patterns(n)), values=values)


@st.composite
def parts(draw) -> Part:
    gold, guided, names = [], [], []
    for i in range(draw(st.integers(1, 3))):
        n, draws = draw(st.integers(1, 5)), draw(st.sampled_from([0, 0, 2]))
        names.append(sentence(f"i{i}", n))
        gold.append(draw(explanation(n, draws)))
        guided.append(gold[-1] if draw(st.booleans()) else draw(explanation(n, draws)))
    return Part(tuple(names), tuple(gold), tuple(guided), {"own_seconds": 0.5})


@settings(max_examples=60, deadline=None)
@given(parts())
def test_round_trip(part: Part) -> None:
    back = from_bytes(to_bytes(part))
    assert back.sentences == part.sentences and back.cost == part.cost
    for mine, stored in zip((*part.gold, *part.guided), (*back.gold, *back.guided), strict=True):
        assert same(mine, stored)
        assert mine.views == stored.views and dict(mine.values) == dict(stored.values)
        for name in mine.views - {"patterns"}:
            if not mine.draws:
                assert getattr(mine, name).dtype == getattr(stored, name).dtype
    for gold, guided, mine in zip(back.gold, back.guided, zip(part.gold, part.guided, strict=True), strict=True):
        assert (gold is guided) == same(*mine)


def test_bytes_do_not_depend_on_the_run() -> None:
    part = Part((sentence("a"),), (Explanation(tokens=np.arange(4.0), values={"q": 1.0}),) * 1, (Explanation(tokens=np.ones(4)),))
    assert to_bytes(part) == to_bytes(from_bytes(to_bytes(part)))


def test_large_edges_are_stored_as_float16(monkeypatch) -> None:
    monkeypatch.setattr(explanation_io, "LARGE_EDGES", 100)
    edges = np.random.default_rng(0).random((2, 4, 4, 4))
    small, large = edges[:, :1], edges
    part = Part((sentence("a"), sentence("b")), (Explanation(edges=small), Explanation(edges=large)), (Explanation(edges=small), Explanation(edges=large * 1e6)))
    back = from_bytes(to_bytes(part))
    np.testing.assert_array_equal(back.gold[0].edges, small)
    np.testing.assert_array_equal(back.gold[1].edges, large.astype(np.float16))
    np.testing.assert_array_equal(back.guided[1].edges, (large * 1e6).astype(np.float32))
    assert back.gold[1].edges.dtype == np.float64


@pytest.mark.parametrize("cut", [0, 5, 100, -1])
def test_damage_is_seen(cut: int) -> None:
    whole = to_bytes(Part((sentence("a"),), (Explanation(tokens=np.ones(4)),), (Explanation(tokens=np.ones(4)),)))
    with pytest.raises(DamagedPart, match="not a whole explanations file"):
        from_bytes(whole[:cut])


def test_newer_schema(monkeypatch) -> None:
    part = Part((sentence("a"),), (Explanation(tokens=np.ones(4)),), (Explanation(tokens=np.ones(4)),))
    monkeypatch.setattr(explanation_io, "SCHEMA", 9)
    data = to_bytes(part)
    monkeypatch.undo()
    with pytest.raises(FlowgaugeError, match="schema 9, this flowgauge reads up to 1"):
        from_bytes(data)


def test_sizes_must_agree() -> None:
    one = Explanation(tokens=np.ones(4))
    with pytest.raises(ValueError, match="2 sentences, 1 gold and 1 guided"):
        Part((sentence("a"), sentence("b")), (one,), (one,))


def test_draws_of_draws_are_refused() -> None:
    one = Explanation(tokens=np.ones(4))
    nested = Explanation(draws=(Explanation(draws=(one,)),))
    with pytest.raises(ValueError, match="a draw cannot have draws"):
        to_bytes(Part((sentence("a"),), (nested,), (replace(nested),)))
