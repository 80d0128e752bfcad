"""Explains and scores those cells of a run that are not finished yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...core.progress import Progress
from ..sharing.claims import Claims
from ..sharing.shares import WorkerTurn, work_through
from ..store.atomic_files import Files
from ..store.record import Record
from .jobs import JobGroup, finished


def execute(
    store: str,
    groups: Sequence[JobGroup],
    metrics: Sequence[Any],
    *,
    batch_size: int | None = None,
    quiet: bool = True,
    report: Callable[[Record], None] | None = None,
    turn: WorkerTurn = WorkerTurn(),
    show: Callable[[int, bool], Progress] = Progress,
) -> None:
    """Does what is left to do for every job of the groups; each job ends with a record.

    All groups are encoded before anything is explained, so that a sentence that a model cannot take stops the run at once. Where
    such sentences are left out and none of a task is left, its cells say so, and a run of several tasks goes on.

    Args:
        store: URL of the store, where weights of methods that are trained are kept too.
        groups: Cells that run together, with the budgets that metrics are matched to.
        metrics: What every cell is scored by.
        batch_size: Instances a batch; None: 32, fewer for long sentences.
        quiet: Shows no progress bar.
        report: Called with the record of every cell that was computed, once it is stored.
        turn: Which of several processes this is that work on the same groups.
        show: The progress bar for a number of steps, where it is not this process that shows it.

    Raises:
        UsageError: A model lacks the head or the classes that its task needs, or cannot take a sentence.
    """
    for group in groups:
        for job in group.jobs:
            job.cell.sweep()
    unfinished = [(group, [job for job in group.jobs if not finished(job, group, metrics)]) for group in groups]
    unfinished = [(group, jobs) for group, jobs in unfinished if jobs]
    if not unfinished:
        return
    from ..loading.trained_weights import TrainedWeights
    from .prepared import (
        encode_group,
        encode_or_refuse,
    )  # these import torch, which takes seconds and a finished plan does not need
    from .worker import GroupWork

    encoding = encode_group if len(groups) == 1 else encode_or_refuse
    encoded = [(group, jobs, group.prepared or encoding(group, metrics, batch_size)) for group, jobs in unfinished]
    trained_weights = TrainedWeights(store, quiet)
    steps = sum(len(jobs) * (len(batches) + len(metrics)) for _, jobs, batches in encoded)
    claims = Claims(Files(store))
    try:
        with show(steps, quiet) as progress:
            works = [
                GroupWork(group, jobs, group.own(metrics), batches, progress, trained_weights, report)
                for group, jobs, batches in encoded
            ]
            work_through([share for work in turn.rotate(works) for share in work.shares(turn)], claims)
    finally:
        claims.close()
