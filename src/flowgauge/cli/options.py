"""The arguments and options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import UsageError
from .completion import complete_method, complete_metric, complete_model, complete_task

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
        autocompletion=complete_model,
        show_default="the task's own, or agreement-bert",
        help="A name in `flowgauge list models`, a name on the Hugging Face Hub, or a folder.",
    ),
]
MovedModel = Annotated[
    str | None, typer.Option("--model", "-m", help="Where the model is here, if not under the name that was recorded.")
]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        autocompletion=complete_metric,
        show_default="what the views of the methods allow",
        help=f"{PLUGIN_SPEC} `none`: explain, and score nothing.",
    ),
]
MoreMetrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        autocompletion=complete_metric,
        show_default="none; intervals of version 0.1 are computed anew",
        help=PLUGIN_SPEC,
    ),
]
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
SampleSeed = Annotated[int | None, typer.Option(show_default="0", help="Seed that chooses which instances are sampled.")]
Split = Annotated[str | None, typer.Option(show_default="test", help="The split of the task.")]
Limit = Annotated[
    int | None,
    typer.Option(
        show_default="all",
        help="Instances of each task, balanced over its conditions, of those that --where and --max-tokens leave.",
    ),
]
MaxTokens = Annotated[int | None, typer.Option(help="Leave out instances with more tokens.")]
OnSplit = Annotated[
    str | None,
    typer.Option(show_default="error", help="What to do with a word that the tokenizer splits: error, or skip its instance."),
]
Columns = Annotated[
    list[str] | None,
    typer.Option("--column", help="For a task file: flowgauge's column=the file's column (sentence=text); repeatable."),
]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", help="For a task file: keep only rows in which a column has a value (COLUMN=VALUE); repeatable."),
]
Dtype = Annotated[str | None, typer.Option(show_default="float32", help="float32, float64, bfloat16 or float16.")]

# Which of the stored results are read.
OnlyTasks = Annotated[
    list[str] | None, typer.Option("--task", "-t", autocompletion=complete_task, help="Only these tasks; repeatable.")
]
OnlyMethods = Annotated[
    list[str] | None, typer.Option("--method", "-x", autocompletion=complete_method, help="Only these methods; repeatable.")
]
OnlyModel = Annotated[str | None, typer.Option("--model", "-m", autocompletion=complete_model, help="Only this model.")]

# How it is computed and shown.
Device = Annotated[str, typer.Option(help="A torch device; auto is the GPU if there is one.")]
BatchSize = Annotated[int | None, typer.Option(min=1, show_default="32, fewer for long texts", help="Instances in one batch.")]
Memory = Annotated[
    str | None,
    typer.Option(
        show_default="4GiB",
        help="What explaining and scoring may take at once above the loaded model; work is split to stay below it.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, show_default="one for each of --devices, else 1", help="Processes that share the work of the run."),
]
Devices = Annotated[
    list[str] | None,
    typer.Option(show_default="that of --device", help="Torch devices that workers take in turn, such as cuda:1; repeatable."),
]
Executor = Annotated[
    str | None,
    typer.Option(show_default="local", help="Where workers are: local, on this machine; ray, on a Ray cluster (flowgauge[ray])."),
]
Log = Annotated[
    str | None, typer.Option(show_default="none", help="Send each cell's scores to a tracker as they come: trackio or mlflow.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show which cells are stored, and what the others take; compute and write nothing.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress bar and no table.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV, for spreadsheets.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks and log messages.")]

# What a ledger keeps.
Why = Annotated[str, typer.Option(help="The reason, one line in the board's ledger.")]
RequiredWhy = Annotated[str, typer.Option("--why", help="The reason, for everyone to read in the board's ledger.")]
Who = Annotated[str, typer.Option("--name", help="Who acts, as the board's ledger shows it.")]


def mapping_of(option: str, texts: list[str] | None) -> dict[str, str] | None:
    """What a repeatable option `key=value` says; None where it is not given.

    Args:
        option: Its name, for the message.
        texts: What was given.

    Raises:
        UsageError: A text that is not `key=value`, or a key twice.

    >>> mapping_of("--column", ["sentence=text", "good=right"])
    {'sentence': 'text', 'good': 'right'}
    """
    mapping: dict[str, str] = {}
    for text in texts or ():
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not key or not value:
            expected = "ours=theirs, such as sentence=text" if option == "--column" else "column=value, such as condition=SP"
            raise UsageError(f"{option} needs {expected}, got {text!r}.")
        if mapping.setdefault(key, value) != value:
            raise UsageError(f"{option} is given {key!r} twice: {mapping[key]!r} and {value!r}; leave one out.")
    return mapping or None
