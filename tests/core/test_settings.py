"""Settings are checked by their annotations: choices, ranges and types."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pytest
from pydantic import Field, PositiveInt

from flowgauge.core.errors import UsageError
from flowgauge.core.settings import Settings


@dataclass(frozen=True)
class Example(Settings):
    norm: Literal["l1", "l2"] = "l2"
    share: Annotated[float, Field(ge=0, lt=1)] = 0.5
    depth: PositiveInt | None = None


def test_values_that_are_allowed_are_stored_unchanged() -> None:
    made = Example("l1", 0, 3)
    assert (made.norm, made.share, made.depth) == ("l1", 0, 3) and Example().depth is None


def test_numbers_of_numpy_become_those_of_python() -> None:
    example = Example(share=np.float32(0.25), depth=np.int64(3))  # type: ignore[arg-type]
    assert (type(example.share), type(example.depth)) == (float, int) and example == Example(share=0.25, depth=3)
    with pytest.raises(UsageError, match=r"^depth must be above 0, got 0\.$"):
        Example(depth=np.int64(0))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="depth must be a whole number"):
        Example(depth=np.float64(2.5))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"norm": "max"}, "norm must be l1 or l2, got 'max'."),
        ({"share": 1}, "share must be below 1, got 1."),
        ({"share": -0.5}, "share must be at least 0, got -0.5."),
        ({"share": math.nan}, "share must be a finite number, got nan."),
        ({"depth": 0}, "depth must be above 0, got 0."),
        ({"depth": "2"}, "depth must be a whole number, got '2'."),
    ],
)
def test_values_that_are_not_allowed_are_refused(settings, message) -> None:
    with pytest.raises(UsageError) as refusal:
        Example(**settings)
    assert str(refusal.value) == message


def test_a_subclass_checks_its_own_settings_too() -> None:
    @dataclass(frozen=True)
    class More(Example):
        steps: Annotated[int, Field(ge=2)] = 2

    with pytest.raises(UsageError, match="steps must be at least 2, got 1"):
        More(steps=1)
    with pytest.raises(UsageError, match="norm must be"):
        More(norm="max")  # type: ignore[arg-type]
