"""Runs what a paper's file plans: into a store, so that what is there already is not computed again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...core.errors import FlowgaugeError, UnknownName, UsageError, shortened
from ...core.registry import Spec
from ...models.checkpoint import Checkpoint, open_checkpoint
from ...models.registry import is_built
from ...tasks.instance import FITTING
from ..engine.plan import Plan
from ..engine.run import run as run_plan
from ..loading.model_handle import check_model, shown_name
from ..store.record import Record
from .outcome import Reproduction, RunOutcome
from .paper import ModelSize, Paper, PaperRun

SIZES = {
    "layers": ("num_hidden_layers", "n_layer", "n_layers"),
    "heads": ("num_attention_heads", "n_head", "n_heads"),
    "width": ("hidden_size", "n_embd", "dim"),
}
"""The names that families of models give to their sizes in a configuration."""


def reproduce(
    paper: Paper,
    store: str,
    *,
    models: Sequence[str] = (),
    runs: Sequence[str] = (),
    quick: bool = False,
    limit: int | None = None,
    data_dir: str | None = None,
    device: str = "auto",
    quiet: bool = True,
) -> Reproduction:
    """Runs the plans of a paper, one after another; what the store has is not computed again.

    Args:
        paper: The paper.
        store: A folder or fsspec URL.
        models: Models in the place of those of the file: `RUN=MODEL`, or `MODEL` for every run that its head fits.
        runs: Names of the runs that are made; none: all.
        quick: Takes the small sizes of the file.
        limit: Instances of each task; None: as the file says.
        data_dir: Folder of published data sets; None: $FLOWGAUGE_DATA, else the Hub.
        device: A torch device; `auto`: the GPU if there is one.
        quiet: Shows no progress bar.

    Returns:
        The cells of every run, or why it was not run: no model was named, or its data or the model's head are not there.

    Raises:
        UnknownName: A run that the paper does not have.
        UsageError: A model that does not exist or fits no run; a store that cannot be written; every run was refused.
    """
    for name in runs:
        if name not in {run.name for run in paper.runs}:
            raise UnknownName(f"run of {paper.name}", name, (run.name for run in paper.runs))
    chosen = dict(_chosen_models(paper, models))
    planned = [_planned(run, chosen.get(run.name, run.model), chosen.get(run.name) is not None, quick) for run in paper.runs]
    outcomes = []
    for outcome, model in planned:
        if runs and outcome.run.name not in runs:
            outcomes.append(replace(outcome, reason="left out by --run"))
            continue
        options = {"store": store, "device": device, **({"limit": limit} if limit else {})}
        outcomes.append(outcome if outcome.reason else _computed(outcome, model, options, data_dir, quick, quiet))
    refused = [outcome.reason for outcome in outcomes if outcome.reason]
    if len(refused) == len(outcomes):
        raise UsageError(f"no run of {paper.name} could be made: {'; '.join(dict.fromkeys(refused))}")
    return Reproduction(paper, store, quick, tuple(outcomes))


def _chosen_models(paper: Paper, models: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Which run gets which of the models that were named.

    Raises:
        UsageError: No such model, two models for one run, or a model whose head fits no run.
    """
    names = {run.name for run in paper.runs}
    named = [text.split("=", 1) for text in models if text.partition("=")[0] in names]
    for run, model in named:
        check_model(model)
        yield run, model
    if repeated := {run for run, _ in named if sum(run == other for other, _ in named) > 1}:
        raise UsageError(f"two models are named for the run {min(repeated)!r}: leave one out.")
    for model in (text for text in models if text.partition("=")[0] not in names):
        if is_built(model):
            raise UsageError(
                f"name the run that {model!r} is for: --model RUN={model}, with RUN one of {', '.join(sorted(names))}."
            )
        if "=" in model:
            raise UnknownName(f"run of {paper.name}", model.partition("=")[0], names)
        head = open_checkpoint(model).head()
        fitting = [run.name for run in paper.runs if run.head != "own" and head in FITTING[run.head]]
        if not fitting:
            needed = ", ".join(f"{run.name} ({run.head})" for run in paper.runs)
            raise UsageError(f"the head of model {model!r} ({head}) fits no run of {paper.name}: {needed}.")
        yield from ((run, model) for run in fitting if run not in dict(named))


def _planned(run: PaperRun, model: str, is_chosen: bool, quick: bool) -> tuple[RunOutcome, str]:
    """A run before it is computed, and its model; with the reason if no model is known."""
    methods = {name: Spec.parse(text) for name, text in run.methods_of(quick).items()}
    metrics = {name: Spec.parse(text) for name, text in run.metrics_of(quick).items()}
    outcome = RunOutcome(run, methods, metrics)
    if not model and run.example:
        return replace(outcome, reason=f"needs a model: --model {run.name}={run.example}"), model
    if not model:
        task = str(run.plan["tasks"][0]).partition(":")[0]
        advice = f"`flowgauge train --model BASE --task {task} --out DIR`, then --model {run.name}=DIR"
        return replace(outcome, reason=f"needs a model fine-tuned on {task}: {advice}"), model
    size = None if is_built(model) or "{" in model else _size(open_checkpoint(model))
    remark = "" if run.as_published and not is_chosen else _remark(size, run.published.shape)
    return replace(outcome, model=shown_name(model), remark=remark, size=size), model


def _size(checkpoint: Checkpoint) -> ModelSize | None:
    """The size that a configuration states."""
    numbers = {
        name: next((checkpoint.config[key] for key in keys if isinstance(checkpoint.config.get(key), int)), None)
        for name, keys in SIZES.items()
    }
    return None if None in numbers.values() else ModelSize(**{name: number for name, number in numbers.items() if number})


def _remark(size: ModelSize | None, published: ModelSize | None) -> str:
    """How a model relates to that of the paper, which it is not.

    >>> _remark(ModelSize(layers=6, heads=12, width=384), ModelSize(layers=12, heads=12, width=768))
    'smaller model'
    """
    if size is None or published is None or size == published:
        return "another model"
    pairs = [(size.layers, published.layers), (size.heads, published.heads), (size.width, published.width)]
    if all(ours <= theirs for ours, theirs in pairs):
        return "smaller model"
    return "larger model" if all(ours >= theirs for ours, theirs in pairs) else "model of another shape"


def _computed(
    outcome: RunOutcome, model: str, options: Mapping[str, Any], data_dir: str | None, quick: bool, quiet: bool
) -> RunOutcome:
    """The cells of a run, or the reason why there are none.

    Raises:
        UsageError: The file's plan is refused, whatever data and models are there.
    """
    run = outcome.run
    specs = {kind: [_as_field(spec) for spec in named.values()] for kind, named in _plugins(outcome).items()}
    fields = {**run.plan, **(run.quick if quick else {}), **options, **specs, **({"data_dir": data_dir} if run.needs else {})}
    plan = Plan.make(**fields)
    seeds = plan.seeds if "{seed}" in model else (None,)
    records: list[Record] = []
    try:
        for seed in seeds:
            own: dict[str, Any] = {"model": model} if seed is None else {"model": model.format(seed=seed), "seeds": (seed,)}
            records += run_plan(plan, quiet=quiet, **own).records
    except UsageError as error:
        needed = f"needs {', '.join(run.needs)}: " if run.needs else ""
        return replace(outcome, reason=shortened(f"{needed}{error}", 400))
    except FlowgaugeError as error:
        return replace(outcome, reason=shortened(str(error), 400))
    return replace(outcome, records=tuple(records))


def _plugins(outcome: RunOutcome) -> dict[str, Mapping[str, Spec]]:
    return {"methods": outcome.methods, "metrics": outcome.metrics}


def _as_field(spec: Spec) -> dict[str, Any]:
    return {"name": spec.name, **spec.settings}
