"""What a task says of a metric: draws are read one by one, and the reason is said where there are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flowgauge.benchmark.store.store import Store
from flowgauge.leaderboards.report_cards.evidence import Separations, evidence, identities, metric_labels
from flowgauge.leaderboards.stored.comparable_cells import groups
from flowgauge.leaderboards.stored.records import stored_records

from ..conftest import record, score, write
from .conftest import DRAWS, METHODS, made, table


def kept(variant: str = "all", **fields):
    return score("kept", {variant: 0.5}, ranked=variant, higher_is_better=True, reads="nodes", **fields)


def one_group(url: str):
    (group,) = groups(stored_records(url))
    return group


def test_every_two_random_explanations_are_compared(tmp_path: Path) -> None:
    values = np.array([[0.0, 1, 0, 1], [1.0, 1, 1, 1], [0.5, 0.5, 0.5, 0.5]])
    store = Store(str(tmp_path / "store"))
    write(store, record("random", [kept()], instances=4), {"kept@1": table(values, "all")})
    separations = evidence(store, one_group(store.url), kept()).separations
    assert isinstance(separations, Separations) and separations.instances == 4 and separations.oracle == {}
    np.testing.assert_allclose(separations.random.difference, [-0.5, 0, 0.5])


def test_of_draws_in_reversed_pairs_the_first_ones_are_compared(tmp_path: Path) -> None:
    values = np.array([[0.0, 1, 0, 1], [9.0, 9, 9, 9], [1.0, 1, 1, 1], [7.0, 7, 7, 7]])
    store = Store(str(tmp_path / "store"))
    write(store, record("random", [kept()], instances=4, settings={"draws": "pairs:2"}), {"kept@1": table(values, "all")})
    separations = evidence(store, one_group(store.url), kept()).separations
    assert isinstance(separations, Separations) and separations.random.difference.tolist() == [-0.5]


def test_an_instance_without_a_score_of_some_draw_does_not_count(tmp_path: Path) -> None:
    values = np.array([[0.0, 1, 0], [1.0, np.nan, 0.5]])
    rows_of = table(values, "all").assign(reason=lambda rows: np.where(rows["value"].isna(), "none", ""))
    store = Store(str(tmp_path / "store"))
    write(store, record("random", [kept()], instances=3), {"kept@1": rows_of})
    separations = evidence(store, one_group(store.url), kept()).separations
    assert (
        isinstance(separations, Separations) and separations.instances == 2 and separations.random.difference.tolist() == [-0.75]
    )


def test_seeds_are_further_draws(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    for seed in (0, 1):
        rows_of = table(np.full((2, 4), float(seed)), "all")
        write(store, record("random", [kept()], instances=4, seed=seed), {"kept@1": rows_of})
    separations = evidence(store, one_group(store.url), kept()).separations
    assert isinstance(separations, Separations) and np.abs(separations.random.difference).tolist() == [0, 1, 1, 1, 1, 0]


def test_the_reason_is_that_of_the_random_cell(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    refused = kept().model_copy(update={"status": "not-applicable", "reason": "no mask", "aggregates": (), "ranked": ""})
    write(store, record("a", [kept()], instances=4), {"kept@1": table(np.ones((1, 4)), "all")})
    assert evidence(store, one_group(store.url), kept()).separations == "the store has no random explanations of this task"
    store.find(one := record("random", [refused], instances=4)).write_record(one)
    assert evidence(store, one_group(store.url), kept()).separations == "random: no mask"


def test_means_are_turned_so_that_larger_is_better_and_leave_out_what_knows_the_truth(tmp_path: Path) -> None:
    url = made(tmp_path / "store", tasks=1)
    group, by_name = one_group(url), {s.name: s for s in identities([one_group(url)]).values()}
    error = evidence(Store(url), group, by_name["error"])
    assert set(error.means) == set(error.truth) == set(METHODS)
    assert all(error.means[name] == pytest.approx(2 * error.truth[name] - 3) for name in METHODS)
    separations = evidence(Store(url), group, by_name["copy"]).separations
    assert isinstance(separations, Separations) and [*separations.oracle] == [
        "oracle:noise=1",
        "oracle:noise=2",
        "oracle:noise=4",
    ]
    assert all(len(against.difference) == DRAWS and (against.difference > 0).all() for against in separations.oracle.values())
    assert evidence(Store(url), group, by_name["share"]).means == {}


def test_labels_have_the_settings_that_differ() -> None:
    zero, mean = ({"operator": name, "steps": 5} for name in ("zero", "mean"))
    other = score("plain", {"all": 1.0}).model_copy(update={"settings": {"steps": 3}})
    scores = {"a": kept().model_copy(update={"settings": zero}), "b": kept().model_copy(update={"settings": mean}), "c": other}
    assert metric_labels(scores) == {"a": "kept:operator=zero", "b": "kept:operator=mean", "c": "plain"}
    scores["b"] = scores["a"].model_copy(update={"version": 2})
    assert metric_labels(scores) == {"a": "kept@1", "b": "kept@2", "c": "plain"}
