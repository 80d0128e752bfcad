"""Turns a plan's names into tasks, models, methods and metrics; names are checked first, without loading torch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from glob import glob
from pathlib import Path
from typing import Any

from ...core.errors import NoSplit, UnknownName, UsageError
from ...core.foreign_code import plugin_call
from ...core.registry import Spec
from ...methods.explanation import VIEWS
from ...methods.registry import METHODS
from ...metrics.registry import METRICS
from ...metrics.scorecard import metrics_for
from ...tasks.declare import unique as with_unique_ids
from ...tasks.file_rows import READABLE, check_readable
from ...tasks.file_tasks import pairs
from ...tasks.fingerprint import fingerprint
from ...tasks.instance import Instance
from ...tasks.registry import TASKS, is_path, load_task, takes_data
from ...tasks.sampling import balanced
from ..loading.model_defaults import SETTING
from ..loading.model_handle import ModelHandle, check_model
from ..store.key import TaskKey, canonical, method_key
from .plan import CONTROL, DEFAULT_MODEL, Plan, unique

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class TaskSample:
    """A task and the instances that a plan draws from it.

    Attributes:
        spec: The spec that names the task.
        task: The task.
        key: Identity of the instances.
        instances: The instances.
    """

    spec: Spec
    task: Any
    key: TaskKey
    instances: tuple[Instance, ...]


@dataclass(frozen=True, eq=False)
class ResolvedPlan:
    """A plan with everything that it names.

    Attributes:
        plan: The plan, with task globs written out.
        tasks: Its tasks with their sampled instances.
        models: The model of each task; tasks of one model share it.
        methods: Its methods with the specs that named them, and those that a metric's budget is matched to.
        metrics: Its metrics.
    """

    plan: Plan
    tasks: tuple[TaskSample, ...]
    models: tuple[ModelHandle, ...]
    methods: tuple[tuple[Spec, Any], ...]
    metrics: tuple[Any, ...]


def resolve(plan: Plan, quiet: bool = True, read_only: bool = False) -> ResolvedPlan:
    """Everything that a plan names: tasks are sampled, methods and metrics built, models not loaded yet.

    Args:
        plan: The plan.
        quiet: Shows no progress bars.
        read_only: Whether nothing may be written: no model is trained.

    Raises:
        UsageError: Unknown names, with near matches; a file that cannot be read, an unknown split, no instances.
    """
    plan = with_scorecard(check_names(plan))
    metrics = make_metrics(plan.metrics or ())
    methods = tuple(make_methods(plan, metrics))
    handles: dict[str, ModelHandle] = {}

    def handle_of(task: Any) -> ModelHandle:
        name = model_of(plan, task)
        new = ModelHandle(
            name, plan.store, plan.dtype, plan.device, revision=plan.revision, quiet=quiet, data_dir=plan.data_dir,
            read_only=read_only,
        )  # fmt: skip
        return handles.setdefault(name, new)

    tasks = tuple(draw(plan, spec, handle_of) for spec in plan.tasks)
    return ResolvedPlan(plan, tasks, tuple(handle_of(sample.task) for sample in tasks), methods, tuple(metrics))


def check_names(plan: Plan) -> Plan:
    """The plan with task globs written out, after its names were checked.

    Raises:
        UnknownName: A model folder, task, method or metric that does not exist, with near matches.
        UsageError: Columns or a data folder that no task of the plan reads.
    """
    for spec in plan.methods:
        METHODS.require(spec.name)
    for spec in plan.metrics or ():
        METRICS.require(spec.name)
    if plan.model is not None:
        check_model(plan.model)
    for name, mapping in {"columns": plan.columns, "where": plan.where}.items():
        if mapping and not any(is_path(spec.name) for spec in plan.tasks):
            raise UsageError(
                f"{name} ({', '.join(mapping)}) are given, but no task is a file of sentences: name one, or leave them out."
            )
    tasks = unique([with_where(with_data(task, plan.data_dir), plan.where) for spec in plan.tasks for task in _tasks(spec)])
    if plan.data_dir and not any("data_dir" in spec.settings for spec in tasks):
        raise UsageError(f"a data folder ({plan.data_dir}) is given, but no task reads one: leave it out.")
    return plan.model_copy(update={"tasks": tuple(tasks)})


def with_scorecard(plan: Plan) -> Plan:
    """The plan with the metrics of the scorecard and a random control, where it names no metrics.

    Args:
        plan: Its tasks are written out.
    """
    if plan.metrics is not None:
        return plan
    compared = [spec for spec in plan.methods if spec.name != CONTROL.name] or list(plan.methods)
    names = metrics_for([METHODS.create(spec).gives for spec in compared], [spec.name for spec in plan.tasks])
    methods = plan.methods if any(spec.name == CONTROL.name for spec in plan.methods) else (*plan.methods, CONTROL)
    return plan.model_copy(update={"metrics": tuple(Spec.parse(name) for name in names), "methods": methods})


def with_data(spec: Spec, folder: str | None, replace: bool = False) -> Spec:
    """A task's spec with the data folder, if the task reads one.

    Args:
        spec: The task's spec.
        folder: Folder of published data; None changes nothing.
        replace: Whether it replaces a folder that the spec names itself.
    """
    if not folder or not takes_data(spec) or (spec.settings.get("data_dir") and not replace):
        return spec
    return Spec(spec.name, {**spec.settings, "data_dir": folder})


def with_where(spec: Spec, where: Mapping[str, str]) -> Spec:
    """A task's spec with conditions on its rows, if the task is read from a file; those that it names itself come first."""
    if not where or not is_path(spec.name):
        return spec
    return Spec(spec.name, {**spec.settings, "where": {**where, **pairs("where", spec.settings.get("where", {}))}})


def draw(plan: Plan, spec: Spec, handle_of: Callable[[Any], ModelHandle] | None = None) -> TaskSample:
    """A task of a plan, and the instances that the plan draws from it.

    Args:
        plan: The plan, for split, limit, seed, columns and `max_tokens`.
        spec: The task's spec.
        handle_of: The model of a task, which counts the tokens where the plan has both `limit` and `max_tokens`: only instances
            that are short enough are then drawn. None: `max_tokens` is not looked at, as version 0.1 did.

    Raises:
        UsageError: A file that cannot be read, an unknown split, no instances.
    """
    task = load_task(spec, plan.columns if is_path(spec.name) else None)
    sample = _draw(spec, task, plan.split, plan.limit, plan.sample_seed)
    if handle_of is None or plan.limit is None or plan.max_tokens is None:
        return sample
    short = _short_enough(handle_of(task), task.instances(plan.split, None, plan.sample_seed), plan.max_tokens)
    instances = balanced(short, plan.limit, plan.sample_seed)
    return replace(sample, instances=instances, key=replace(sample.key, fingerprint=fingerprint(instances)))


def _short_enough(handle: ModelHandle, instances: Sequence[Instance], most: int) -> list[Instance]:
    """The instances with at most so many tokens; what is left out is counted in a warning.

    Raises:
        UsageError: None is short enough.
    """
    from ...models.inputs.tokenise import count_tokens

    counts = [count_tokens(handle.load(), instance) for instance in instances]
    short = [instance for instance, count in zip(instances, counts, strict=True) if count <= most]
    if not short:
        raise UsageError(
            f"none of the {len(instances)} instances has at most {most} tokens: the shortest has {min(counts)}, so --max-tokens "
            "must be at least that."
        )
    if len(short) < len(instances):
        message = "%d of %d instances have more than %d tokens and are left out; those that stay are sampled."
        log.warning(message, len(instances) - len(short), len(instances), most)
    return short


def draw_train(plan: Plan, sample: TaskSample) -> tuple[TaskSample | None, str]:
    """The instances that methods are trained on, from the train split of the task that is explained; or why there are none."""
    try:
        return _draw(sample.spec, sample.task, "train", plan.fit_limit, plan.sample_seed), ""
    except NoSplit as error:
        return None, f"it is trained first, and there is nothing to train it on: {error}"


def _draw(spec: Spec, task: Any, split: str, limit: int | None, seed: int) -> TaskSample:
    with plugin_call("task", task):
        instances = tuple(task.instances(split, limit, seed))
    if not instances:
        raise UsageError(f"task {task.name!r} has no instances in split {split!r}: choose another split.")
    with_unique_ids(task.name, instances)
    key = TaskKey(
        name=task.name, version=task.version, fingerprint=fingerprint(instances), split=split, limit=limit, sample_seed=seed,
        quantity=task.quantity,
    )  # fmt: skip
    return TaskSample(spec, task, key, instances)


def model_of(plan: Plan, task: Any) -> str:
    """The name of the plan's model, else of the one that comes with the task, else of the embedded one."""
    return plan.model or getattr(task, "model", "") or DEFAULT_MODEL


def make_methods(plan: Plan, metrics: Sequence[Any]) -> list[tuple[Spec, Any]]:
    """The plan's methods with the specs that name them, and those that a metric's budget is matched to."""
    specs = unique([*plan.methods, *(Spec.parse(m.reference) for m in metrics if m.reference)])
    methods: dict[tuple[str, bool], tuple[Spec, Any]] = {}  # specs may name one code with one setting: the first stays
    for spec in specs:
        method = METHODS.create(spec)
        key = canonical(method_key(method)), SETTING in spec.settings
        if key not in methods or any(view in spec.settings for view in VIEWS):  # what asks for a view, so that it is computed
            methods[key] = spec, method
    return list(methods.values())


def make_metrics(specs: Sequence[Spec]) -> list[Any]:
    """The metrics that specs name, without repetitions."""
    return [METRICS.create(spec) for spec in unique(specs)]


def _tasks(spec: Spec) -> list[Spec]:
    """The tasks that a name, a path or a pattern of names or paths stands for."""
    is_pattern = any(wildcard in spec.name for wildcard in "*?[") and not Path(spec.name).exists()
    names = [name for name in TASKS.entries() if fnmatchcase(name, spec.name)] if is_pattern else [spec.name]
    if not names and is_path(spec.name):
        names = sorted(glob(str(Path(spec.name).expanduser())))
        if not names:
            raise UsageError(f"no file or folder matches {spec.name}: check the path; {READABLE}.")
    if not names:
        raise UnknownName("task", spec.name, TASKS.entries(), "`flowgauge list tasks` shows them.")
    for name in names:
        if is_path(name):
            check_readable(Path(name).expanduser())
        else:
            TASKS.require(name)
    return [Spec(name, spec.settings) for name in names]
