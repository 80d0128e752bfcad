"""Stores made for the site: of any size with made-up scores, written fast; and one of which every text is an attack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from flowgauge.benchmark.store.record import Cost, Score
from flowgauge.benchmark.store.store import Store

from .conftest import keep, patterned, record, rows, score, sentence

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


def synthetic_store(folder: Path, methods: int, tasks: int, seeds: int, instances: int = 40) -> str:
    """Methods of evenly spread quality, right or wrong on each instance; a task gives each method another's answers in part."""
    store, rng = Store(str(folder)), np.random.default_rng(0)
    fixed = {
        "instance": [f"i{n:03d}" for n in range(instances)], "condition": ["SP"[n % 2] for n in range(instances)],
        "cluster": "", "variant": "all", "draw": 0, "value": 0.0, "reason": "",
    }  # fmt: skip
    written: dict[tuple[int, int], tuple[Score, bytes]] = {}
    for task in range(tasks):
        for method in range(methods):
            for seed in range(seeds):
                like = ((method + task % 3) % methods, seed)
                found = written[like][0] if like in written else _score(rng, (like[0] + 1) / (methods + 1), instances, fixed)
                one = record(
                    f"method-{method:03d}", [found], task=f"made/{task:02d}", seed=seed if seeds > 1 else None,
                    instances=instances, cell=f"{task:04x}{method:04x}{seed:04x}", cost=_cost(method, instances),
                )  # fmt: skip
                cell = store.find(one)
                path = cell.scores_path(found.metric)
                if like in written:
                    store.files.write(path, written[like][1])
                else:
                    cell.write_scores(found, pd.DataFrame(fixed))
                    written[like] = found, store.files.read(path) or b""
                cell.write_record(one)
    return store.url


def _score(rng: np.random.Generator, share: float, instances: int, fixed: dict[str, object]) -> Score:
    """A score of so many right answers on average; the rows are left in `fixed`."""
    values = (rng.random(instances) < 0.2 + 0.6 * share).astype(float)
    fixed["value"], mean = values, float(values.mean())
    bounds = (mean, max(0.0, mean - 0.15), min(1.0, mean + 0.15))
    return score("accuracy", {"all": bounds}, ranked="all", unit="share", higher_is_better=True)


def _cost(method: int, instances: int) -> Cost:
    return Cost(
        seconds=0.01 * (method + 1), own_seconds=1.0, charged_seconds=0.0, explanations=instances, peak_bytes=2**28,
        passes=20.0 * (method + 1),
    )  # fmt: skip


def hostile_store(folder: Path) -> str:
    """Every text of a store is an attack."""
    store = Store(str(folder))
    words = sentence("id" + HOSTILE, "S" + HOSTILE, tokens=("[CLS]", HOSTILE, "[MASK]", "."))
    for method, values in (("x" + HOSTILE, [1.0]), ("y|_`$&%#{}", [0.0])):
        named = score(
            "m" + HOSTILE.replace("/", ""), {"v" + HOSTILE: values[0]}, ranked="v" + HOSTILE, unit=HOSTILE, higher_is_better=True
        )
        one = record(
            method, [named.model_copy(update={"metric": "m@1"})], task="t" + HOSTILE, model="b" + HOSTILE, instances=1,
            settings={HOSTILE: HOSTILE},
        )  # fmt: skip
        keep(store, one, [words], [patterned()])
        frame = rows(values, "v" + HOSTILE).assign(instance="id" + HOSTILE, condition=HOSTILE)
        store.find(one).write_scores(named.model_copy(update={"metric": "m@1"}), frame)
    keep(store, record("z", [], task="t" + HOSTILE, model="b" + HOSTILE, status="failed", error=HOSTILE, instances=0))
    return store.url
