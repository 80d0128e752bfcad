"""The task, metric and method that a record names, as the verifier has them: no file and no code of a submitter is opened."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...core.errors import FlowgaugeError, NotApplicable, UsageError
from ...core.registry import Spec
from ...methods.registry import METHODS
from ...models.zoo import ZOO
from ...tasks.registry import TASKS
from ..engine.jobs import Job, JobGroup
from ..engine.plan import Plan
from ..engine.resolve import TaskSample, draw_train, make_metrics
from ..external.folder_format import is_outside
from ..store.key import canonical, method_key, metric_id
from ..store.record import Record, Score
from ..store.store import Store

BUNDLE_CODE_REFUSED = "code that comes with a bundle is not run: install it as a plug-in with an entry point."
PATHS_REFUSED = "files and folders of a submitter's choice are not opened"


def task_of(record: Record, files: Sequence[str], model: str | None, data_dir: str | None) -> Spec:
    """What names a record's task here: an installed task, or the verifier's own copy of a file of sentences.

    Args:
        record: The record.
        files: The verifier's task files.
        model: Where the verifier has the model; None: under the name in the record.
        data_dir: Where the verifier has published data; None: nowhere.

    Raises:
        FlowgaugeError: Model or task is a file or a folder that the verifier did not name, or the task is not installed.
    """
    given = {"model": model, "data_dir": data_dir}
    for kind in ("model", "task"):
        spec = Spec.parse(record.asked.get(kind, ""))
        refuse_python_files(kind, spec)
        named = {"model": spec.name} if kind == "model" and spec.name not in ZOO else {}
        for name, text in {**spec.settings, **named}.items():
            if _is_path(text) and given.get(name) is None:
                hint = f": say where yours is with --{name.replace('_', '-')}." if name in given else "."
                raise FlowgaugeError(f"its {kind} names {str(text)[:100]!r}, and {PATHS_REFUSED}{hint}")
    spec = Spec.parse(record.asked["task"])
    if spec.name in TASKS.entries():
        return spec
    own = next((file for file in files if Path(file).name == Path(spec.name).name), None)
    if own is None:
        raise FlowgaugeError(
            f"its task {spec.name[:100]!r} is not installed here, and {PATHS_REFUSED}: name your copy of a file with --task."
        )
    return Spec(own, spec.settings)


def refuse_python_files(kind: str, spec: Spec) -> None:
    """Raises: FlowgaugeError: It is a Python file, or a setting is: a bundle could name any on the verifier's machine."""
    for text in (spec.name, *map(str, spec.settings.values())):
        if re.search(r"\.py(:|$)", text):
            raise FlowgaugeError(f"its {kind} {text[:100]!r} is a file of the submitter's, and {BUNDLE_CODE_REFUSED}")


def _is_path(value: Any) -> bool:
    """Whether a setting is the name of anything on this machine; nothing is opened to find out."""
    try:
        return isinstance(value, str) and os.path.lexists(os.path.expanduser(value))
    except ValueError:  # a null character
        return True


def metric_of(score: Score) -> Any:
    """The metric that a score names.

    Raises:
        FlowgaugeError: It is not here, or of another version; or it is a file of the submitter's, which is not opened.
    """
    spec = Spec(score.name, dict(score.settings))
    refuse_python_files("metric", spec)
    _refuse_paths("metric", spec)
    metric = make_metrics([spec])[0]
    if metric_id(metric) != score.metric:
        raise FlowgaugeError(f"{score.metric} is not among this flowgauge's metrics, which has {metric_id(metric)}.")
    return metric


def _refuse_paths(kind: str, spec: Spec) -> None:
    named = next((text for text in spec.settings.values() if _is_path(text)), None)
    if named is not None:
        raise FlowgaugeError(f"its {kind} names {named[:100]!r}, and {PATHS_REFUSED}.")


def method_of(record: Record) -> Any:
    """The method that a cell says it was explained with, as this flowgauge has it.

    Only methods that are registered here are built, never one of a file that a record names.

    Raises:
        NotApplicable: It came from outside, is not installed, or is another version or source here.
        FlowgaugeError: It names a file, or is called as this flowgauge's method in all but its settings.
    """
    stored: Mapping[str, Any] = record.key["method"]
    if is_outside(record):
        raise NotApplicable(
            f"its explanations were computed outside flowgauge, by {stored['producer']}: there is nothing to run."
        )
    if record.method not in METHODS.entries():
        raise NotApplicable(f"the method {record.method!r} is not installed here.")
    spec = Spec(record.method, dict(stored["settings"]))
    if any(map(_is_path, spec.settings.values())) or ("files" in stored and hasattr(METHODS.factory(record.method), "files")):
        raise NotApplicable(f"{record.method} reads a file, and {PATHS_REFUSED}.")
    try:
        method = METHODS.create(spec)
    except UsageError as error:
        raise _other_method(record, f"here {record.method} cannot be built with its settings: {error}") from error
    here = method_key(method)
    if here != stored:
        names = [name for name in sorted({*here, *stored}) if here.get(name) != stored.get(name)]
        differences = "; ".join(f"{name} is {canonical(here.get(name))}, there {canonical(stored.get(name))}" for name in names)
        raise _other_method(record, f"here {record.method} is another: its {differences}.")
    if (record.seed is None) == method.stochastic:
        raise FlowgaugeError(
            f"its seed is {record.seed}, and {record.method} {'draws' if method.stochastic else 'does not draw'}."
        )
    return method


def _other_method(record: Record, what: str) -> FlowgaugeError:
    """Another version cannot be run here; flowgauge's own method of this version, but with settings that it has not, is false."""
    stored: Mapping[str, Any] = record.key["method"]
    own: Any = METHODS.factory(record.method)
    is_own = record.method in METHODS.builtin and stored.get("version") == own.version and not stored.get("source")
    return FlowgaugeError(what) if is_own else NotApplicable(what)


def identity_note(record: Record) -> str:
    """A note on a cell under the name of one of flowgauge's methods that is another version or other code; else empty.

    Raises:
        FlowgaugeError: It is neither that method nor another version or other code.
    """
    try:
        method_of(record)
    except NotApplicable as reason:
        return str(reason) if record.method in METHODS.builtin else ""
    return ""


def job_of(group: JobGroup, record: Record, method: Any, store: Store) -> Job:
    """A stored cell's job with its method, and with the instances that the method is trained on, or why there are none.

    Args:
        group: The cells of its question, on the verifier's model and task.
        record: The cell's record.
        method: The method that explains.
        store: The store of the cell.

    Raises:
        FlowgaugeError: The method is trained, and the task's train split is another here or the record says otherwise.
    """
    job, is_trained = Job.of_record(store, record, method), hasattr(method, "fit")
    stored = record.key.get("trained_on")
    if is_trained:
        # Another seed may draw what the method explains into its training split.
        if isinstance(stored, Mapping) and stored.get("sample_seed") != group.key.sample_seed:
            raise FlowgaugeError(f"{record.method} was trained on another draw than the one whose instances it explains.")
        plan = Plan.make(
            tasks=record.asked["task"], split=group.key.split, limit=group.key.limit, sample_seed=group.key.sample_seed,
            fit_limit=stored.get("limit") if isinstance(stored, Mapping) else None,
        )  # fmt: skip
        job.training_sample, job.not_applicable = draw_train(
            plan, TaskSample(plan.tasks[0], group.task, group.key, group.instances)
        )
    if (job.training_sample is None) != (stored is None):
        raise FlowgaugeError(f"{record.method} is{'' if is_trained else ' not'} trained first, and its record says otherwise.")
    if job.training_sample is not None and canonical(asdict(job.training_sample.key)) != canonical(stored):
        raise FlowgaugeError(f"{record.method} was trained on other instances than the train split has here.")
    return job
