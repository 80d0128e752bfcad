"""`flowgauge run`, `score`, `train` and `reproduce`: the commands that compute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import UsageError
from .completion import complete_method, complete_model, complete_task
from .console import print_results, print_rows, report_renewal, reporting
from .options import (
    PLUGIN_SPEC,
    BatchSize,
    Columns,
    DataDir,
    Debug,
    Device,
    Devices,
    DryRun,
    Dtype,
    Executor,
    Limit,
    Log,
    MaxTokens,
    Memory,
    Metrics,
    Model,
    MoreMetrics,
    MovedModel,
    NewStore,
    OnSplit,
    Quiet,
    Revision,
    SampleSeed,
    Split,
    StoreUrl,
    Where,
    Workers,
    mapping_of,
)


def run(
    plan: Annotated[
        Path | None,
        typer.Argument(metavar="PLAN", help="A YAML file, or one of the plans demo and tiny; options replace what it says."),
    ] = None,
    model: Model = None,
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task",
            "-t",
            autocompletion=complete_task,
            help="A name, a pattern such as 'sva/*', or a file or folder of rows; repeatable.",
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            "-x",
            autocompletion=complete_method,
            show_default="influence-patterns, attention, conductance and random",
            help=PLUGIN_SPEC,
        ),
    ] = None,
    metric: Metrics = None,
    limit: Limit = None,
    seed: Annotated[list[int] | None, typer.Option(show_default="0", help="Seed of stochastic methods; repeatable.")] = None,
    fit_limit: Annotated[
        int | None, typer.Option(show_default="all", help="Training instances of methods that are trained.")
    ] = None,
    sample_seed: SampleSeed = None,
    split: Split = None,
    store: NewStore = None,
    device: Annotated[str | None, typer.Option(show_default="auto, the GPU if there is one", help="A torch device.")] = None,
    dtype: Dtype = None,
    batch_size: BatchSize = None,
    memory: Memory = None,
    max_tokens: MaxTokens = None,
    on_split: OnSplit = None,
    column: Columns = None,
    where: Where = None,
    data_dir: DataDir = None,
    revision: Revision = None,
    workers: Workers = None,
    devices: Devices = None,
    executor: Executor = None,
    log: Log = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Explain tasks with methods and score the explanations; results that the store has are not computed again."""
    with reporting(debug, continues=True):
        from ..benchmark.engine.plan import Plan

        options = {
            "model": model, "tasks": task, "methods": method, "metrics": metric, "limit": limit, "seeds": seed, "split": split,
            "fit_limit": fit_limit, "sample_seed": sample_seed, "store": store, "device": device, "dtype": dtype,
            "batch_size": batch_size, "memory": memory, "max_tokens": max_tokens, "on_split": on_split,
            "columns": mapping_of("--column", column), "where": mapping_of("--where", where),
            "revision": revision, "data_dir": data_dir,
        }  # fmt: skip
        given = {name: value for name, value in options.items() if value is not None and value != []}
        if plan is None and not task:
            raise UsageError("name at least one --task (`flowgauge list tasks` shows them) or a plan file.")
        resolved_plan = Plan.load(plan, **given) if plan else Plan.make(**given)
        if dry_run:
            from ..benchmark.speed.estimate import preview

            previewed = preview(resolved_plan)
            print_rows(previewed.rows())
            typer.echo("\n".join(previewed.summary()))
            return
        from ..benchmark.engine.run import run as run_plan

        results = run_plan(resolved_plan, quiet=quiet, log=log, workers=workers, devices=devices or (), executor=executor)
        print_results(results, quiet, scorecard=resolved_plan.metrics is None)
    raise typer.Exit(results.exit_code)


def score(
    store: StoreUrl,
    metric: MoreMetrics = None,
    model: MovedModel = None,
    data_dir: DataDir = None,
    device: Device = "auto",
    batch_size: BatchSize = None,
    memory: Memory = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Score stored explanations with more metrics; without one, replace intervals of version 0.1 by today's."""
    with reporting(debug, continues=True):
        if not metric:
            from ..benchmark.store.renewal import renew

            report_renewal(renew(store), f"flowgauge score {store}")
            return
        from ..benchmark.engine.rescore import rescore
        from ..models.memory import DEFAULT

        results = rescore(
            store,
            metric,
            model=model,
            data_dir=data_dir,
            device=device,
            batch_size=batch_size,
            memory=memory or DEFAULT,
            quiet=quiet,
        )
        print_results(results, quiet)
    raise typer.Exit(results.exit_code)


def train(
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            autocompletion=complete_model,
            help="The model: an embedded one, a name on the Hugging Face Hub, or a folder.",
        ),
    ],
    task: Annotated[
        str,
        typer.Option(
            "--task",
            "-t",
            autocompletion=complete_task,
            help="A task with classes or with spans as answers: sst2, mnli, rte, squad, ...",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the trained model, which `flowgauge run --model` takes.")],
    column: Columns = None,
    where: Where = None,
    data_dir: DataDir = None,
    revision: Revision = None,
    epochs: Annotated[float, typer.Option(help="Passes over the training data.")] = 3,
    lr: Annotated[float, typer.Option(help="Largest learning rate.")] = 5e-5,
    batch_size: Annotated[int, typer.Option(help="Texts in one training step.")] = 32,
    max_length: Annotated[
        int | None,
        typer.Option(show_default="128; 384 for spans", help="Most tokens of a text; longer ones are cut and counted."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the new head, the order of the data, dropout and the sample.")] = 0,
    limit: Annotated[int | None, typer.Option(show_default="all", help="Training texts.")] = None,
    ablation_robust: Annotated[
        bool,
        typer.Option("--ablation-robust", help="Replace states at random in training, so that ablations are in distribution."),
    ] = False,
    replaced_share: Annotated[float, typer.Option(help="With --ablation-robust: share of the texts with replaced states.")] = 0.5,
    replaced_rate: Annotated[float, typer.Option(help="With it: largest share of a text's states that is replaced.")] = 0.6,
    device: Device = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Fine-tune a model on a task with classes or spans; the same command continues a training that was stopped."""
    with reporting(debug, continues=True):
        from ..benchmark.fine_tuning.fine_tune import train as fine_tune

        trained = fine_tune(
            model, task, out, data_dir=data_dir, revision=revision, epochs=epochs, lr=lr, batch_size=batch_size,
            max_length=max_length, seed=seed, limit=limit, device=device, quiet=quiet,
            columns=mapping_of("--column", column), where=mapping_of("--where", where), ablation_robust=ablation_robust,
            replaced_share=replaced_share, replaced_rate=replaced_rate,
        )  # fmt: skip
        counts = f"{trained.correct} of {trained.count} right on the validation split, trained on {trained.trained_on} texts"
        typer.echo(f"{trained.folder}: {trained.measure} ({counts})")
        if not trained.fresh:
            typer.echo("the folder has this model already; nothing was trained.", err=True)


def reproduce(
    paper: Annotated[
        str, typer.Argument(metavar="PAPER", help="influence-patterns, attattr, diffmask or rollout, or a TOML file of your own.")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            autocompletion=complete_model,
            show_default="as the paper's file says",
            help="[RUN=]MODEL: the model of one run, or of every run that its head fits; repeatable.",
        ),
    ] = None,
    run: Annotated[
        list[str] | None, typer.Option("--run", show_default="all", help="Make only this run of the paper's file; repeatable.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few instances and few steps, to see that everything runs.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, show_default="as the paper's file says", help="Instances of each task.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(show_default="results/reproduced/PAPER", help="Where results are kept: a folder or an fsspec URL."),
    ] = None,
    data_dir: DataDir = None,
    out: Annotated[
        Path | None,
        typer.Option(show_default="none is written", help="Folder for the report as a page, Markdown and JSON, and its figures."),
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure a paper's numbers again and show them beside the published ones, with intervals and a verdict on each."""
    with reporting(debug, continues=True):
        from ..benchmark.reproduction.paper import load_paper
        from ..benchmark.reproduction.reproduce import reproduce as run_paper
        from ..leaderboards.reproduction.report import compare_with_paper, long_rows, why_lines

        loaded = load_paper(paper)
        url = store or f"results/reproduced/{loaded.name}{'-quick' if quick else ''}"
        done = run_paper(
            loaded,
            url,
            models=model or (),
            runs=run or (),
            quick=quick,
            limit=limit,
            data_dir=data_dir,
            device=device,
            quiet=quiet,
        )
        report = compare_with_paper(done)
        if not quiet:
            typer.echo("\n".join([report.title, *report.summary()]))
            for table in report.tables:
                typer.echo(f"\n{table.table.place}: {table.table.title}")
                if table.table.note:
                    typer.echo(table.table.note)
                print_rows(long_rows(table))
                typer.echo("\n".join(why_lines(table)))
            if loaded.missing:
                typer.echo("\n".join(["\nnot covered", *(f"{each.what}: {each.why}" for each in loaded.missing)]))
        if out is not None:
            from ..display.reproduction import write_report

            for path in write_report(report, out):
                typer.echo(str(path))
    raise typer.Exit(done.exit_code)
