"""The toy task's figure: shares of digits, the choice of the example, and errors."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.leaderboards.conftest import keep, record, sentence

from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.figures.counting import choose_examples, counting_example
from flowgauge.leaderboards.figures.plot import plot
from flowgauge.leaderboards.figures.source import ExplanationSource
from flowgauge.methods.explanation import Explanation


def example(name: str, query: str, digits: str, answer: str = "yes"):
    tokens = (*query.split(), *digits.split())
    words = (*((0, i) for i in range(2)), *((1, i) for i in range(len(tokens) - 2)))
    plain = sentence(f"toy/counting/test/{name}", tokens=tokens)
    return replace(plain, words=words, slots=tokens, target=None, answer=(answer,), predicted=(answer,))


SENTENCES = [example("0", "1 2", "3 3 1"), example("1", "8 1", "8 8 3 1 3 9"), example("2", "1 2", "1 2 1 3 4 5")]


def explained(kind: str) -> list[Explanation]:
    explanations = []
    for instance in SENTENCES:
        n = len(instance.tokens)
        scores = np.arange(n, dtype=float)
        mask = np.stack([np.ones(n), np.isin(instance.tokens, instance.tokens[:2]).astype(float)])
        explanations.append(Explanation(mask=mask) if kind == "mask" else Explanation(tokens=-scores))
    return explanations


@pytest.fixture
def store(tmp_path: Path) -> str:
    written = Store(str(tmp_path / "toy"))
    for method, kind in (("keeps", "mask"), ("scores", "tokens")):
        keep(written, record(method, task="toy/counting", instances=3), SENTENCES, explained(kind))
    return written.url


def cells(store: str):
    source = ExplanationSource(store)
    (group,) = source.groups
    return [source.explained(group, label) for label in ("keeps", "scores")]


def test_shares_are_of_the_sequence_alone_and_by_size(store: str) -> None:
    counted = counting_example(cells(store), "toy/counting/test/1")
    assert counted.digits == ("8", "8", "3", "1", "3", "9") and counted.matters.tolist() == [
        True,
        True,
        False,
        True,
        False,
        False,
    ]
    assert counted.bars["keeps"]["words"] == pytest.approx(np.full(6, 1 / 6))
    assert counted.bars["keeps"]["hidden"] == pytest.approx(counted.matters / 3)
    assert counted.bars["scores"]["words"] == pytest.approx(np.arange(2, 8) / 27)
    assert counted.bars["scores"]["hidden"] is None
    assert counted.subtitle == "More 8 than 1?  8 8 3 1 3 9:  yes; the model is right"


def test_the_example_has_six_digits_and_both_of_the_query(store: str) -> None:
    both = cells(store)
    assert choose_examples(both) == ["toy/counting/test/1"]
    assert choose_examples(both, ["toy/counting/test/0"]) == ["toy/counting/test/0"]
    only = [replace(cell, sentences=dict(list(cell.sentences.items())[:1])) for cell in both]
    assert choose_examples(only) == ["toy/counting/test/0"]
    with pytest.raises(UsageError, match="explained no instance of toy/counting in common"):
        choose_examples([both[0], replace(both[1], sentences={})])


def test_bars_stand_in_the_figure_and_its_bytes_are_the_same(store: str, tmp_path: Path) -> None:
    first, second = (plot(store, "counting", tmp_path / name) for name in ("one", "two"))
    assert [path.name for path in first] == [f"counting-toy-toy-counting-test-1.{kind}" for kind in ("png", "svg")]
    text = first[1].read_text()
    bars = [f"bar-{name}-{i}" for name in ("keeps-words", "scores-words", "keeps-hidden") for i in range(6)]
    assert sorted(re.findall(r'id="(bar-[^"]+)"', text)) == sorted(bars)
    assert text.count("no scores") == 1 and "hidden states" in text
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, second, strict=True))


def test_a_method_can_be_named_and_other_tasks_are_refused(store: str, tmp_path: Path, drawn_store: str) -> None:
    text = plot(store, "counting", tmp_path, method="keeps")[1].read_text()
    assert "bar-keeps-words-0" in text and "bar-scores-words-0" not in text
    with pytest.raises(UsageError, match="is not toy/counting"):
        plot(drawn_store, "counting", tmp_path)
    with pytest.raises(UsageError, match="no instance among the 3 explained is called 'toy/counting/test/9'"):
        plot(store, "counting", tmp_path, instance="toy/counting/test/9")
