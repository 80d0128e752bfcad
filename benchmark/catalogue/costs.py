"""What methods cost, as measured before the release: ratios to one integrated-gradients pass, read from `costs.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

COSTS = Path(__file__).with_name("costs.json")
"""Written by `benchmark/speed/method_costs.py`."""
UNIT = "integrated-gradients passes"


class MethodCost(BaseModel):
    """The cost of a method with default settings.

    Attributes:
        ratio: CPU time of explaining some sentences, divided by that of the unit on them: median over repeats.
        low, high: Smallest and largest ratio of a repeat.
        training: CPU time of one training with default settings, divided by that of the unit for a single sentence; None for
            methods that are not trained.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ratio: float
    low: float
    high: float
    training: float | None = None


class CostTable(BaseModel):
    """Costs of all built-in methods, measured in one run.

    The unit is one integrated-gradients pass: the model run forward and backward at `samples` points of the path from a baseline,
    for the same sentences.

    Attributes:
        model, task: What was explained.
        sentences, tokens: How many sentences, of how many tokens.
        samples: Points of the path.
        repeats: Repeats of every method.
        training_sentences: Sentences that methods were trained on, where they are trained.
        clock: What was measured.
        methods: The cost of each method by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    task: str
    sentences: int
    tokens: int
    samples: int
    repeats: int
    training_sentences: int
    clock: str
    methods: Mapping[str, MethodCost]

    @property
    def conditions(self) -> str:
        """Where and how the costs were measured, as one phrase."""
        size = f"{self.sentences} sentences of {self.tokens} tokens"
        return f"{self.clock}, {self.model}, {size}, median of {self.repeats} repeats"


@cache
def cost_table() -> CostTable:
    """The measured costs, read from the package; torch is not needed."""
    return CostTable.model_validate(json.loads(COSTS.read_text(encoding="utf-8")))


def in_words(cost: MethodCost) -> str:
    """A cost as a phrase.

    >>> in_words(MethodCost(ratio=2.31, low=2.2, high=2.5))
    '2.31 integrated-gradients passes [2.2, 2.5]'
    >>> in_words(MethodCost(ratio=0.02, low=0.02, high=0.02, training=41000))
    '0.02 integrated-gradients passes, after one training of 41000 passes for a single sentence'
    """
    spread = "" if cost.low == cost.high else f" [{cost.low:g}, {cost.high:g}]"
    training = "" if cost.training is None else f", after one training of {cost.training:g} passes for a single sentence"
    return f"{cost.ratio:g} {UNIT}{spread}{training}"
