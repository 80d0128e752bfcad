"""What commands print: errors as one line with an exit code, tables, and the outcome of a run."""

from __future__ import annotations

import logging
import math
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ..core.errors import FlowgaugeError, in_words, printable, shortened

if TYPE_CHECKING:
    import pandas as pd

    from ..benchmark.store.record import Record
    from ..benchmark.store.renewal import Renewal
    from ..benchmark.store.results import RunRecords

QUIET_ENVIRONMENT = {
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin while they wait take the processor from other programs, and from ours
}
"""What libraries are told in the environment before they are imported, unless the user says otherwise there."""
CHATTY_LOGGERS = ("httpx", "urllib3", "filelock", "matplotlib", "fsspec", "asyncio", "transformers")


@contextmanager
def reporting(debug: bool, continues: bool = False) -> Iterator[None]:
    """Turns an error into one line on stderr and an exit code: that of the error, or 1; 130 where the user stopped the command.

    Args:
        debug: Lets tracebacks through and shows log messages.
        continues: Whether a command that was stopped goes on where it was when it is given again.
    """
    for name, value in QUIET_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    for name in CHATTY_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt:
        complain(f"stopped; the same command {'continues from here' if continues else 'starts from the beginning'}.")
        raise typer.Exit(130) from None
    except FlowgaugeError as error:
        if debug:
            raise
        complain(str(error))
        raise typer.Exit(error.exit_code) from None
    except BaseException as error:  # also what code in other languages raises, such as that of tokenizers
        # The reader of the pipe has closed it, as `head` does; rich then ends Python.
        if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        if debug:
            raise
        complain(f"unexpected: {in_words(error)} (run the command again with --debug to see where)")
        raise typer.Exit(1) from None


def complain(text: str) -> None:
    """Prints a message on stderr, on one line of bounded length and without control characters."""
    typer.echo("flowgauge: " + printable(shortened(text, 4000)), err=True)


class OneValueCommand(TyperCommand):
    """A command that refuses an option given twice, of which the parser would take the last without a word."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses the arguments, after counting the options among them."""
        given: Counter[Any] = Counter(self.make_parser(ctx).parse_args(list(args))[2])
        for parameter, count in given.items():
            if count > 1 and not parameter.multiple and not getattr(parameter, "is_flag", False):
                raise typer.BadParameter("it is given twice, and takes one value.", ctx=ctx, param=parameter)
        return super().parse_args(ctx, args)


class OneLineGroup(TyperGroup):
    """A group of commands whose refused options and arguments are one line, as all other errors are."""

    def main(self, *arguments: Any, standalone_mode: bool = True, **options: Any) -> Any:
        """Runs a command; prints what its parser refuses and exits with its code."""
        try:
            code = super().main(*arguments, **{**options, "standalone_mode": False})
        except typer.Abort:
            code = 130
        except Exception as error:
            refusal: Any = error
            if not standalone_mode or not hasattr(refusal, "format_message"):  # only a parser's errors have it
                raise
            if type(refusal).__name__ == "NoArgsIsHelpError":
                refusal.show()
            else:
                context = getattr(refusal, "ctx", None)
                help_of = f": `{context.command_path} --help` says more" if context else ""
                complain(f"{refusal.format_message().rstrip('.')}{help_of}.")
            code = refusal.exit_code
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code


def print_results(results: RunRecords, quiet: bool, scorecard: bool = False) -> None:
    """Prints what failed on stderr and, unless `quiet`, a table of scores on stdout, or a scorecard of every task."""
    for record in results.failed:
        complain(f"{record.task}, {record.method}: {record.status}: {record.error}")
    if quiet:
        return
    if scorecard:
        print_scorecards(results.store, results.records)
    else:
        print_rows(results.summary())
    typer.echo(
        f"{len(results.records)} cells in {results.store}; `flowgauge show {results.store}` shows more, and why a score is n/a.",
        err=True,
    )


def print_scorecards(store: str, records: Sequence[Record]) -> None:
    """Prints the scorecard of every task of some cells of a store."""
    from ..benchmark.store.store import Store
    from ..leaderboards.comparison.scorecard import scorecards
    from ..leaderboards.comparison.scorecard_words import legend

    heads = list[str]()
    for title, rows, lines in scorecards(Store(store), records):
        typer.echo(title)
        print_rows(rows)
        if lines:
            typer.echo("\n".join(lines))
        heads += rows[0]
    if heads:
        typer.echo("\n".join(["", *legend(heads)]))


def report_renewal(renewal: Renewal, command: str) -> None:
    """Prints how many intervals are today's now, and the command for those that rows do not give.

    Args:
        renewal: What was done.
        command: The command that scores the same store.
    """
    if renewal.cells:
        typer.echo(
            f"{renewal.scores} scores in {renewal.cells} cells have today's intervals now, in the place of those of version 0.1"
        )
    if renewal.left:
        metrics = " ".join(f"--metric {metric}" for metric in renewal.left)
        typer.echo(f"the intervals of {len(renewal.left)} metrics have to be computed anew: {command} {metrics}")
    elif not renewal.cells:
        typer.echo("every interval is today's already; name a --metric to score with one more")


def print_tables(
    table: pd.DataFrame, sections: Iterable[tuple[str, Sequence[tuple[str, ...]], Sequence[str]]], as_json: bool, as_csv: bool
) -> None:
    """Prints one table for programs, or its sections for people.

    Args:
        table: All rows, for JSON and CSV.
        sections: A title, rows of which the first is the head, and lines that stand below; an empty title is left out.
        as_json: Prints the table as JSON.
        as_csv: Prints the table as CSV.
    """
    if as_json:
        # JSON has no infinity: it is written as in records. NaN becomes null.
        plain = table.replace({math.inf: "Infinity", -math.inf: "-Infinity"})
        typer.echo(plain.to_json(orient="records", indent=1))
    elif as_csv:
        typer.echo(table.to_csv(index=False).rstrip("\n"))
    else:
        for title, rows, lines in sections:
            if title:
                typer.echo(title)
            print_rows(rows)
            if lines:
                typer.echo("\n".join(map(printable, lines)))


def print_rows(rows: Sequence[tuple[str, ...]]) -> None:
    """Prints a table whose first row is its head; rows are folded in a terminal only, not where they go to a file."""
    from rich.console import Console
    from rich.table import Table

    head, *body = rows
    table = Table(box=None, pad_edge=False)
    for index, title in enumerate(head):
        table.add_column(title, justify="left" if index < 2 else "right", overflow="fold")
    for row in body:
        table.add_row(*row)
    console = Console(markup=False, emoji=False)  # `[no spread]` is text and no markup
    if not console.is_terminal:
        console = Console(width=60 + 30 * len(head), markup=False, emoji=False)
    console.print(table)
