"""The criteria that choose a recipe: what they compute, by hand, and what they say of the embedded models."""

from __future__ import annotations

import re

import numpy as np
import pytest

from agreement_models.criteria import (
    LEAST_ACCURACY,
    STEPS,
    TaskCriteria,
    calibration_error,
    falls_of,
    judge_task,
    random_nodes,
    table,
)
from flowgauge.models.load import load_model
from flowgauge.models.zoo import ZOO


def test_random_nodes_keep_the_share_of_each_layer_and_the_target_alone_at_the_last() -> None:
    kept = random_nodes(3, 7, 2, np.random.default_rng(0))
    assert kept.shape == (STEPS, 4, 7)
    assert kept[:, :3].sum(2).tolist() == [[n] * 3 for n in (1, 2, 3, 3, 4, 5, 5, 6, 7, 7)]
    assert kept[:, 3].sum(1).tolist() == [1] * STEPS and kept[:, 3, 2].all()
    assert (kept[:-1] <= kept[1:]).all()  # a larger budget keeps what a smaller one keeps
    assert len({kept[3, depth].tobytes() for depth in range(3)}) > 1  # each depth has its own ranking


def test_a_fall_is_within_its_band_or_not() -> None:
    steady = np.repeat([[0.0, 1.0, 1.0]], 50, 0)
    assert [(fall.size, fall.band) for fall in falls_of(steady)] == [(-1, 0), (-1, 0), (0, 0)]
    rng = np.random.default_rng(0)
    chance = rng.random((50, 3)) < 0.5
    assert all(fall.size <= fall.band for fall in falls_of(chance.astype(float)))
    falling = chance.astype(float)
    falling[:, 0] = 1.0
    assert any(fall.size > fall.band for fall in falls_of(falling))


def test_confidence_that_is_right_has_no_error_and_certainty_at_chance_a_half() -> None:
    right = np.array([True, True, True, False])
    assert calibration_error(np.full(4, 0.75), right) == 0.0
    assert calibration_error(np.ones(4), np.array([True, False, True, False])) == 0.5
    # two bins: (.55, all right: gap .45) and (.95, all wrong: gap .95), half of the predictions each
    assert calibration_error(np.array([0.55, 0.95]), np.array([True, False])) == pytest.approx(0.7)


def test_the_robust_model_meets_the_criteria_and_is_calibrated_where_the_plain_one_is_not() -> None:
    plain, robust = (judge_task(load_model(name), "sva/obj", 6) for name in ("agreement-bert-plain", "agreement-bert"))
    assert robust.met and robust.count == 24 and robust.accuracy == 1.0
    assert robust.curve[-1] == 1.0  # everything kept is the whole model
    assert robust.calibration_error < 0.12 < plain.calibration_error
    assert np.mean(robust.curve) > np.mean(plain.curve) + 0.08


def test_the_table_says_what_is_met() -> None:
    good = TaskCriteria("sva/obj", 200, 1.0, (0.5, 1.0), 0.0, 0.1, True, 0.02)
    bad = TaskCriteria("ra/ga", 200, LEAST_ACCURACY - 0.01, (0.5, 1.0), 0.0, 0.1, True, 0.02)
    lines = table([good, bad]).splitlines()
    assert lines[2] == "| `sva/obj` | 200 | 1.000 | 0.50 1.00 | 0.000 (0.100) | 0.020 | yes |"
    assert lines[3].startswith("| `ra/ga` | 200 | 0.980 |") and lines[3].endswith("| no |")


@pytest.mark.parametrize("name", ["agreement-bert", "agreement-gpt2"])
def test_the_cards_of_the_embedded_models_say_that_every_task_meets_them(name: str) -> None:
    card = (ZOO[name] / "README.md").read_text()
    accuracies = re.findall(r"^\| `[a-z/]+` \| 1000 \| ([\d.]+) \|", card, re.MULTILINE)
    assert len(accuracies) == 6 and all(float(accuracy) >= 0.99 for accuracy in accuracies)
    assert len(re.findall(r"\| yes \|$", card, re.MULTILINE)) == 6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["agreement-bert", "agreement-gpt2"])
def test_a_row_of_the_card_comes_out_again(name: str) -> None:
    """Up to another processor's rounding of near ties."""
    (stored,) = re.findall(r"^\| `sva/wsc` \| 200 \|.*$", (ZOO[name] / "README.md").read_text(), re.MULTILINE)
    again = table([judge_task(load_model(name), "sva/wsc", 50)]).splitlines()[-1]
    numbers = [[float(number) for number in re.findall(r"\d+\.\d+", line)] for line in (stored, again)]
    assert len(numbers[0]) == 14 and numbers[1] == pytest.approx(numbers[0], abs=0.011)
