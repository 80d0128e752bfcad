"""What came of the runs of a paper."""

from __future__ import annotations

from dataclasses import replace

from flowgauge.benchmark.reproduction.paper import ModelSize, NumberSource
from flowgauge.leaderboards.reproduction.report import PaperReport


def test_a_source_reads_one_run_or_several(toy_report: PaperReport) -> None:
    done = toy_report.reproduction
    named = [
        [o.run.name for o in done.outcomes_of(NumberSource(run=run, method="raw"))] for run in ("sst2", "sst2+agreement", "none")
    ]
    assert named == [["sst2"], ["agreement", "sst2"], []]


def test_seconds_are_those_of_explaining_and_scoring(toy_report: PaperReport) -> None:
    first, second = toy_report.reproduction.outcomes
    costs = [record.cost.own_seconds for record in first.records if record.cost]
    scores = [score.seconds for record in first.records for score in record.scores.values()]
    assert len(costs) == len(scores) == 9
    assert first.seconds == sum(costs) + sum(scores) > 0 == second.seconds


def test_the_size_of_the_model_is_held_against_the_papers(toy_report: PaperReport) -> None:
    first = toy_report.reproduction.outcomes[0]
    assert first.size == ModelSize(layers=2, heads=4, width=32) and not first.same_size
    assert replace(first, size=first.run.published.shape).same_size


def test_a_failed_cell_gives_the_exit_code_1(toy_report: PaperReport) -> None:
    done = toy_report.reproduction
    first, *rest = done.outcomes
    failed = replace(first, records=(first.records[0].model_copy(update={"status": "failed"}),))
    assert (done.exit_code, replace(done, outcomes=(failed, *rest)).exit_code) == (0, 1)
