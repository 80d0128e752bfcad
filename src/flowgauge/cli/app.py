"""Puts the commands together. Everything heavy is imported inside the commands, so that help and lists answer at once."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from . import board, catalogue, checks, explain, external, results, run, submission
from .console import OneLineGroup, OneValueCommand

HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}
COMPUTE, LOOK, READ, EXTEND = "Compute", "Look up", "Read results", "Extend"
SUBMIT, SHOW, KEEP = "Submit and verify", "Show a board", "Keep a board"


class Commands(typer.Typer):
    """Commands that take each option once, unless they say that it is repeatable."""

    def command(self, name: str | None = None, **options: Any) -> Any:
        """Registers a command, which refuses an option given twice unless it is repeatable.

        Args:
            name: What users type; None: the function's name, with dashes for underscores.
            options: As of `typer.Typer.command`; a `cls` among them replaces `OneValueCommand`, and with it that refusal.

        Returns:
            A decorator that registers a function and returns it unchanged.
        """
        return super().command(name, **{"cls": OneValueCommand, **options})


app = Commands(
    name="flowgauge",
    cls=OneLineGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=HELP_OPTIONS,
)
leaderboard = Commands(no_args_is_help=True, context_settings=HELP_OPTIONS)

app.command(rich_help_panel=COMPUTE)(run.run)
app.command(rich_help_panel=COMPUTE)(explain.explain)
app.command(rich_help_panel=COMPUTE)(run.score)
app.command(rich_help_panel=COMPUTE)(run.train)
app.command(rich_help_panel=COMPUTE)(run.reproduce)
app.command("list", rich_help_panel=LOOK)(catalogue.list_)
app.command(rich_help_panel=LOOK)(catalogue.info)
app.command(rich_help_panel=READ)(results.show)
app.command(rich_help_panel=READ)(results.compare)
app.command(rich_help_panel=READ)(results.plot)
app.command("report-card", rich_help_panel=READ)(results.report_card)
app.command(rich_help_panel=EXTEND)(checks.check)
app.command("check-model", rich_help_panel=EXTEND)(checks.check_model)
app.command(rich_help_panel=EXTEND)(external.questions)
app.command("import", help=external.IMPORT_HELP, rich_help_panel=EXTEND)(external.import_)
app.command(rich_help_panel=EXTEND)(checks.speed)
app.command(rich_help_panel=READ)(checks.calibration)
app.add_typer(
    leaderboard,
    name="leaderboard",
    help="Submit, verify and publish results that anyone can recompute.",
    rich_help_panel="Publish",
)

leaderboard.command(rich_help_panel=SUBMIT)(submission.submit)
leaderboard.command(rich_help_panel=SUBMIT)(submission.verify)
leaderboard.command(rich_help_panel=SUBMIT)(submission.merge)
leaderboard.command("commit-seed", rich_help_panel=SUBMIT)(submission.commit_seed)
leaderboard.command("reveal-seed", rich_help_panel=SUBMIT)(submission.reveal_seed)
leaderboard.command(rich_help_panel=SHOW)(board.build)
leaderboard.command(rich_help_panel=SHOW)(board.export)
leaderboard.command(rich_help_panel=SHOW)(board.publish)
leaderboard.command(rich_help_panel=KEEP)(board.init)
leaderboard.command(rich_help_panel=KEEP)(board.ledger)
leaderboard.command(rich_help_panel=KEEP)(board.check)
leaderboard.command("note-sums", rich_help_panel=KEEP)(board.note_sums)
leaderboard.command(rich_help_panel=KEEP)(board.order)
leaderboard.command(rich_help_panel=KEEP)(board.rescore)
leaderboard.command(rich_help_panel=KEEP)(board.withdraw)
# Former names.
leaderboard.command("leave", hidden=True)(board.withdraw)
leaderboard.command("exchange", hidden=True)(board.exchange)


def _print_version(requested: bool) -> None:
    if requested:
        from ..core.version import VERSION

        typer.echo(f"flowgauge {VERSION}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Benchmark explanations of information flow in transformers."""


def main() -> None:
    """Runs the `flowgauge` command with the arguments of the process, and ends the process with the command's exit code.

    Raises:
        SystemExit: Always: 0 after success, 2 where the arguments are refused, else the code of the command (130: stopped).
    """
    app()
