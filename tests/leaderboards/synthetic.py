"""Stores of any size with made-up scores, written fast."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from flowgauge.benchmark.record import Cost
from flowgauge.benchmark.store import Store

from .conftest import record, score


def synthetic_store(folder: Path, methods: int, tasks: int, seeds: int, instances: int = 40, metric: str = "accuracy") -> str:
    """Methods of evenly spread quality on tasks of evenly spread difficulty; answers are right or wrong."""
    store, rng = Store(str(folder)), np.random.default_rng(0)
    names = [f"i{n:03d}" for n in range(instances)]
    fixed = {
        "instance": names, "condition": ["SP"[n % 2] for n in range(instances)], "variant": "all", "draw": 0, "reason": ""
    }  # fmt: skip
    for t in range(tasks):
        for m in range(methods):
            share = 0.2 + 0.6 * (m + 1) / (methods + 1) + 0.1 * t / tasks
            for seed in range(seeds):
                values = (rng.random(instances) < share).astype(float)
                rows = pd.DataFrame({**fixed, "value": values})[["instance", "condition", "variant", "draw", "value", "reason"]]
                mean = float(values.mean())
                low, high = (min(1.0, max(0.0, mean + side * 0.15)) for side in (-1, 1))
                found = score(metric, {"all": (mean, low, high)}, ranked="all", unit="share", higher_is_better=True)
                cost = Cost(seconds=0.01 * (m + 1), own_seconds=1.0, charged_seconds=0.0, explanations=instances, peak_bytes=2**28)
                one = record(
                    f"method-{m:03d}", [found], task=f"made/{t:02d}", seed=seed if seeds > 1 else None, instances=instances,
                    cell=f"{t:04x}{m:04x}{seed:04x}", cost=cost,
                )  # fmt: skip
                store.find(one).write_scores(found, rows)
                store.find(one).write_record(one)
    return store.url
