"""Draws where the dearest methods spend their time: `python docs/figures/operations.py docs/figures/operations.svg`.

One sentence of 32 random tokens and a random BERT-small of six layers, on one thread, by the profiler of torch: share of the time
of each kind of operation by itself, without the operations that it calls.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import matplotlib
import torch

matplotlib.use("svg")
from matplotlib import pyplot
from torch.profiler import ProfilerActivity, profile
from transformers import BertForMaskedLM, BertForSequenceClassification

from flowgauge.benchmark.speed.measure import SHAPE, MaskTokenizer, random_gaps
from flowgauge.benchmark.speed.peers.published_attattr import batch_of, random_ids, random_model
from flowgauge.methods.registry import METHODS

TOKENS, SAMPLES = 32, 10
KINDS = {
    "matrix products": ("mm", "addmm", "bmm", "baddbmm", "einsum", "linear", "matmul", "dot", "mv"),
    "attention": ("_scaled_dot_product", "softmax", "_softmax"),
    "copies and layouts": (
        "copy_",
        "clone",
        "cat",
        "stack",
        "contiguous",
        "index",
        "gather",
        "scatter",
        "expand",
        "repeat",
        "to",
    ),
    "activations and norms": ("gelu", "layer_norm", "native_layer_norm", "erf", "tanh", "exp"),
    "sums, products, additions": ("add", "add_", "mul", "mul_", "sub", "div", "sum", "mean", "where", "neg", "rsqrt", "pow"),
}
"""Kinds of operations by the names that torch gives them (a name may go on with `_backward`)."""
OTHER = "everything else"
COLOURS = ("#8fc1e8", "#f5c277", "#9ed3b4", "#dcb3d0", "#f0a98a", "#cfd4da")
"""Light enough for dark numbers on them, and told apart by people with any colour vision."""


def kind_of(operation: str) -> str:
    """The kind of an operation of torch, such as `aten::addmm`."""
    name = operation.removeprefix("aten::").removesuffix("_backward")
    for kind, names in KINDS.items():
        if name in names or any(len(begin) > 3 and name.startswith(begin) for begin in names):
            return kind
    return OTHER


def shares(job: Callable[[], object]) -> Mapping[str, float]:
    """Share of the time that each kind of operation takes by itself, after a call that is not counted."""
    job()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        job()
    times = dict.fromkeys((*KINDS, OTHER), 0.0)
    for event in profiled.key_averages():
        times[kind_of(event.key)] += event.self_cpu_time_total
    total = sum(times.values())
    return {kind: time / total for kind, time in times.items()}


def measured() -> dict[str, Mapping[str, float]]:
    """The shares of the three methods."""
    model = random_model(BertForMaskedLM, SHAPE, "cpu", MaskTokenizer(), "bert-small (random)")
    classifier = random_model(BertForSequenceClassification, SHAPE, "cpu", None, "classifier (random)")
    gap, sentence = random_gaps(model, 1, TOKENS), batch_of(random_ids(classifier, 1, TOKENS), 0, 1, 0)
    jobs = {
        "influence patterns": (f"influence-patterns:samples={SAMPLES}", model, gap),
        "conductance, with flows": (f"conductance:samples={SAMPLES}", model, gap),
        "attattr, 20 steps": ("attattr", classifier, sentence),
    }
    return {
        name: shares(lambda spec=spec, one=one, batch=batch: METHODS.create(spec).explain(one, replace(batch, cache={})))  # type: ignore[misc]
        for name, (spec, one, batch) in jobs.items()
    }


def draw(found: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """One bar a method, divided by kind of operation, with the share of each part that has room for it."""
    figure, axes = pyplot.subplots(figsize=(7.5, 2.6), layout="constrained")
    for row, (name, parts) in enumerate(found.items()):
        left = 0.0
        for colour, (kind, share) in zip(COLOURS, parts.items(), strict=True):
            axes.barh(row, share, left=left, color=colour, label=None if row else kind)
            if share > 0.05:
                axes.text(left + share / 2, row, f"{share:.0%}", ha="center", va="center", size=9)
            left += share
        print(name, {kind: round(share, 3) for kind, share in parts.items()})
    axes.set(yticks=range(len(found)), yticklabels=list(found), xlim=(0, 1), xlabel="share of the time, one thread")
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    torch.set_num_threads(1)
    matplotlib.rcParams["svg.hashsalt"] = "operations"
    draw(measured(), Path(sys.argv[1]))
