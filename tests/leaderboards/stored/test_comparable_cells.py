"""Which cells stand together, under which labels, and which of a record's scores is meant."""

from __future__ import annotations

from flowgauge.benchmark.store.record import Score, TrainingOutcome
from flowgauge.leaderboards.stored.comparable_cells import find_score, groups, note_lines, trained_once, training_warnings

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


def test_a_method_that_is_trained_once_has_a_note_and_others_have_none():
    key = record("mask").key | {"trained_on": {"limit": None}}
    cells = [record(name, seed=seed, key=key | {"seed": seed, "method": {"name": name}})
             for name, seed in (("mask", 3), ("mask-again", 0), ("mask-again", 1), ("always", None))]  # fmt: skip
    failed = record("mask", seed=4, key=key | {"seed": 4}, status="failed", error="no memory.")
    (group,) = groups([*cells, failed, record("random", seed=0)])
    note = "trained once (seed 3): the interval does not cover another training"
    assert group.trained_once == {"mask": note}
    assert (trained_once(cells[:1]), trained_once(cells[1:3])) == (note, "")
    assert note_lines({"a": note, "b": "x", "c": note}) == [f"a, c: {note}.", "b: x."]


def test_what_a_training_warns_of_is_said_of_its_method():
    def trained(name, seed, *warnings):
        return record(name, seed=seed).model_copy(update={"training": TrainingOutcome(warnings=warnings)})

    cells = [trained("mask", 0, "it moves", "it is loose"), trained("mask", 1), record("random", seed=0)]
    (group,) = groups(cells)
    assert group.training_warnings == {"mask": "seed 0: it moves; it is loose"}
    assert (training_warnings(cells[:1]), training_warnings(cells[1:2])) == ("it moves; it is loose", "")


def test_default_settings_and_later_versions_come_first():
    def one(metric: str, version: int) -> Score:
        return Score(metric=metric, name="m", version=version, settings={})

    scores = [one("m@1", 1), one("m@3-abcdef01", 3), one("m@2", 2)]
    found = find_score(record("attention", scores), "m")
    assert found is not None and found.metric == "m@2"
