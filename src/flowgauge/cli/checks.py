"""`flowgauge check` and `speed`: the commands for authors of plug-ins and for developers."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from .console import reporting
from .options import Debug, Device, Json


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE.py", help="A Python file that declares methods, tasks or metrics.")],
    debug: Debug = False,
) -> None:
    """Check that the methods, tasks and metrics in a file behave as the benchmark requires; exit code 1 if one does not."""
    with reporting(debug):
        from ..benchmark.conformance import check_file

        findings = check_file(file)
        for finding in findings:
            typer.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.check}{f' ({finding.detail})' if finding.detail else ''}")
        failed = sum(not finding.ok for finding in findings)
        typer.echo(f"{len(findings) - failed} of {len(findings)} checks passed", err=True)
    raise typer.Exit(1 if failed else 0)


def speed(
    device: Device = "cpu",
    repeats: Annotated[int, typer.Option(min=1, help="Timed repeats, after one that is not timed.")] = 5,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure the time of methods and of other implementations, as multiples of one pass of integrated gradients."""
    with reporting(debug):
        from ..benchmark.speed.measure import UNIT, measure

        report = measure(device, repeats)
        if as_json:
            typer.echo(json.dumps(asdict(report), indent=1))
            return
        typer.echo(f"{report.device}, {report.threads} threads, torch {report.torch}, {report.repeats} repeats")
        typer.echo(f"{report.sentences} sentences of {report.tokens} tokens, {report.samples} path samples")
        typer.echo(f"{report.layers} layers of {report.heads} heads, width {report.width}")
        width = max(len(row.name) for row in report.rows)
        for row in report.rows:
            unit = "" if row.unit == UNIT else f" of {row.unit}"
            typer.echo(f"{row.name:<{width}}  {row.seconds:9.4f} s  {row.ratio:8.2f} x  [{row.low:.2f}, {row.high:.2f}]{unit}")
