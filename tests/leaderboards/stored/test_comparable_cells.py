"""Which cells stand together, under which labels, and which of a record's scores is meant."""

from __future__ import annotations

from flowgauge.benchmark.store.record import Score
from flowgauge.leaderboards.stored.comparable_cells import find_score, groups

from ..conftest import record


def test_cells_of_one_method_are_told_apart():
    (group,) = groups([record("random", seed=0), record("random", seed=1), record("attention")])
    assert group.labels == ("random:seed=0", "random:seed=1", "attention")
    (group,) = groups(
        [record("beam", settings={"k": 1, "rule": "x"}), record("beam", settings={"k": 2, "rule": "x"}, cell="1" * 12)]
    )
    assert group.labels == ("beam:k=1", "beam:k=2")
    (group,) = groups([record("mine", cell="a" * 12), record("mine", cell="b" * 12)])
    assert group.labels == ("mine #aaaaaa", "mine #bbbbbb")


def test_default_settings_and_later_versions_come_first():
    def one(metric: str, version: int) -> Score:
        return Score(metric=metric, name="m", version=version, settings={})

    scores = [one("m@1", 1), one("m@3-abcdef01", 3), one("m@2", 2)]
    found = find_score(record("attention", scores), "m")
    assert found is not None and found.metric == "m@2"
