"""Methods that are run on instances of a secret seed."""

from __future__ import annotations

from flowgauge.benchmark.verification.recompute_scores import ScoreRecomputer
from flowgauge.benchmark.verification.secret_seed_instances import SecretSeedRun
from flowgauge.tasks.registry import load_task

SEED = 20_260_101


def test_scores_are_of_instances_that_only_the_secret_seed_draws(explained) -> None:
    (record,) = explained.records()
    scores = SecretSeedRun(ScoreRecomputer(device="cpu"), SEED, 4)(explained, [record])
    assert scores.instances == 4 and scores.missing == {}
    assert set(scores.rows) == {(record.cell, "comprehensiveness@1")}, "concentration has no score an instance"
    names = set(scores.rows[record.cell, "comprehensiveness@1"]["instance"])
    published = {instance.id for instance in load_task("sva/obj").instances("test", None, 0)}
    secret = {instance.id for instance in load_task("sva/obj").instances("test", None, SEED)}
    assert len(names) == 4 and not names & published and names < secret
    assert explained.records() == [record], "the store stays as it is"


def test_a_method_that_is_not_here_is_missing_with_the_reason(explained) -> None:
    (record,) = explained.records()
    newer = record.model_copy(update={"key": {**record.key, "method": {**record.key["method"], "version": 99}}})
    scores = SecretSeedRun(ScoreRecomputer(device="cpu"), SEED, 4)(explained, [newer])
    assert scores.rows == {}
    assert scores.missing == {record.cell: "here gradient-x-input is another: its version is 1, there 99."}
