"""Prints what whole explanations take beside those of words alone: `python docs/figures/words_alone.py` for docs/measurements.md.

Processor time on one thread, on four sentences of `sva/obj` and `agreement-bert`, the two in turn.
"""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any

import torch

from flowgauge.benchmark.speed.growth import taken_by
from flowgauge.methods.registry import METHODS
from flowgauge.models.built.training import InMemorySession
from flowgauge.models.inputs.encode import encode
from flowgauge.models.load import load_model
from flowgauge.tasks.registry import load_task

LEFT_OUT = {
    "integrated-gradients": "nodes=false", "conductance": "flows=false", "influence-patterns": "patterns=false",
    "activation-patching": "nodes=false,heads=false", "ib-attribution": "nodes=false", "information-mask": "nodes=false",
}  # fmt: skip
"""The settings by which each method explains words alone."""
REPEATS = 5


def main() -> None:
    """Prints a line a method: both times, and the median of their ratios with the smallest and the largest."""
    torch.set_num_threads(1)
    model, task = load_model("agreement-bert"), load_task("sva/obj")
    batch = encode(model, task.instances("test", 4, 0), task.quantity)

    def ready(spec: str) -> Any:
        method = METHODS.create(spec)
        return method.trained(method.fit(model, [batch], InMemorySession())) if hasattr(method, "fit") else method

    def seconds(method: Any) -> float:
        return taken_by(lambda: method.explain(model, replace(batch, cache={})))[1]

    for name, settings in LEFT_OUT.items():
        sides = ready(name), ready(f"{name}:{settings}")
        taken = [tuple(map(seconds, sides)) for _ in range(REPEATS + 1)][1:]
        ratios = sorted(whole / words for whole, words in taken)
        whole, words = (statistics.median(side) for side in zip(*taken, strict=True))
        print(
            f"{name}: {whole:.3f} s, {words:.3f} s, {statistics.median(ratios):.1f} [{ratios[0]:.1f}, {ratios[-1]:.1f}]",
            flush=True,
        )


if __name__ == "__main__":
    main()
