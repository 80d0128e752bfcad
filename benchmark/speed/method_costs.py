"""Measures what every built-in method costs, as multiples of one integrated-gradients pass, and writes `catalogue/costs.json`.

python -m flowgauge.benchmark.speed.method_costs FILE
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ...methods.registry import METHODS
from ...models.batch import Batch
from ...models.built.training import InMemorySession
from ...models.flow.flow_model import FlowModel
from ...models.inputs.encode import batches, encode
from ...models.load import load_model
from ...tasks.registry import load_task
from ..store.atomic_files import write_file
from .measure import plain_pass

MODEL, TASK, SAMPLES = "agreement-bert", "sva/obj", 50
LONG = 60.0
"""CPU seconds from which on a method is timed once, without a repeat."""
SHORTENED = {name: {"steps": 200, "fallback": 1e9} for name in ("diffmask-input", "diffmask-hidden")}
"""Settings of trainings that take minutes: the costs of the steps are measured, and multiplied by those of a whole training."""


def measure_costs(
    sentences: int = 8, repeats: int = 5, training: int = 1000, methods: Sequence[str] = tuple(METHODS.builtin)
) -> dict[str, Any]:
    """Times every method with its default settings, on one thread and in CPU time, which other programs hardly change.

    Each repeat times the unit and then the method on the same sentences, with nothing kept from before. The unit is one forward
    and backward pass of the Hugging Face model at 50 points of the path, for the same sentences.

    Args:
        sentences: How many sentences of the task are explained, in one batch.
        repeats: Repeats, after one that is not timed.
        training: Sentences that methods are trained on, if they are trained.
        methods: Names of built-in methods.

    Returns:
        The conditions, and for every method its ratio to the unit (median, smallest and largest of the repeats), and what its
        training costs, where it has one, in passes for a single sentence.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model, task = load_model(MODEL), load_task(TASK)
        batch = encode(model, task.instances("test", sentences, 0), task.quantity)
        train = batches(model, task.instances("train", training, 0), task.quantity, batch_size=64, samples=1).batches
        costs = {name: _cost(name, model, batch, train, repeats) for name in methods}
    finally:
        torch.set_num_threads(threads)
    return {
        "model": MODEL, "task": TASK, "sentences": sentences, "tokens": batch.ids.shape[1], "samples": SAMPLES,
        "repeats": repeats, "training_sentences": training, "clock": "CPU time on one thread", "methods": costs,
    }  # fmt: skip


def _cost(name: str, model: FlowModel, batch: Batch, train: Sequence[Batch], repeats: int) -> dict[str, Any]:
    method, cost = METHODS.create(name), dict[str, Any]()
    if hasattr(method, "fit"):
        unit = statistics.median(_seconds(lambda: plain_pass(model, batch, SAMPLES)) for _ in range(3))
        method, seconds = _trained(name, model, train)
        cost["training"] = _rounded(seconds / unit * len(batch))
    ratios: list[float] = []
    for repeat in range(repeats + 1):
        unit = _seconds(lambda: plain_pass(model, batch, SAMPLES))
        seconds = _seconds(lambda: method.explain(model, replace(batch, cache={})))
        if repeat or seconds > LONG:  # the first one is the warm-up
            ratios.append(seconds / unit)
        if seconds > LONG:
            break
    median, low, high = statistics.median(ratios), min(ratios), max(ratios)
    print(f"{name}: {median:.3g} [{low:.3g}, {high:.3g}] {cost}", file=sys.stderr, flush=True)
    return {"ratio": _rounded(median), "low": _rounded(low), "high": _rounded(high), **cost}


def _trained(name: str, model: FlowModel, train: Sequence[Batch]) -> tuple[Any, float]:
    """A method after its training, and the CPU seconds of a training with default settings."""
    settings: Mapping[str, Any] = SHORTENED.get(name, {})
    method, weights = METHODS.create({"name": name, **settings}), dict[str, Any]()
    seconds = _seconds(lambda: weights.update(method.fit(model, train, InMemorySession())))
    steps = METHODS.create(name).steps / settings["steps"] if settings else 1.0
    return method.trained(weights), steps * seconds


def _seconds(job: Callable[[], object]) -> float:
    started = time.process_time()
    job()
    return time.process_time() - started


def _rounded(ratio: float) -> float:
    """A ratio to three digits, which is more than other machines agree on."""
    return float(f"{ratio:.3g}")


if __name__ == "__main__":
    write_file(Path(sys.argv[1]), json.dumps(measure_costs(), indent=1) + "\n")
