"""Stores of hand-made explanations and scores for figures, and helpers that read the SVG of a figure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.leaderboards.conftest import keep, record, score, sentence

from flowgauge.benchmark.store.explanation_file import ExplainedSentence
from flowgauge.benchmark.store.store import Store
from flowgauge.methods.explanation import Explanation

TOKENS = ("[CLS]", "very", "$5", "funny", "[SEP]")
SENTENCE = replace(
    sentence("a", tokens=TOKENS), words=((-1, -1), (0, 0), (0, 1), (0, 2), (-1, -1)), slots=TOKENS, target=0
)  # fmt: skip

AREAS = {"least-first/auc": 0.7, "most-first/auc": 0.4, "least-first/auc/agreement": 0.9, "gap": 0.3}
PRUNED = {**{f"least-first/{r}": (1 - r / 200, 0.4, 1.0) for r in (0, 50, 100)}, **AREAS}
PRUNED |= {f"most-first/{r}": 1.0 if r == 0 else 0.5 for r in (0, 50, 100)}
LAYERS = {f"{by}/{o}/{k}": 0.5 for by in ("mean", "instance", "oracle") for o in ("least-first", "most-first") for k in range(3)}
LAYERS |= {"mean/least-first/auc": 0.625}
REACH = {
    **{f"layer/1/distance/{b}": s for b, s in (("1", 0.75), ("2", 0.25), ("3-4", 0.0))},
    **{f"layer/2/distance/{b}": s for b, s in (("1", 0.0), ("2", 0.0), ("3-4", 1.0))},
    "layer/1/mean": (1.25, 1.0, 1.5), "layer/1/relative": 0.5, "layer/1/local": 1.0,
    "layer/2/mean": (4.0, 3.0, 4.0), "layer/2/relative": 2.0, "layer/2/local": 0.0, "mean": 2.5,
}  # fmt: skip

PAIR_WORDS = ("[CLS]", "who", "won", "[SEP]", "the", "broncos", "won", "[SEP]")
PAIR_SEGMENTS = ((-1, -1), (0, 0), (0, 1), (-1, -1), (1, 0), (1, 1), (1, 2), (-1, -1))


def svg(paths: Sequence[Path]) -> str:
    """The text of the only SVG among the files of a figure."""
    (path,) = [path for path in paths if path.suffix == ".svg"]
    return path.read_text()


def group_of(text: str, name: str) -> str:
    """The SVG group of an id, up to its end."""
    start = text.index(f'id="{name}"')
    return text[start : text.index("</g>", start)]


def texts_of(paths: Sequence[Path], name: str) -> list[str]:
    """The texts that stand in the SVG with a name."""
    (path,) = [path for path in paths if path.name == f"{name}.svg"]
    return re.findall(r">([^<>]+)</text>", path.read_text())


def attributions() -> np.ndarray:
    """Three layers of two heads. [CLS] attends to funny and [SEP]; funny to very in layer 2, very to $5 in layer 1."""
    edges = np.zeros((3, 2, 5, 5))
    edges[2, 0, 0, 3], edges[2, 1, 0, 3], edges[2, 1, 0, 4], edges[2, 0, 0, 1] = 0.5, 0.25, 0.1, -0.3
    edges[1, 1, 3, 1], edges[1, 0, 3, 2] = 0.01, 0.003
    edges[0, 0, 1, 2], edges[0, 1, 2, 4] = 0.002, 0.0015
    return edges


def attributed(**values: float) -> Explanation:
    """An explanation with these attributions and with the strength of each head."""
    return Explanation(edges=attributions(), heads=attributions().max((2, 3)), values=values)


@pytest.fixture
def attributed_store(tmp_path: Path) -> str:
    """One sentence explained by attattr and by raw attention."""
    store = Store(str(tmp_path / "attributed"))
    attention = np.random.default_rng(0).dirichlet(np.ones(5), (3, 2, 5))
    keep(store, record("attattr", instances=1), [SENTENCE], [attributed(probability=0.875)])
    keep(store, record("raw-attention", instances=1), [SENTENCE], [Explanation(edges=attention)])
    return store.url


@pytest.fixture
def head_store(tmp_path: Path) -> str:
    """Scores of head pruning, of receptive fields and of retention curves, without explanations."""
    store = Store(str(tmp_path / "store"))
    keep(store, record("head-taylor", [score("head_pruning", PRUNED), score("layer_head_pruning", LAYERS)]))
    keep(store, record("attattr", [score("head_pruning", {**PRUNED, "gap": 0.45}), score("receptive_field", REACH)]))
    heads = {"auc": 0.5, "budget/50": 0.5, "budget/100": 1.0, "heads/auc": 0.25, "heads/budget/50": 0.1, "heads/budget/100": 0.9}
    keep(store, record("random", [score("retention_curve", heads)], seed=0))
    return store.url


def masked_pair(name: str, seed: int) -> tuple[ExplainedSentence, Explanation]:
    """A question with its passage, and a random mask of four depths."""
    pair = ExplainedSentence(name, "c", PAIR_WORDS, ("s",) * 8, PAIR_SEGMENTS, 0, ("yes",), ("no",), ("yes",), True)
    return pair, Explanation(mask=np.random.default_rng(seed).random((4, 8)), fill=np.zeros((1, 3)))


@pytest.fixture
def masked_store(tmp_path: Path) -> str:
    """Five pairs of texts explained by both DiffMask methods, with scores of the depths kept."""
    store = Store(str(tmp_path / "masked"))
    sentences, explanations = zip(*(masked_pair(f"rte/{n}", n) for n in range(5)), strict=True)
    depths = {
        "all": (2.0, 1.8, 2.2),
        "class/ADJ": (3.0, 2.5, 3.5),
        "class/DET": (0.5, 0.2, 0.8),
        "special/[CLS]": (3.9, 3.8, 4.0),
    }
    for method in ("diffmask-input", "diffmask-hidden"):
        keep(store, record(method, [score("depth_kept", depths)], task="rte", instances=5), sentences, explanations)
    return store.url
