"""Levels of trust and their order."""

from __future__ import annotations

from typing import get_args

import pytest

from flowgauge.leaderboards.submission.trust import TRUST, Trust, weakest


def test_the_order_names_every_level_once() -> None:
    assert sorted(TRUST) == sorted(get_args(Trust)) and TRUST[0] == "self-reported" and TRUST[-1] == "maintained"


@pytest.mark.parametrize("position", range(1, len(TRUST)))
def test_the_less_trusted_level_counts(position: int) -> None:
    assert weakest([TRUST[position], TRUST[position - 1], TRUST[-1]]) == TRUST[position - 1]
