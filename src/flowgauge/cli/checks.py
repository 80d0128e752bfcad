"""`flowgauge check`, `check-model`, `speed` and `calibration`: the commands that test plug-ins, times and statistics."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .completion import complete_method
from .console import print_rows, reporting
from .options import PLUGIN_SPEC, Debug, Device, Json, Revision

if TYPE_CHECKING:
    from ..benchmark.conformance.finding import Finding
    from ..metrics.calibration.coverage import Calibration

MEMORY_ROW = "{:<9}  {:>6}  {:<40}  {:>9}  {:>9}  {:>11}  {}"


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE.py", help="A Python file that declares methods, tasks or metrics.")],
    debug: Debug = False,
) -> None:
    """Check that the methods, tasks and metrics in a file behave as the benchmark requires; exit code 1 if one does not."""
    with reporting(debug):
        from ..benchmark.conformance import check_file

        failed = _print_findings(check_file(file))
    raise typer.Exit(1 if failed else 0)


def check_model(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A folder with a checkpoint, a name on the Hub, or an embedded model.")
    ],
    dtype: Annotated[str, typer.Option(help="Type of the weights: float32, float64, bfloat16 or float16.")] = "float32",
    device: Device = "cpu",
    revision: Revision = None,
    debug: Debug = False,
) -> None:
    """Check that a checkpoint runs in flowgauge as it does in transformers; exit code 1 if it does not.

    Logits, padding on both sides, causal masks, edits at every site of every layer, and closed-form derivatives.
    """
    with reporting(debug):
        from ..benchmark.conformance.models import check_model as checked
        from ..benchmark.conformance.models import described
        from ..models.load import load_model

        loaded = load_model(model, dtype, device, revision)
        typer.echo(described(loaded))
        failed = _print_findings(checked(loaded))
    raise typer.Exit(1 if failed else 0)


def _print_findings(findings: Sequence[Finding]) -> int:
    """A line a finding; returns how many promises are broken."""
    for finding in findings:
        typer.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.check}{f' ({finding.detail})' if finding.detail else ''}")
    failed = sum(not finding.ok for finding in findings)
    typer.echo(f"{len(findings) - failed} of {len(findings)} checks passed", err=True)
    return failed


def speed(
    device: Device = "cpu",
    repeats: Annotated[int, typer.Option(min=1, help="Timed repeats, after one that is not timed.")] = 5,
    memory: Annotated[bool, typer.Option("--memory", help="Measure time and peak memory of each method on long texts.")] = False,
    shape: Annotated[
        list[str] | None,
        typer.Option(show_default="bert-base and gpt2", help="With --memory: the shape of the random model; repeatable."),
    ] = None,
    layers: Annotated[int | None, typer.Option(min=1, show_default="the shape's", help="With --memory: its layers.")] = None,
    tokens: Annotated[
        list[int] | None,
        typer.Option(min=4, show_default="30, 120 and 512", help="With --memory: tokens of the text; repeatable."),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", "-x", autocompletion=complete_method, show_default="all", help=f"With --memory: {PLUGIN_SPEC}"),
    ] = None,
    budget: Annotated[
        str | None, typer.Option(show_default="4GiB", help="With --memory: the budget that `run --memory` would set.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=1, help="With --memory: give a method up after so much processor time (s).")
    ] = 300,
    table: Annotated[
        Path | None, typer.Option(help="With --memory: keep rows in this file (JSON), and go on with those that it lacks.")
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure the time of methods, scores and whole runs beside what they are compared with.

    Methods: as multiples of one pass of integrated gradients, and of AttAttr as published. Scores and runs: beside explaining,
    and beside the same by hand with captum. With --memory: how long every method takes for one text of each length, and its peak
    memory above that of the loaded model.
    Every explanation runs in a process of its own; one that takes longer than --timeout is stopped and says so. With --table,
    a later call with more time goes on where this one stopped.
    """
    with reporting(debug):
        if memory:
            _print_memory(shape, tokens, method, as_json, budget, layers=layers, timeout=timeout, table=table)
            return
        _print_speed(device, repeats, as_json)


def _print_speed(device: str, repeats: int, as_json: bool) -> None:
    """Prints times of methods, comparisons of scores and runs as they come, and how times grow; or all of them as JSON."""
    from ..benchmark.speed.comparisons import compare_times
    from ..benchmark.speed.growth import in_words, measure_growth
    from ..benchmark.speed.measure import UNIT, measure

    report = measure(device, repeats)
    if not as_json:
        typer.echo(f"{report.device}, {report.threads} threads, torch {report.torch}, {report.repeats} repeats")
        typer.echo(f"{report.sentences} sentences of {report.tokens} tokens, {report.samples} path samples")
        typer.echo(f"{report.layers} layers of {report.heads} heads, width {report.width}")
        width = max(len(row.name) for row in report.rows)
        for row in report.rows:
            unit = "" if row.unit == UNIT else f" of {row.unit}"
            typer.echo(f"{row.name:<{width}}  {row.seconds:9.4f} s  {row.ratio:8.2f} x  [{row.low:.2f}, {row.high:.2f}]{unit}")
        typer.echo("\nprocessor time, beside what it is compared with (on the processor)")
    compared = []
    for times in compare_times(repeats):
        compared.append(times)
        if not as_json:
            ratio = f"{times.ratio:.2f} [{times.low:.2f}, {times.high:.2f}] x, goal {times.goal:g}"
            typer.echo(f"{times.name}: {times.seconds:.2f} s, {ratio}; {times.unit}: {times.unit_seconds:.2f} s")
    growth = list(measure_growth())
    if as_json:
        parts = {"comparisons": [asdict(row) for row in compared], "growth": [asdict(row) for row in growth]}
        typer.echo(json.dumps(asdict(report) | parts, indent=1))
        return
    typer.echo("\nhow influence patterns grow (processor time)")
    for grown in growth:
        typer.echo(in_words(grown))


def _print_memory(
    shapes: list[str] | None,
    tokens: list[int] | None,
    methods: list[str] | None,
    as_json: bool,
    budget: str | None,
    **limits: Any,
) -> None:
    """Prints a row of the table of memory as soon as it is measured, or all of them as JSON."""
    from ..benchmark.speed.peak_memory import LENGTHS, MEMORY_HEAD, measure_memory
    from ..models.memory import DEFAULT, memory_bytes

    rows, allowed = [], memory_bytes(budget or DEFAULT)
    if not as_json:
        typer.echo(MEMORY_ROW.format(*MEMORY_HEAD).rstrip())
    for row in measure_memory(
        shapes or ("bert-base", "gpt2"), tokens or LENGTHS, methods or (), budget=allowed, quiet=False, **limits
    ):
        rows.append(asdict(row))
        if not as_json:
            typer.echo(MEMORY_ROW.format(*row.cells()).rstrip())
    if as_json:
        typer.echo(json.dumps(rows, indent=1))


def calibration(
    store: Annotated[
        str | None,
        typer.Argument(metavar="[STORE]", help="Take the numbers of the largest group of comparable cells of this store."),
    ] = None,
    instances: Annotated[
        list[int] | None, typer.Option(min=2, max=1000, show_default="16, 64, 300", help="Instances of a table; repeatable.")
    ] = None,
    conditions: Annotated[int | None, typer.Option(min=1, max=500, show_default="1", help="Conditions of equal size.")] = None,
    methods: Annotated[int | None, typer.Option(min=2, max=100, show_default="15", help="Methods of a table.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulation.")] = 0,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Simulate how far intervals and tests can be trusted: the share that they promise against the actual one.

    The interval of an actual share is of the simulation. Where no interval is printed, the reason is. Takes about a minute.
    """
    with reporting(debug):
        from ..metrics.calibration.calibrate import calibrate
        from ..metrics.calibration.coverage import Sizes

        sizes, several = Sizes(), instances or [16, 64, 300]
        if store is not None:
            from ..leaderboards.stored.score_table import stored_sizes

            sizes = sizes._replace(**stored_sizes(store))
            several = instances or [sizes.instances]
        chosen = {"conditions": conditions, "methods": methods}
        sizes = sizes._replace(**{name: value for name, value in chosen.items() if value is not None})
        rows = []
        for count in several:
            found = list(calibrate(sizes._replace(instances=count), seed))
            rows += found
            if not as_json:
                typer.echo(f"{count} instances, {sizes.conditions} conditions, {sizes.methods} methods")
                print_rows(calibration_rows(found))
        if as_json:
            typer.echo(json.dumps([{k: None if v != v else v for k, v in row._asdict().items()} for row in rows], indent=1))


def calibration_rows(found: Sequence[Calibration]) -> list[tuple[str, ...]]:
    """A head, then a line a setting."""
    rows: list[tuple[str, ...]] = [("what", "setting", "promised", "actual", "mean width", "no interval")]
    for row in found:
        promised = "" if row.promised != row.promised else f"{row.promised:g}"
        actual = "-" if row.actual != row.actual else f"{row.actual:.3f} [{row.low:.3f}, {row.high:.3f}]"
        none = f"{100 * row.without:.0f} %: {row.reason}" if row.without else ""
        rows.append((row.what, row.setting, promised, actual, "" if row.width != row.width else f"{row.width:.2f}", none))
    return rows
