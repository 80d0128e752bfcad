"""How the time of influence patterns grows with instances, tokens and layers.

python -m flowgauge.benchmark.speed.growth
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from transformers import BertForMaskedLM

from ...methods.registry import METHODS
from .measure import MaskTokenizer, random_gaps
from .peers.published_attattr import random_model

BERT_BASE = {
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "vocab_size": 30522,
}
SLOW = 10.0
"""Processor time from which on a size is not timed a second time (s)."""


@dataclass(frozen=True)
class Growth:
    """How the time of an explanation grows.

    Attributes:
        name: What grows.
        sizes: Its sizes.
        seconds: Processor time of influence patterns at each (s).
        exponent: Slope of the logarithm of the time over that of the size; over all sizes.
        at_end: The same between the two largest sizes, where what does not grow weighs least.
    """

    name: str
    sizes: tuple[int, ...]
    seconds: tuple[float, ...]
    exponent: float
    at_end: float


def measure_growth(
    instances: Sequence[int] = (1, 4, 16), tokens: Sequence[int] = (8, 32, 128, 512), layers: Sequence[int] = (2, 6, 12, 24),
    samples: int = 2, shape: dict[str, int] = BERT_BASE,
) -> Iterator[Growth]:  # fmt: skip
    """How the time of influence patterns grows with instances, tokens and layers; by default on random models like BERT-base.

    Args:
        instances: Numbers of instances of 11 tokens.
        tokens: Numbers of tokens of one instance.
        layers: Numbers of layers, for one instance of 32 tokens.
        samples: Points of the path; what they take is the same for each, so that few show the growth.
        shape: Settings of the models' configuration.
    """
    method = METHODS.create({"name": "influence-patterns", "samples": samples})

    def seconds(count: int, length: int, depth: int) -> float:
        settings = {**shape, "num_hidden_layers": depth, "max_position_embeddings": 512}
        model = random_model(BertForMaskedLM, settings, "cpu", MaskTokenizer(), "random")
        batch = random_gaps(model, count, length)

        def explain() -> object:
            return method.explain(model, replace(batch, cache={}))

        first = taken_by(explain)[1]
        return first if first > SLOW else min(first, taken_by(explain)[1])

    depth = shape["num_hidden_layers"]
    seconds(1, 8, 1)  # what is loaded at the first call
    yield _growth("instances of 11 tokens", instances, [seconds(size, 11, depth) for size in instances])
    yield _growth("tokens of one instance", tokens, [seconds(1, size, depth) for size in tokens])
    yield _growth("layers, one instance of 32 tokens", layers, [seconds(1, 32, size) for size in layers])


def _growth(name: str, sizes: Sequence[int], seconds: Sequence[float]) -> Growth:
    slope, end = (float(np.polyfit(np.log(sizes[i:]), np.log(seconds[i:]), 1)[0]) for i in (0, -2))
    return Growth(name, tuple(sizes), tuple(seconds), slope, end)


def taken_by(job: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor time of a call (s)."""
    started, processor = time.perf_counter(), time.process_time()
    job()
    return time.perf_counter() - started, time.process_time() - processor


def in_words(growth: Growth) -> str:
    """One line: what grows, both exponents, and the time of each size.

    >>> in_words(Growth("layers", (2, 4), (0.5, 1.0), 1.0, 1.0))
    'layers: exponent 1.00, 1.00 at the end (2: 0.50 s, 4: 1.00 s)'
    """
    sizes = ", ".join(f"{size}: {seconds:.2f} s" for size, seconds in zip(growth.sizes, growth.seconds, strict=True))
    return f"{growth.name}: exponent {growth.exponent:.2f}, {growth.at_end:.2f} at the end ({sizes})"


if __name__ == "__main__":
    for row in measure_growth():
        print(in_words(row), flush=True)
