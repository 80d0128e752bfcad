"""Runs a plan: expands it to cells, leaves out what is stored already, and works through the rest group by group."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..core.registry import Spec
from . import resolve
from .fingerprint import model_fingerprint
from .jobs import Group, Job, finished, folder_name
from .key import cell_key
from .plan import Plan, as_mapping
from .progress import Progress
from .results import Results
from .store import Store

if TYPE_CHECKING:
    from ..models.model import FlowModel


def run(plan: Plan | None = None, *, quiet: bool = True, **fields: Any) -> Results:
    """Runs a plan, or one made of fields: `run(tasks="sva/obj", methods=["attention"], limit=50)`.

    What the store has already is not computed again; fields override the plan's.

    Raises:
        UsageError: Unknown names, unreadable files, a store that cannot be written; before anything is computed.
    """
    plan = resolve.check_names(Plan.make(**{**(dict(plan) if plan else {}), **fields}))
    store = Store(plan.store)
    store.check_writable()
    drawn = [resolve.draw(plan, spec) for spec in plan.tasks]
    metrics = resolve.make_metrics(plan.metrics)
    methods = resolve.make_methods(plan, metrics)
    source, model = resolve.model_source(plan.model), None
    fingerprint = model_fingerprint(source, plan.revision)
    if fingerprint is None:
        model = load(plan.model, plan.dtype, plan.device, plan.revision)
        fingerprint = model_fingerprint(source, plan.revision) or model.fingerprint()
    groups = [_group(plan, store, one, methods, metrics, fingerprint) for one in drawn]
    if any(not finished(job, group, metrics) for group in groups for job in group.jobs):
        _work(plan, groups, metrics, model or load(plan.model, plan.dtype, plan.device, plan.revision), quiet)
    return Results(plan.store, tuple(job.record for group in groups for job in group.jobs if job.record is not None))


def load(name: str, dtype: str = "float32", device: str = "auto", revision: str | None = None) -> FlowModel:
    """A model under the name that results show, on the GPU if there is one and `device` is `auto`."""
    quieten()
    import torch

    from ..models.load import load_model

    place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    model = load_model(name, dtype, place, revision)
    model.name = resolve.shown_name(name)
    return model


def quieten() -> None:
    """Switches off the bars and the advice of transformers and the Hub."""
    for name, value in (
        ("HF_HUB_DISABLE_PROGRESS_BARS", "1"),
        ("TRANSFORMERS_VERBOSITY", "error"),
        ("TOKENIZERS_PARALLELISM", "false"),
    ):
        os.environ.setdefault(name, value)
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _group(
    plan: Plan, store: Store, drawn: resolve.Drawn, methods: Sequence[tuple[Spec, Any]], metrics: Sequence[Any], fingerprint: str
) -> Group:
    group = Group(drawn.task, drawn.key, drawn.instances, [])
    for spec, method in methods:
        for seed in plan.seeds if method.stochastic else (0,):
            key = cell_key(
                fingerprint=fingerprint,
                dtype=plan.dtype,
                task=drawn.key,
                max_tokens=plan.max_tokens,
                on_split=plan.on_split,
                method=method,
                seed=seed,
            )
            cell = store.cell(resolve.shown_name(plan.model), drawn.task.name, folder_name(method.name, key))
            asked = {
                "model": plan.model,
                "revision": plan.revision,
                "task": as_mapping(drawn.spec),
                "columns": plan.columns,
                "method": as_mapping(spec),
            }
            group.jobs.append(Job(cell, key, method, method.name, seed, cell.record(), asked))
    for metric in metrics:
        group.refer(metric, resolve.reference_job(metric, group.jobs))
    return group


def _work(plan: Plan, groups: Sequence[Group], metrics: Sequence[Any], model: FlowModel, quiet: bool) -> None:
    """Encodes every task before anything is explained, so that a bad sentence stops the run at once."""
    from .encodings import encode_group
    from .work import work

    opened = [(group, jobs) for group in groups if (jobs := [job for job in group.jobs if not finished(job, group, metrics)])]
    ready = [(group, jobs, encode_group(model, group, plan.batch_size, plan.max_tokens, plan.on_split)) for group, jobs in opened]
    with Progress(sum(len(jobs) * (len(encodings) + len(metrics)) for _, jobs, encodings in ready), quiet) as progress:
        for group, jobs, encodings in ready:
            work(model, group, jobs, metrics, encodings, progress)
