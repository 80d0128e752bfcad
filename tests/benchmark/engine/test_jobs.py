"""What is left to do for a cell, and which cell a budget is matched to."""

from __future__ import annotations

from dataclasses import replace

from flowgauge.benchmark.engine.jobs import Job, JobGroup, finished, results_of
from flowgauge.benchmark.engine.resolve import resolve
from flowgauge.benchmark.engine.run import open_groups, run
from flowgauge.benchmark.store.key import metric_id
from flowgauge.benchmark.store.store import Store


def groups_of(plan) -> tuple[list[JobGroup], tuple]:
    resolved = resolve(plan)
    return open_groups(resolved), resolved.metrics


def test_a_job_of_a_record_is_the_one_that_a_plan_opens(make_plan) -> None:
    plan = make_plan()
    (record,) = run(plan).records
    ((group,), _) = groups_of(plan)
    (opened,) = group.jobs
    job = Job.of_record(Store(plan.store), record, opened.method)
    assert (job.key, job.name, job.seed, job.record, job.request) == (
        opened.key, opened.name, opened.seed, opened.record, opened.request,
    )  # fmt: skip
    assert job.cell.path == opened.cell.path and job.method is opened.method
    assert Job.of_record(Store(plan.store), record).method is None
    assert results_of(plan.store, [group]).records == (record,)


def test_a_cell_is_finished_when_its_record_and_its_scores_are_stored(make_plan, plug) -> None:
    ((group,), metrics) = groups_of(make_plan())
    assert not group.jobs[0].explained and not finished(group.jobs[0], group, metrics)
    run(make_plan())
    ((group,), metrics) = groups_of(make_plan())
    assert group.jobs[0].explained and finished(group.jobs[0], group, metrics)
    ((group,), metrics) = groups_of(make_plan(metrics=plug("token-sum:power=2")))
    assert not finished(group.jobs[0], group, metrics), "another metric is left"
    group.jobs[0].record = group.jobs[0].record.model_copy(update={"status": "not-applicable"})
    assert finished(group.jobs[0], group, metrics)


def test_a_budget_is_matched_to_the_job_of_the_reference_method(make_plan, plug) -> None:
    ((group,), (metric,)) = groups_of(make_plan(metrics=plug("against-reference")))
    assert [job.name for job in group.jobs] == ["by-position", "integrated-gradients"]
    assert group.references[metric_id(metric)] is group.jobs[1]
    other, group.jobs = group.jobs[1], group.jobs[:1]
    group.match_budgets([metric])
    assert group.references[metric_id(metric)] is None
    group.match_budgets([metric], [other])
    assert group.references[metric_id(metric)] is other


def test_a_job_is_settled_by_an_error_or_a_reason(make_plan) -> None:
    ((group,), _) = groups_of(make_plan())
    (job,) = group.jobs
    assert not job.is_settled
    unsuitable, broken = replace(job, not_applicable="it has no heads"), replace(job, error="it failed")
    assert unsuitable.is_settled and broken.is_settled
