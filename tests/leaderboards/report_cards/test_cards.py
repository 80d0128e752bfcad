"""Report cards: a metric that is the truth has all marks, one that throws dice has none, and names mean nothing."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import UnknownName, UsageError
from flowgauge.leaderboards.report_cards.card_file import to_json
from flowgauge.leaderboards.report_cards.cards import NO_DIRECTION, THE_TRUTH, ReportCard, _over_tasks, kinds_of, report_cards

from ..conftest import record, score, write
from .conftest import INSTANCES, TASKS, made, table

ORACLES = ["oracle:noise=1", "oracle:noise=2", "oracle:noise=4"]


@pytest.fixture(scope="module")
def cards(known_store: str) -> dict[str, ReportCard]:
    return {card.metric: card for card in report_cards(known_store).cards}


@pytest.mark.parametrize("name", ["copy", "error"])
def test_a_metric_that_is_the_truth_separates_and_orders_all(cards, name) -> None:
    card = cards[name]
    assert [card.power[kind].value for kind in ORACLES] == [1.0, 1.0, pytest.approx(1, abs=0.05)]
    assert card.truth.value == 1.0 and card.ladder.value == pytest.approx(1, abs=0.05)
    assert card.truth.tasks == card.level.tasks == TASKS and card.instances == (INSTANCES, INSTANCES)
    assert card.level.value < 0.12, "random explanations are called different as often as the test promises"
    assert cards["ground_truth"].correlations[name].value == 1.0


def test_dice_have_power_near_the_level_and_no_order(cards) -> None:
    card = cards["dice"]
    assert all(card.power[kind].value < 0.12 for kind in ORACLES) and card.level.value < 0.12
    assert abs(card.ladder.value) < 0.3 and card.truth.low < 0 < card.truth.high
    assert card.noise.value == pytest.approx(2 / math.sqrt(math.pi * INSTANCES), rel=0.2)  # E|X|, X of variance 2 / n


def test_the_noise_is_in_the_unit_of_the_metric(cards) -> None:
    assert cards["error"].noise.value == pytest.approx(2 * cards["copy"].noise.value)
    assert cards["copy"].noise.value == pytest.approx(0.1 * 2 / math.sqrt(math.pi * INSTANCES), rel=0.2)
    assert cards["copy"].noise.value < cards["copy"].noise_95 < 6 * cards["copy"].noise.value


def test_a_metric_that_says_the_same_of_all_is_scored_and_not_left_out(cards) -> None:
    card = cards["constant"]
    assert card.noise.value == card.level.value == 0
    assert [card.power[kind].value for kind in ORACLES] == [0, 0, 0] and card.ladder.value == card.truth.value == 0
    assert math.isnan(card.correlations["copy"].value) and "no tie" in card.correlations["copy"].reason


def test_what_is_undefined_says_why(cards) -> None:
    card = cards["share"]
    assert card.power == {} and card.ladder.reason == card.truth.reason == NO_DIRECTION
    assert card.level.value == cards["copy"].level.value
    assert cards["ground_truth"].truth.reason == THE_TRUTH and cards["ground_truth"].truth.value == 1.0


def test_names_of_methods_mean_nothing(known_store: str, tmp_path: Path) -> None:
    renamed = made(tmp_path / "renamed", names={"a": "z", "b": "y", "c": "x", "d": "w"})
    assert to_json(report_cards(renamed)) == to_json(report_cards(known_store))


def test_oracles_are_ordered_by_their_noise(cards) -> None:
    assert kinds_of([*cards.values()]) == ORACLES


def test_operators_are_the_same_metric_with_another_operator(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    better = {"zero": (0.9, 0.5, 0.1), "mean": (0.8, 0.5, 0.2), "cut": (0.1, 0.5, 0.9)}
    for place, method in enumerate("abc"):
        scores = [
            score("kept", {"all": values[place]}, ranked="all", higher_is_better=True, reads="nodes").model_copy(
                update={"metric": f"kept@1-{operator}", "settings": {"operator": operator, "steps": 4}}
            )
            for operator, values in better.items()
        ]
        rows_of = {s.metric: table(np.full((1, 8), s.aggregates[0].value), "all") for s in scores}
        write(store, record(method, scores, instances=8), rows_of)
    by_name = {card.metric: card for card in report_cards(store.url).cards}
    card = by_name["kept:operator=zero"]
    assert card.operators == ("kept:operator=mean", "kept:operator=cut")
    assert [card.correlations[name].value for name in card.operators] == [1.0, -1.0]
    assert "no random explanations" in card.level.reason and card.truth.reason.startswith("no task knows the truth of nodes")


def test_one_card_is_that_of_all(cards, known_store: str) -> None:
    (dice,) = report_cards(known_store, ["dice"]).cards
    assert repr(dice) == repr(cards["dice"])
    with pytest.raises(UnknownName, match="did you mean dice"):
        report_cards(known_store, ["dise"])


def test_a_store_without_scores_is_refused(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    write(store, record("a"), {})
    with pytest.raises(UsageError, match="has no scores; `flowgauge score"):
        report_cards(store.url)


def test_shares_that_are_equal_on_all_tasks_have_no_interval_and_others_stay_within_their_bounds() -> None:
    """A share of pairs is no outcome of 0 and 1, whose interval Wilson's would be."""
    for equal in (0.0, 1.0, 0.3):
        mean = _over_tasks([equal] * 4, "", (0.0, 1.0))
        assert (mean.value, mean.tasks) == (equal, 4) and np.isnan([mean.low, mean.high]).all()
    mean = _over_tasks([0.0, 0.0, 0.0, 0.04], "", (0.0, 1.0))
    assert mean.low == 0.0 < mean.value < mean.high < 0.1
