"""`flowgauge questions` and `import`: explanations that were computed outside flowgauge."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from .completion import complete_task
from .console import print_results, reporting
from .options import (
    BatchSize,
    Columns,
    DataDir,
    Debug,
    Device,
    Dtype,
    Limit,
    MaxTokens,
    Metrics,
    Model,
    MovedModel,
    NewStore,
    OnSplit,
    Quiet,
    Revision,
    SampleSeed,
    Split,
    Where,
    mapping_of,
)

IMPORT_HELP = "\n\n".join((
    "Score explanations that were computed elsewhere (captum, inseq, a notebook).",
    "FOLDER holds explanations.safetensors and manifest.json (or .yaml). A tensor is called <instance id>/<view>; views are "
    "tokens (N), nodes (L+1, N), flows (N, L+1, N), units (L, N, H+1), heads (L, H), edges (L, 1 or H, N, N), mask and gate "
    "(L+2, N), for N tokens with [CLS] and [SEP], L layers, H heads. <instance id>/predicted/<view> explains the model's answer "
    "where it is wrong, unless the manifest says same_for_predicted; <instance id>/input_ids is compared with the model's own "
    "tokens.",
    "The manifest has method, producer, producer_version and task; where they are not the defaults also model, version, "
    "settings, seed, citation, split, limit, sample_seed, dtype, max_tokens, on_split, columns, where, revision, "
    "same_for_predicted.",
    "In Python: flowgauge.write_explanations(FOLDER, {id: scores}, method=..., producer=..., producer_version=..., task=...).",
    "Boards show the method as outside.METHOD; names of flowgauge's own methods are refused.",
))  # fmt: skip


def questions(
    task: Annotated[str, typer.Option("--task", "-t", autocompletion=complete_task, help="The task, as for `flowgauge run`.")],
    model: Model = None,
    limit: Limit = None,
    sample_seed: SampleSeed = None,
    split: Split = None,
    dtype: Dtype = None,
    max_tokens: MaxTokens = None,
    on_split: OnSplit = None,
    column: Columns = None,
    where: Where = None,
    data_dir: DataDir = None,
    revision: Revision = None,
    device: Device = "auto",
    debug: Debug = False,
) -> None:
    """Print the instances of a task as a model reads them, one JSON object a line, to be explained outside flowgauge."""
    with reporting(debug):
        from ..benchmark.external.importer import questions as questions_of

        options = {
            "limit": limit, "split": split, "sample_seed": sample_seed, "dtype": dtype, "max_tokens": max_tokens,
            "on_split": on_split, "columns": mapping_of("--column", column), "where": mapping_of("--where", where),
            "revision": revision,
        }  # fmt: skip
        given = {name: value for name, value in options.items() if value is not None}
        for question in questions_of(task, model, device=device, data_dir=data_dir, **given):
            typer.echo(json.dumps(asdict(question)))


def import_(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder with the explanations and their manifest.")],
    store: NewStore = None,
    metric: Metrics = None,
    model: MovedModel = None,
    data_dir: DataDir = None,
    device: Device = "auto",
    batch_size: BatchSize = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Scores explanations that were computed elsewhere; `IMPORT_HELP` is what users read."""
    with reporting(debug, continues=True):
        from ..benchmark.external.importer import import_explanations

        results = import_explanations(
            folder, store or "results", metric, model=model, data_dir=data_dir, device=device,
            batch_size=batch_size, quiet=quiet,
        )  # fmt: skip
        print_results(results, quiet)
    raise typer.Exit(results.exit_code)
