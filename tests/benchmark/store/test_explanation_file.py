"""Explanations to bytes and back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load

from flowgauge.benchmark.store import explanation_file as explanation_io
from flowgauge.benchmark.store.explanation_file import ExplainedSentence, Part, from_bytes, same, to_bytes
from flowgauge.benchmark.store.sums import DamagedFile
from flowgauge.core.errors import FlowgaugeError
from flowgauge.methods.explanation import Explanation
from flowgauge.models.flow.graph import Patterns

LAYERS, HEADS = 2, 3


def sentence(name: str, n: int = 4) -> ExplainedSentence:
    return ExplainedSentence(name, "SP", ("t",) * n, ("s",) * n, ((0, 1),) * n, 2, ("is",), ("are",), ("is",), True)


def random_patterns(rng: np.random.Generator, n: int) -> Patterns:
    count, k = rng.integers(0, 4), rng.integers(1, 4)
    level = bool(rng.integers(2))
    return Patterns(
        source=rng.integers(0, n, count),
        total=rng.normal(size=count),
        influence=rng.normal(size=count),
        positions=rng.integers(-1, n, (count, LAYERS + 1, k)),
        head_influence=rng.normal(size=count) if level else None,
        heads=rng.integers(-3, HEADS, (count, LAYERS, k, k)) if level else None,
        gap=rng.normal(size=count) if rng.integers(2) else None,
    )


def random_explanation(rng: np.random.Generator, n: int, draws: int = 0) -> Explanation:
    shapes = {
        "tokens": (n,),
        "nodes": (LAYERS + 1, n),
        "flows": (n, LAYERS + 1, n),
        "units": (LAYERS, n, HEADS + 1),
        "heads": (LAYERS, HEADS),
        "edges": (LAYERS, HEADS, n, n),
        "mask": (LAYERS + 2, n),
    }
    values = {name: float(rng.normal()) for name in ("q", "completeness_error") if rng.integers(2)}
    if draws:
        return Explanation(values=values, draws=tuple(random_explanation(rng, n) for _ in range(draws)))
    dtype = (np.float64, np.float32)[rng.integers(2)]
    chosen = [name for name in shapes if rng.integers(2)] or ["tokens"]
    views: Any = {name: rng.normal(size=shapes[name]).astype(dtype) for name in chosen}
    return Explanation(**views, patterns=random_patterns(rng, n) if rng.integers(2) else None, values=values)


def random_part(seed: int) -> Part:
    """One to three instances of different lengths, some with draws, some with a guided explanation of their own."""
    rng = np.random.default_rng(seed)
    gold, guided, names = [], [], []
    for i in range(rng.integers(1, 4)):
        n, draws = int(rng.integers(1, 6)), (0, 0, 2)[rng.integers(3)]
        names.append(sentence(f"i{i}", n))
        gold.append(random_explanation(rng, n, draws))
        guided.append(gold[-1] if rng.integers(2) else random_explanation(rng, n, draws))
    return Part(tuple(names), tuple(gold), tuple(guided), {"own_seconds": 0.5})


def test_values_are_read_in_the_order_of_their_names() -> None:
    names = ["q", "beta", "b", "zeta", "a", "beta2", "Beta"]
    gold = Explanation(tokens=np.ones(4), values={name: float(number) for number, name in enumerate(names)})
    (back,) = from_bytes(to_bytes(Part((sentence("i"),), (gold,), (gold,)))).gold
    assert list(back.values) == ["Beta", "a", "b", "beta", "beta2", "q", "zeta"] and back.values == gold.values


def test_sentences_of_files_without_places_are_read() -> None:
    part = Part((sentence("i"),), (Explanation(tokens=np.ones(4)),), (Explanation(tokens=np.ones(4)),))
    data = to_bytes(part).replace(b', \\"place\\": null', b"")
    length = int.from_bytes(data[:8], "little") - len(b', \\"place\\": null')
    assert from_bytes(length.to_bytes(8, "little") + data[8:]).sentences == part.sentences


def test_a_cluster_is_kept_and_an_empty_one_is_absent_from_the_file() -> None:
    explained = Explanation(tokens=np.ones(4))
    two = (sentence("i"), replace(sentence("j"), cluster="passage 7"))
    data = to_bytes(Part(two, (explained,) * 2, (explained,) * 2))
    assert data.count(b"cluster") == 1 and from_bytes(data).sentences == two


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_round_trip(seed: int) -> None:
    part = random_part(seed)
    back = from_bytes(to_bytes(part))
    assert back.sentences == part.sentences and back.cost == part.cost
    for mine, stored in zip((*part.gold, *part.predicted), (*back.gold, *back.predicted), strict=True):
        assert same(mine, stored)
        assert mine.views == stored.views and dict(mine.values) == dict(stored.values)
        for name in mine.views - {"patterns"}:
            if not mine.draws:
                assert getattr(mine, name).dtype == getattr(stored, name).dtype
    for gold, guided, pair in zip(back.gold, back.predicted, zip(part.gold, part.predicted, strict=True), strict=True):
        assert (gold is guided) == same(*pair)


def test_bytes_do_not_depend_on_the_run() -> None:
    part = Part((sentence("a"),), (Explanation(tokens=np.arange(4.0), values={"q": 1.0}),), (Explanation(tokens=np.ones(4)),))
    assert to_bytes(part) == to_bytes(from_bytes(to_bytes(part)))


def test_large_edges_are_stored_as_float16_of_their_own_scale(monkeypatch) -> None:
    monkeypatch.setattr(explanation_io, "LARGE_EDGES", 100)
    rng = np.random.default_rng(0)
    edges = rng.normal(size=(2, 4, 4, 4)) * 10.0 ** rng.integers(-7, 1, (2, 4, 4, 4))
    small, large = edges[:, :1], {scale: Explanation(edges=edges * scale) for scale in (1.0, 1e-9, 1e6, 0.0)}
    given = (Explanation(edges=small), *large.values())
    back = from_bytes(to_bytes(Part(tuple(sentence(str(i)) for i in range(5)), given, given)))
    np.testing.assert_array_equal(back.gold[0].edges, small)
    for scale, found in zip(large, back.gold[1:], strict=True):
        np.testing.assert_allclose(found.edges, edges * scale, rtol=2**-11, atol=0)
        assert found.edges.dtype == np.float64
    exact = np.ldexp(np.round(edges * 2.0**9), -9)  # what float16 holds comes back as it was
    exact[0, 0, 0, 0] = 0.5
    again = from_bytes(to_bytes(Part((sentence("a"),), (Explanation(edges=exact),), (Explanation(edges=exact),))))
    np.testing.assert_array_equal(again.gold[0].edges, exact)


def test_large_edges_without_an_exponent_are_read_as_they_are(monkeypatch) -> None:
    """Files of schema 1."""
    monkeypatch.setattr(explanation_io, "LARGE_EDGES", 10)
    edges = np.random.default_rng(0).random((1, 1, 4, 4)).astype(np.float16)
    monkeypatch.setattr(explanation_io, "_edges", lambda edges: {"edges": edges.astype(np.float16)})
    data = to_bytes(Part((sentence("a"),), (Explanation(edges=edges),), (Explanation(edges=edges),)))
    np.testing.assert_array_equal(from_bytes(data).gold[0].edges, edges)


@pytest.mark.parametrize("cut", [0, 5, 100, -1])
def test_damage_is_seen(cut: int) -> None:
    whole = to_bytes(Part((sentence("a"),), (Explanation(tokens=np.ones(4)),), (Explanation(tokens=np.ones(4)),)))
    with pytest.raises(DamagedFile, match="not a whole explanations file"):
        from_bytes(whole[:cut])


def test_newer_schema(monkeypatch) -> None:
    part = Part((sentence("a"),), (Explanation(tokens=np.ones(4)),), (Explanation(tokens=np.ones(4)),))
    monkeypatch.setattr(explanation_io, "SCHEMA", 9)
    data = to_bytes(part)
    monkeypatch.undo()
    with pytest.raises(FlowgaugeError, match="schema 9, this flowgauge reads up to 3"):
        from_bytes(data)


def test_sizes_must_agree() -> None:
    one = Explanation(tokens=np.ones(4))
    with pytest.raises(ValueError, match="2 sentences, 1 gold and 1 predicted"):
        Part((sentence("a"), sentence("b")), (one,), (one,))


def test_draws_of_draws_are_refused() -> None:
    one = Explanation(tokens=np.ones(4))
    nested = Explanation(draws=(Explanation(draws=(one,)),))
    with pytest.raises(ValueError, match="a draw cannot have draws"):
        to_bytes(Part((sentence("a"),), (nested,), (replace(nested),)))


def masked(n: int, fill: np.ndarray) -> Explanation:
    rng = np.random.default_rng(n)
    return Explanation(mask=rng.random((LAYERS + 2, n)), gate=rng.random((LAYERS + 2, n)), fill=fill)


@pytest.mark.parametrize("equal", [True, False])
def test_what_stands_in_is_stored_once_where_it_is_equal(equal: bool) -> None:
    fill = np.random.default_rng(0).normal(size=(LAYERS + 2, 8))
    made = tuple(masked(n, fill if equal else fill + n) for n in (3, 4, 5))
    data = to_bytes(Part(tuple(sentence(f"i{i}", len(e.mask[0])) for i, e in enumerate(made)), made, made))
    assert all(same(one, other) for one, other in zip(made, from_bytes(data).gold, strict=True))
    stored = load(data)
    assert stored["fill|<f8|2|values"].size == fill.size * (1 if equal else 3)


def test_parts_of_the_schema_before_are_read() -> None:
    part = random_part(3)
    older = to_bytes(part).replace(b'{\\"schema\\": 3', b'{\\"schema\\": 2')
    assert older != to_bytes(part)
    assert all(same(one, other) for one, other in zip(part.gold, from_bytes(older).gold, strict=True))


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        ({"tokens": np.zeros(3), "fill": np.zeros((1, 4))}, "belong to a mask, but it has no mask"),
        ({"mask": np.zeros((4, 3)), "gate": np.zeros((4, 2))}, "the gate has shape .* expected the mask's shape"),
        (
            {"mask": np.zeros((4, 3)), "fill": np.zeros((2, 5))},
            "the fill has 2 vectors, expected 1 or one for each of the mask's 4 depths",
        ),
    ],
)
def test_what_a_mask_cannot_come_with(beside: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Explanation(**beside)
