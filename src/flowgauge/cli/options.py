"""The arguments and options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PLUGIN_SPEC = "NAME[:key=value,...] or FILE.py[:NAME]; repeatable."

# Where results are.
StoreUrl = Annotated[str, typer.Argument(metavar="STORE", help="Results: a folder or an fsspec URL.")]
StoreUrls = Annotated[
    list[str], typer.Argument(metavar="STORE...", help="Results: folders or fsspec URLs, read together as one board.")
]
BoardUrl = Annotated[str, typer.Argument(metavar="BOARD", help="The board, a store with a ledger: a folder or an fsspec URL.")]
BundleFolder = Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder that `leaderboard submit` wrote.")]
NewStore = Annotated[
    str | None, typer.Option("--store", show_default="results", help="Where results are kept: a folder or an fsspec URL.")
]

# What is explained, and how it is scored.
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        show_default="the task's own, or agreement-bert",
        help="A name in `flowgauge list models`, a name on the Hugging Face Hub, or a folder.",
    ),
]
MovedModel = Annotated[
    str | None, typer.Option("--model", "-m", help="Where the model is here, if not under the name that was recorded.")
]
Metrics = Annotated[list[str] | None, typer.Option("--metric", show_default="ablated_accuracy", help=PLUGIN_SPEC)]
MoreMetrics = Annotated[list[str], typer.Option("--metric", help=PLUGIN_SPEC)]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a model on the Hugging Face Hub.")]
DataDir = Annotated[
    str | None,
    typer.Option(show_default="$FLOWGAUGE_DATA, else the Hub", help="Folder of published data sets (sst2/dev.tsv, ...)."),
]
# A verifier's own folder replaces the one that a record names, so that the environment variable has to be read here.
VerifierDataDir = Annotated[
    str | None,
    typer.Option(
        "--data-dir",
        show_default="$FLOWGAUGE_DATA, else as recorded",
        help="Your folder of published data sets (sst2/dev.tsv, ...).",
        envvar="FLOWGAUGE_DATA",
        show_envvar=False,
    ),
]
SampleSeed = Annotated[int | None, typer.Option(min=0, show_default="0", help="Seed that chooses which instances are sampled.")]

# Which of the stored results are read.
OnlyTasks = Annotated[list[str] | None, typer.Option("--task", "-t", help="Only these tasks; repeatable.")]
OnlyMethods = Annotated[list[str] | None, typer.Option("--method", "-x", help="Only these methods; repeatable.")]
OnlyModel = Annotated[str | None, typer.Option("--model", "-m", help="Only this model.")]

# How it is computed and shown.
Device = Annotated[str, typer.Option(help="A torch device; auto is the GPU if there is one.")]
BatchSize = Annotated[int | None, typer.Option(min=1, show_default="32, fewer for long texts", help="Instances in one batch.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress bar and no table.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV, for spreadsheets.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks and log messages.")]

# What a ledger keeps.
Why = Annotated[str, typer.Option(help="The reason, one line in the board's ledger.")]
RequiredWhy = Annotated[str, typer.Option("--why", help="The reason, for everyone to read in the board's ledger.")]
Who = Annotated[str, typer.Option("--name", help="Who acts, as the board's ledger shows it.")]
