"""Models whose head does not fit a task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flowgauge.benchmark.engine.plan import Plan
from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.loading.head_check import check_head
from flowgauge.core.errors import UsageError
from flowgauge.tasks.registry import load_task


@pytest.fixture
def plan(make_plan: Callable[..., Plan], tiny_folder: Callable[..., Path], tiny_data: Path) -> Callable[..., Plan]:
    """A small plan for the tiny classifier on SST-2 in miniature."""

    def make(**fields: Any) -> Plan:
        model = str(tiny_folder("bert", "label"))
        return make_plan(**{"model": model, "tasks": "sst2", "data_dir": str(tiny_data), "limit": None, **fields})

    return make


def test_a_head_that_does_not_fit_is_named_with_the_tasks_it_fits(plan: Callable[..., Plan], tiny_model: Path) -> None:
    with pytest.raises(UsageError) as error:
        run(plan(model=str(tiny_model)))
    text = str(error.value)
    assert "needs a model with a sequence-classification head" in text and "has a masked-LM head" in text
    assert "It fits sva/obj, sva/subj" in text and "flowgauge train --model BASE --task sst2 --out DIR" in text
    with pytest.raises(
        UsageError, match=r"masked-LM or next-token head, .* sequence-classification head \(2 classes: negative, positive\)"
    ):
        run(plan(tasks="sva/obj", data_dir=None, limit=4))
    with pytest.raises(UsageError, match=r"has 2 classes: negative, positive, the task has 3: .* It fits sst2, sst/binary\."):
        run(plan(tasks="mnli"))


def test_a_model_of_the_next_word_is_asked_for_gaps_but_for_nothing_else() -> None:
    model: Any = SimpleNamespace(name="tiny-gpt", head="next", labels={})
    assert check_head(model, load_task("sva/obj")) == {}
    assert check_head(model, SimpleNamespace(name="mine", head="next")) == {}
    with pytest.raises(
        UsageError, match=r"needs a model with a sequence-classification head, .* next-token head\. It fits sva/obj"
    ):
        check_head(model, load_task("sst2"))
    masked: Any = SimpleNamespace(name="tiny-bert", head="masked", labels={})
    with pytest.raises(UsageError, match="'mine' needs a model with a next-token head, but model 'tiny-bert' has a masked-LM"):
        check_head(masked, SimpleNamespace(name="mine", head="next"))


def test_a_classifier_is_told_that_it_does_not_fit(tiny_folder: Any, tiny_data: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"methods": "random", "store": str(tmp_path), "device": "cpu", "data_dir": str(tiny_data)}
    with pytest.raises(
        UsageError, match=r"needs a model with a span head.*`flowgauge train --model BASE --task squad --out DIR`"
    ):
        run(model=str(tiny_folder("bert", "label")), tasks="squad", **options)
    with pytest.raises(UsageError, match=r"has a span head\. It fits squad"):
        run(model=str(tiny_folder("bert", "span")), tasks="sst2", **options)
