"""The memory budget: sizes in words, where it holds, and what fits into it."""

from __future__ import annotations

import pytest

from flowgauge.core.errors import UsageError
from flowgauge.models.memory import (
    affordable,
    gradient_bytes,
    layer_bytes,
    memory_budget,
    memory_bytes,
    run_bytes,
    within_memory,
)


def test_sizes_have_units():
    assert [memory_bytes(text) for text in ("4GiB", "4gib", "64 MiB", "1.5 GB", "2T", 10**9)] == [
        2**32, 2**32, 2**26, 1_500_000_000, 2 * 10**12, 10**9,
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["much", "-1GiB", "4 XB", "", "1e9", "63MiB", "0"])
def test_other_sizes_are_refused(text):
    with pytest.raises(UsageError, match="memory budget"):
        memory_bytes(text)


def test_the_budget_holds_inside_its_block_alone():
    assert memory_budget() == 2**32
    with pytest.raises(RuntimeError), within_memory(2**30):
        assert memory_budget() == 2**30
        raise RuntimeError
    assert memory_budget() == 2**32


def test_what_fits_follows_the_budget():
    with within_memory(2**30):
        assert affordable(2**20, 1 / 4) == 256 and affordable(2**40, 1.0) == 1
        assert affordable(2**20, 1 / 4, most=9) == 9


def test_longer_texts_and_gradients_take_more(models):
    model = models("bert")
    assert run_bytes(model, 5) < run_bytes(model, 50) < gradient_bytes(model, 50)
    assert layer_bytes(model, 50) > 2 * layer_bytes(model, 25)
    assert run_bytes(models("deberta-v2"), 50) > run_bytes(model, 50)  # scores of distances leave no fused kernel
