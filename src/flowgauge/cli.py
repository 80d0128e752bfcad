"""The command line. Everything heavy is imported inside the commands, so that help and lists answer at once."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .core.errors import FlowgaugeError, UsageError, one_line, printable

if TYPE_CHECKING:
    import pandas as pd

    from .benchmark.engine.plan import Plan
    from .benchmark.store.results import Results
    from .core.plugin_docs import PluginDocs

app = typer.Typer(
    name="flowgauge",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Kind(StrEnum):
    """What `flowgauge list` shows."""

    models = "models"
    tasks = "tasks"
    methods = "methods"
    metrics = "metrics"


Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks and log messages.")]
DataDir = Annotated[
    str | None, typer.Option(show_default="$FLOWGAUGE_DATA, else the Hub", help="Folder of published data (sst2/dev.tsv, ...).")
]
Device = Annotated[str, typer.Option(help="A torch device; auto: the GPU if there is one.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar and no table.")]
StoreUrl = Annotated[str, typer.Argument(metavar="STORE", help="Folder or fsspec URL of results.")]


def _version(wanted: bool) -> None:
    if wanted:
        from .core.version import VERSION

        typer.echo(f"flowgauge {VERSION}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Benchmark explanations of information flow in transformers."""


@app.command()
def run(
    plan: Annotated[
        Path | None, typer.Argument(metavar="PLAN", help="A YAML file, or a plan of ours (demo, tiny); options override it.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            show_default="the task's own, or agreement-bert",
            help="Embedded or made model, Hugging Face name or folder.",
        ),
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option("--task", "-t", help="Name, pattern such as 'sva/*', or TSV/JSONL file; repeatable.")
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option("--method", "-x", help="Name[:key=value,...] or file.py[:name]; repeatable.")
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", help="Name[:key=value,...] or file.py[:name]; repeatable.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Instances a task, balanced over its conditions.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Seed of methods that draw; repeatable.")] = None,
    fit_limit: Annotated[
        int | None, typer.Option(show_default="all", help="Training instances for methods that are trained.")
    ] = None,
    sample_seed: Annotated[int | None, typer.Option(help="Seed of the sample of instances.")] = None,
    split: Annotated[str | None, typer.Option(help="The task's split.")] = None,
    store: Annotated[str | None, typer.Option(show_default="results", help="Folder or fsspec URL of results.")] = None,
    device: Annotated[str | None, typer.Option(show_default="auto, the GPU if there is one", help="A torch device.")] = None,
    dtype: Annotated[str | None, typer.Option(show_default="float32", help="float32, float64, bfloat16 or float16.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(show_default="32, fewer for long sentences", help="Instances a batch.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Leave out sentences with more tokens, after --limit has drawn.")] = None,
    on_split: Annotated[
        str | None, typer.Option(show_default="error", help="A word that is not one token: error or skip.")
    ] = None,
    column: Annotated[list[str] | None, typer.Option(help="For task files: our column=the file's; repeatable.")] = None,
    data_dir: DataDir = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a model on the Hub.")] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Explain tasks with methods and score them; what is stored already is not done again."""
    with reporting(debug):
        from .benchmark.engine.plan import Plan

        flags = {
            "model": model, "tasks": task, "methods": method, "metrics": metric, "limit": limit, "seeds": seed, "split": split,
            "fit_limit": fit_limit, "sample_seed": sample_seed, "store": store, "device": device, "dtype": dtype,
            "batch_size": batch_size,
            "max_tokens": max_tokens, "on_split": on_split, "columns": _pairs(column) if column else None, "revision": revision,
            "data_dir": data_dir,
        }  # fmt: skip
        given = {name: value for name, value in flags.items() if value is not None and value != []}
        wanted = Plan.load(plan, **given) if plan else _plan(given)
        from .benchmark.engine.run import run as run_plan

        results = run_plan(wanted, quiet=quiet)
        _tell(results, quiet)
    raise typer.Exit(results.exit_code)


@app.command("list")
def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
    debug: Debug = False,
) -> None:
    """List models, tasks, methods or metrics, one line each."""
    with reporting(debug):
        rows = _known(kind)
        if as_json:
            sources = _references() if kind is Kind.tasks else {name: docs.source for name, docs in rows.items()}
            entries = [{"name": n, "summary": docs.summary, "source": sources.get(n, "")} for n, docs in rows.items()]
            typer.echo(json.dumps(entries, indent=1))
            return
        width = max((len(name) for name in rows), default=0)
        for name, docs in rows.items():
            typer.echo(f"{name:<{width}}  {docs.summary}")


@app.command()
def show(
    store: StoreUrl,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="For spreadsheets.")] = False,
    over_seeds: Annotated[bool, typer.Option("--over-seeds", help="Mean, interval and range over seeds instead.")] = False,
    debug: Debug = False,
) -> None:
    """Show the table of a store so far."""
    with reporting(debug):
        if over_seeds:
            from .leaderboards.stored.records import stored_records
            from .leaderboards.tables.over_seeds import over_seeds as means
            from .leaderboards.tables.over_seeds import sections

            table = means(stored_records(store))
            _tables(table, sections(table), as_json, as_csv)
            return
        from .leaderboards.tables.show import render

        width = shutil.get_terminal_size((110, 40)).columns
        typer.echo(render(store, "json" if as_json else "csv" if as_csv else "text", width))


@app.command()
def score(
    store: StoreUrl,
    metric: Annotated[list[str], typer.Option("--metric", help="Name[:key=value,...] or file.py[:name]; repeatable.")],
    model: Annotated[str | None, typer.Option("--model", "-m", help="Where the model is now, if it moved.")] = None,
    data_dir: DataDir = None,
    device: Device = "auto",
    batch_size: Annotated[int | None, typer.Option(min=1, help="Instances a batch.")] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Score stored explanations with more metrics."""
    with reporting(debug):
        from .benchmark.engine.rescore import rescore

        results = rescore(store, metric, model=model, data_dir=data_dir, device=device, batch_size=batch_size, quiet=quiet)
        _tell(results, quiet)
    raise typer.Exit(results.exit_code)


@app.command()
def compare(
    store: StoreUrl,
    task: Annotated[list[str] | None, typer.Option("--task", "-t", help="Only these tasks; repeatable.")] = None,
    metric: Annotated[
        str,
        typer.Option(
            "--metric",
            show_default="the one that tables rank by",
            help="Compare by this metric, or name/variant; head_universality compares two tasks instead, stability seeds.",
        ),
    ] = "",
    method: Annotated[list[str] | None, typer.Option("--method", "-x", help="Only these methods; repeatable.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines: every pair.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="For spreadsheets: every pair.")] = False,
    debug: Debug = False,
) -> None:
    """Compare methods on each task: paired differences, and how sure the order is."""
    with reporting(debug):
        if _of_cells(metric):
            from .leaderboards.comparison.cell_comparison import compare as compare_cells

            found = compare_cells(store, metric, task or (), method or ())
            table, texts = found.to_pandas(), [("", found.summary(), list[str]())]
        else:
            from .leaderboards.comparison.method_comparison import compare_methods, pairs_table

            sides = compare_methods(store, metric, task or (), method or ())
            table, texts = pairs_table(sides), [side.text() for side in sides]
        _tables(table, texts, as_json, as_csv)


def _tables(
    table: pd.DataFrame, texts: Iterable[tuple[str, list[tuple[str, ...]], list[str]]], as_json: bool, as_csv: bool
) -> None:
    """One table for machines, or the texts of it: a title, rows with a head, lines below."""
    if as_json:
        plain = table.replace({math.inf: "Infinity", -math.inf: "-Infinity"})  # as in records; JSON has neither, and null is NaN
        typer.echo(plain.to_json(orient="records", indent=1))
    elif as_csv:
        typer.echo(table.to_csv(index=False).rstrip("\n"))
    else:
        for title, rows, lines in texts:
            _say(title)
            _print(rows)
            _say("\n".join(lines))


def _of_cells(metric: str) -> bool:
    """Whether a metric compares cells of one method, rather than methods."""
    from .core.registry import Spec
    from .metrics.registry import METRICS

    asked = metric if ".py" in metric else metric.partition("/")[0]
    name = Spec.parse(asked).name if asked else ""
    return (name in METRICS.entries() or ".py" in name) and METRICS.create(asked).scope == "cells"


def _say(text: str) -> None:
    if text:
        typer.echo(text)


@app.command()
def plot(
    store: StoreUrl,
    what: Annotated[
        str,
        typer.Option(
            show_default="all there is data for",
            help="pattern, aggregate, entropy, curve, pruning, receptive, attribution, heads, mask, texts, depth, counting or "
            "gallery.",
        ),
    ] = "all",
    out: Annotated[Path, typer.Option(help="Folder for the figures, PNG and SVG of each.")] = Path("figures"),
    model: Annotated[str | None, typer.Option("--model", "-m", help="Only this model.")] = None,
    task: Annotated[str | None, typer.Option("--task", "-t", help="Only this task.")] = None,
    method: Annotated[str | None, typer.Option("--method", "-x", help="Only this method.")] = None,
    instance: Annotated[list[str] | None, typer.Option(help="Id of an instance; two stand side by side.")] = None,
    condition: Annotated[str | None, typer.Option(show_default="all", help="Of an aggregate.")] = None,
    debug: Debug = False,
) -> None:
    """Draw figures of a store; the files written are listed on stdout."""
    with reporting(debug):
        from .leaderboards.figures.plot import plot as draw

        for path in draw(store, what, out, model=model, task=task, method=method, instance=instance or (), condition=condition):
            typer.echo(str(path))


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE.py", help="A Python file that declares methods, tasks or metrics.")],
    debug: Debug = False,
) -> None:
    """Check that a plug-in keeps the promises the benchmark builds on; exit code 1 if it breaks one."""
    with reporting(debug):
        from .benchmark.conformance import check_file

        findings = check_file(file)
        for found in findings:
            typer.echo(f"{'ok  ' if found.ok else 'FAIL'}  {found.check}{f' ({found.detail})' if found.detail else ''}")
        broken = sum(not found.ok for found in findings)
        typer.echo(f"{len(findings) - broken} of {len(findings)} promises kept", err=True)
    raise typer.Exit(1 if broken else 0)


@app.command()
def train(
    model: Annotated[str, typer.Option("--model", "-m", help="Base encoder: embedded model, Hugging Face name or folder.")],
    task: Annotated[str, typer.Option("--task", "-t", help="A task with classes or spans: sst2, mnli, rte, squad, ...")],
    out: Annotated[Path, typer.Option(help="Folder to write; `flowgauge run --model` takes it.")],
    data_dir: DataDir = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a model on the Hub.")] = None,
    epochs: Annotated[float, typer.Option(help="Passes over the data.")] = 3,
    lr: Annotated[float, typer.Option(help="Largest learning rate.")] = 5e-5,
    batch_size: Annotated[int, typer.Option(help="Texts a step.")] = 32,
    max_length: Annotated[
        int | None, typer.Option(show_default="128; spans 384", help="Tokens a text; longer ones are cut and counted.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the new head, the data's order, dropout and the sample.")] = 0,
    limit: Annotated[int | None, typer.Option(show_default="all", help="Training texts.")] = None,
    device: Annotated[str, typer.Option(help="auto (the GPU if there is one), cpu or cuda.")] = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Fine-tune an encoder for a task with classes or spans; the same command goes on where a stopped one was."""
    with reporting(debug):
        from .benchmark.fine_tuning.fine_tune import train as fine_tune

        made = fine_tune(
            model, task, out, data_dir=data_dir, revision=revision, epochs=epochs, lr=lr, batch_size=batch_size,
            max_length=max_length, seed=seed, limit=limit, device=device, quiet=quiet,
        )  # fmt: skip
        counts = f"{made.correct} of {made.count} right on the validation split, {made.trained_on} texts trained on"
        typer.echo(f"{made.folder}: {made.measure} ({counts})")
        if not made.fresh:
            typer.echo("it was there already; nothing was trained.", err=True)


@app.command()
def speed(
    device: Annotated[str, typer.Option(help="A torch device.")] = "cpu",
    repeats: Annotated[int, typer.Option(min=1, help="Repeats after one warm-up.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
    debug: Debug = False,
) -> None:
    """Measure what methods cost, side by side with their peers."""
    with reporting(debug):
        from .benchmark.speed.measure import UNIT, measure

        found = measure(device, repeats)
        if as_json:
            typer.echo(json.dumps(found.to_dict(), indent=1))
            return
        typer.echo(f"{found.device}, {found.threads} threads, torch {found.torch}, {found.repeats} repeats")
        typer.echo(f"{found.sentences} sentences of {found.tokens} tokens, {found.samples} path samples")
        typer.echo(f"{found.layers} layers of {found.heads} heads, width {found.width}")
        width = max(len(row.name) for row in found.rows)
        for row in found.rows:
            of = "" if row.unit == UNIT else f" of {row.unit}"
            typer.echo(f"{row.name:<{width}}  {row.seconds:9.4f} s  {row.ratio:8.2f} x  [{row.low:.2f}, {row.high:.2f}]{of}")


@contextmanager
def reporting(debug: bool) -> Iterator[None]:
    """Errors as one line on stderr and an exit code, unless `debug`."""
    _before_heavy_imports()
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    for name in ("httpx", "urllib3", "filelock", "matplotlib", "fsspec", "asyncio", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt:
        _complain("stopped; the same command goes on from here.")
        raise typer.Exit(130) from None
    except FlowgaugeError as error:
        if debug:
            raise
        _complain(str(error))
        raise typer.Exit(error.exit_code) from None
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except Exception as error:
        if debug:
            raise
        _complain(f"{one_line(error)} (run again with --debug to see where)")
        raise typer.Exit(1) from None


def _complain(text: str) -> None:
    typer.echo("flowgauge: " + printable(" ".join(text.split())), err=True)


def _before_heavy_imports() -> None:
    """Silences what libraries print on their own."""
    for name, value in (
        ("TRANSFORMERS_VERBOSITY", "error"),
        ("HF_HUB_DISABLE_PROGRESS_BARS", "1"),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("OMP_WAIT_POLICY", "PASSIVE"),  # threads that spin while they wait take the processor from others' work, and ours
    ):
        os.environ.setdefault(name, value)


def _plan(given: dict[str, Any]) -> Plan:
    from .benchmark.engine.plan import Plan

    if "tasks" not in given:
        raise UsageError("name at least one --task (`flowgauge list tasks` shows them) or a plan file.")
    return Plan.make(**given)


def _pairs(columns: list[str]) -> dict[str, str]:
    found = {}
    for text in columns:
        ours, sign, theirs = text.partition("=")
        if not sign or not ours or not theirs:
            raise UsageError(f"--column needs ours=theirs, got {text!r}.")
        found[ours] = theirs
    return found


def _known(kind: Kind) -> dict[str, PluginDocs]:
    """Every name with what is known of it, without importing what it names."""
    if kind is Kind.models:
        from .core.plugin_docs import PluginDocs
        from .models.registry import MODELS
        from .models.zoo import SUMMARIES

        return {**{name: PluginDocs(summary) for name, summary in SUMMARIES.items()}, **MODELS.docs()}
    if kind is Kind.tasks:
        from .tasks.registry import TASKS as registry
    elif kind is Kind.methods:
        from .methods.registry import METHODS as registry
    else:
        from .metrics.registry import METRICS as registry
    return registry.docs()


def _references() -> dict[str, str]:
    """The publication that each built-in task follows."""
    from .tasks.registry import TASKS

    return {name: getattr(TASKS.create(name), "reference", "") for name in TASKS.builtin}


def _tell(results: Results, quiet: bool) -> None:
    """The table on stdout, what failed on stderr."""
    for record in results.failed:
        _complain(f"{record.task}, {record.method}: {record.status}: {record.error}")
    if quiet:
        return
    _print(results.summary())
    typer.echo(f"{len(results.records)} cells in {results.store}; `flowgauge show {results.store}` says more.", err=True)


def _print(rows: list[tuple[str, ...]]) -> None:
    """A table whose first row is its head; not folded where it goes to a file."""
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=None, pad_edge=False)
    head, *rows = rows
    for number, text in enumerate(head):
        shown.add_column(text, justify="left" if number < 2 else "right", overflow="fold")
    for row in rows:
        shown.add_row(*row)
    console = Console()
    console.print(shown) if console.is_terminal else Console(width=60 + 30 * len(head)).print(shown)


def _outside() -> None:
    """The commands for explanations computed elsewhere."""
    from . import outside_cli

    outside_cli.add_to(app, reporting, _tell)


def _leaderboard() -> typer.Typer:
    """The commands below `flowgauge leaderboard`."""
    from . import board_cli, bundle_cli

    board = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
    board_cli.add_to(board, reporting)
    bundle_cli.add_to(board, reporting)
    return board


_outside()
app.add_typer(_leaderboard(), name="leaderboard", help="Submit, verify and publish results that anyone can recompute.")


def main() -> None:
    """Entry point of the `flowgauge` command."""
    app()


if __name__ == "__main__":
    main()
