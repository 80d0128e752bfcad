"""Stores of oracles, random explanations and methods whose truth is drawn here, scored by metrics that know it or do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from flowgauge.benchmark.store.store import Store
from flowgauge.metrics.scores import frame

from ..conftest import record, score, write

INSTANCES, DRAWS, TASKS = 24, 8, 5
KINDS: dict[tuple[str, float | None], float] = {
    ("oracle", 1.0): 1.0,
    ("oracle", 2.0): 0.8,
    ("oracle", 4.0): 0.65,
    ("random", None): 0.5,
}
"""Mean of the truth of each kind of explanation."""
METHODS = {"a": 0.95, "b": 0.8, "c": 0.65, "d": 0.5}
Metric = Callable[[np.ndarray, np.random.Generator], np.ndarray]
METRICS: dict[str, tuple[Metric, bool | None]] = {
    "ground_truth": (lambda truth, rng: truth, True),
    "copy": (lambda truth, rng: truth, True),
    "error": (lambda truth, rng: 3 - 2 * truth, False),
    "dice": (lambda truth, rng: rng.normal(size=truth.shape), True),
    "constant": (lambda truth, rng: np.ones_like(truth), True),
    "share": (lambda truth, rng: truth, None),
}
"""Scores from the truth, and whether higher is better."""


def table(values: np.ndarray, variant: str):
    """Score rows of (draws, instances), in two conditions."""
    return frame(
        [
            {"instance": f"i{n:02d}", "condition": "SP"[n % 2], "variant": variant, "draw": draw, "reason": "", "value": value}
            for draw, of_draw in enumerate(values) for n, value in enumerate(of_draw)
        ]
    )  # fmt: skip


def made(folder: Path, names: Mapping[str, str] = {}, tasks: int = TASKS, methods: Mapping[str, float] = METHODS) -> str:
    """A store; `names` are what methods are called in place of a, b, c and d."""
    store, kinds = Store(str(folder)), dict(KINDS)
    kinds.update(((name, None), mean) for name, mean in methods.items())
    for task in range(tasks):
        rng = np.random.default_rng([task, 7])
        for kind, mean in kinds.items():
            draws = DRAWS if kind in KINDS else 1
            truth = mean + 0.1 * rng.normal(size=(draws, INSTANCES))
            scores, rows_of = [], {}
            for name, (of, higher) in METRICS.items():
                variant = "nodes/auroc" if name == "ground_truth" else "all"
                values = of(truth, rng)
                each = score(name, {variant: float(values.mean())}, ranked=variant, higher_is_better=higher, reads="nodes")
                scores.append(each)
                rows_of[each.metric] = table(values, variant)
            method, noise = kind
            settings = {} if noise is None else {"noise": noise, "draws": draws}
            cell = f"{task:06d}{[*kinds].index(kind):06d}"
            one = record(
                names.get(method, method), scores, task=f"planted/{task}", settings=settings, instances=INSTANCES, cell=cell
            )  # fmt: skip
            write(store, one, rows_of)
    return store.url


@pytest.fixture(scope="session")
def known_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Five tasks with everything that a card needs."""
    return made(tmp_path_factory.mktemp("known") / "store")
