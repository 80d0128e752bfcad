"""`flowgauge leaderboard submit|verify|merge|commit-seed|reveal-seed|leave|ledger|rescore|exchange|publish`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from .benchmark.verification.recompute_scores import ScoreRecomputer
    from .leaderboards.submission.verify import BundleCheck, VerificationReport

BundleFolder = Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle's folder.")]
BoardUrl = Annotated[str, typer.Argument(metavar="BOARD", help="Folder or fsspec URL of the board, a store.")]
Model = Annotated[str | None, typer.Option("--model", "-m", help="Where you have the model, if not under its name there.")]
DataDir = Annotated[str | None, typer.Option(help="Folder of published data.", envvar="FLOWGAUGE_DATA", show_envvar=False)]
Sample = Annotated[int, typer.Option(min=1, help="Instances of each cell and metric that are recomputed.")]
SampleSeed = Annotated[
    int | None, typer.Option(min=0, show_default="drawn and shown", help="Seed of what is sampled, to repeat a check.")
]
RerunCount = Annotated[
    int, typer.Option(min=0, show_default="none", help="Instances of each cell on which its method is run, for trust re-run.")
]
Form = Annotated[bool, typer.Option("--form-only", help="Check form and consistency alone; recompute nothing.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks and log messages.")]


def add_to(app: typer.Typer, reporting: Callable[[bool], Any]) -> None:
    """Adds the commands; `reporting` turns errors into lines and exit codes."""

    @app.command()
    def submit(
        store: Annotated[str, typer.Argument(help="Folder or fsspec URL of results.")],
        out: Annotated[Path, typer.Option(help="Folder to make.")],
        name: Annotated[str, typer.Option(help="Who submits, as the board will show it.")],
        note: Annotated[str, typer.Option(help="A line about it.")] = "",
        task: Annotated[list[str] | None, typer.Option("--task", "-t", help="Only these tasks; repeatable.")] = None,
        method: Annotated[list[str] | None, typer.Option("--method", "-x", help="Only these methods; repeatable.")] = None,
        debug: Debug = False,
    ) -> None:
        """Pack finished cells, with their explanations, into a bundle that others can verify."""
        with reporting(debug):
            from .leaderboards.submission.bundle import pack

            made = pack(store, out, name, note, task or (), method or ())
            size = sum(kept.bytes for kept in made.files.values()) / 2**20
            cells = sum(path.endswith("/record.json") for path in made.files)
            typer.echo(f"{out}: {cells} cells, {len(made.files)} files, {size:.1f} MiB")

    @app.command()
    def verify(
        bundle: BundleFolder,
        model: Model = None,
        data_dir: DataDir = None,
        sample: Sample = 20,
        form_only: Form = False,
        rerun: RerunCount = 0,
        seed: Annotated[
            str | None, typer.Option(help="A secret seed, or the file with it: checks that the scores hold on fresh instances.")
        ] = None,
        board: Annotated[str | None, typer.Option(help="For --seed: the board whose ledger has the commitment.")] = None,
        fresh: Annotated[int, typer.Option(min=1, help="For --seed: instances of each task.")] = 40,
        sample_seed: SampleSeed = None,
        device: Annotated[str, typer.Option(help="A torch device.")] = "auto",
        debug: Debug = False,
    ) -> None:
        """Check a bundle and recompute a sample of its scores on your own copy of model and task; exit code 1 if it fails.

        --rerun runs the methods themselves and compares explanations.

        --seed checks that a seed opens a commitment of --board, then compares scores with those on sentences drawn with it.
        """
        with reporting(debug):
            from .core.errors import printable
            from .leaderboards.submission.verify import verify as check

            recheck = _recheck(model, data_dir, device, sample_seed, form_only)
            further = [*_again(recheck, rerun), *_on_fresh(recheck, seed, board, fresh)]
            checked = check(bundle, recheck, sample, further, quiet=False)
            _tell_seed(recheck)
            for note in checked.notes:
                typer.echo(printable(f"note: {note.where}: {note.what}"))
            for problem in checked.problems:
                typer.echo(printable(f"{problem.where}: {problem.what}"))
            for metric, count in checked.rescored.items():
                typer.echo(f"{metric}: {count} scores recomputed", err=True)
            typer.echo(f"{len(checked.problems)} problems" if checked.problems else _levels(checked))
        raise typer.Exit(1 if checked.problems else 0)

    @app.command()
    def merge(
        bundle: BundleFolder,
        board: BoardUrl,
        model: Model = None,
        data_dir: DataDir = None,
        sample: Sample = 20,
        form_only: Form = False,
        rerun: RerunCount = 0,
        sample_seed: SampleSeed = None,
        why: Annotated[str, typer.Option(help="A line for the ledger.")] = "",
        trust: Annotated[str | None, typer.Option(help="Vouch for more than is verified here: re-run or maintained.")] = None,
        explanations: Annotated[
            int | None, typer.Option(min=0, help="Keep those of so many instances a cell. [default: (all)]")
        ] = None,
        device: Annotated[str, typer.Option(help="A torch device.")] = "auto",
        debug: Debug = False,
    ) -> None:
        """Verify a bundle and add its cells to a board."""
        with reporting(debug):
            from .benchmark.store.store import Store
            from .core.errors import UsageError
            from .leaderboards.submission.board import merge as add
            from .leaderboards.submission.ledger import read_ledger
            from .leaderboards.submission.trust import TRUST

            if trust is not None and trust not in TRUST:
                raise UsageError(f"no level of trust is called {trust!r}; there are {', '.join(TRUST)}.")
            recheck = _recheck(model, data_dir, device, sample_seed, form_only)
            further = _again(recheck, rerun)
            event = add(
                bundle, board, recheck, sample=sample, further=further, why=why, trust=trust,
                explanations=explanations, quiet=False,
            )  # fmt: skip
            _tell_seed(recheck)
            typer.echo(f"{len(event.cells)} cells entered {board} as {event.trust}")
            last = read_ledger(Store(board))[-1]
            if last.action == "re-run":
                typer.echo(f"{len(last.cells)} of them are re-run")

    @app.command("commit-seed")
    def commit_seed(
        board: BoardUrl,
        out: Annotated[Path, typer.Option(help="File for the secret; keep it to yourself.")],
        why: Annotated[str, typer.Option(help="A line for the ledger.")] = "",
        name: Annotated[str, typer.Option(help="Who commits.")] = "",
        debug: Debug = False,
    ) -> None:
        """Draw a secret seed and publish its commitment (sha256) in the board's ledger, before anyone submits.

        `verify --seed` regenerates tasks from it; `reveal-seed` publishes it.
        """
        with reporting(debug):
            from .leaderboards.submission.seed_commitment import commit, new_secret, write_secret

            secret = new_secret()
            write_secret(out, secret)
            try:
                event = commit(board, secret, name, why)
            except BaseException:
                out.unlink(missing_ok=True)  # nothing was promised with it, and it would stand in the way of the next try
                raise
            typer.echo(event.commitment)
            typer.echo(f"the secret is in {out}", err=True)

    @app.command("reveal-seed")
    def reveal_seed(
        board: BoardUrl,
        seed: Annotated[str, typer.Argument(metavar="SEED", help="The secret, or the file with it.")],
        why: Annotated[str, typer.Option(help="A line for the ledger.")] = "",
        name: Annotated[str, typer.Option(help="Who reveals it.")] = "",
        debug: Debug = False,
    ) -> None:
        """Publish a secret seed in the ledger that has its commitment, so that anyone can repeat the checks made with it."""
        with reporting(debug):
            from .leaderboards.submission.seed_commitment import read_secret, reveal

            typer.echo(reveal(board, read_secret(seed), name, why).secret)

    @app.command()
    def leave(
        board: BoardUrl,
        cell: Annotated[
            list[str], typer.Option(help="<model>/<task>/<method>-<12 hex>, or a pattern such as '*/sva/obj/*'; repeatable.")
        ],
        why: Annotated[str, typer.Option(help="The reason, for everyone to read.")],
        name: Annotated[str, typer.Option(help="Who says so.")] = "",
        debug: Debug = False,
    ) -> None:
        """Take cells off a board; the ledger keeps the reason."""
        with reporting(debug):
            from .leaderboards.submission.board import withdraw as take_off

            typer.echo(f"{len(take_off(board, cell, why, name).cells)} cells left {board}")

    @app.command()
    def ledger(board: BoardUrl, debug: Debug = False) -> None:
        """Show what entered, left, was scored or run again, and why; and seeds that were committed to."""
        with reporting(debug):
            from .benchmark.store.store import Store
            from .core.errors import UsageError, printable
            from .leaderboards.submission.ledger import read_ledger

            events = read_ledger(Store(board))
            if not events:
                raise UsageError(f"{board!r} has no ledger: `flowgauge leaderboard merge BUNDLE {board}` starts one.")
            for event in events:
                by, why = f" by {event.who}" if event.who else "", f": {event.why}" if event.why else ""
                what = f"{event.secret or event.commitment}" if event.commitment else event.trust
                typer.echo(printable(f"{event.when}  {event.action}, {what}{by}{why}"))
                for name in event.cells:
                    typer.echo(printable(f"    {name}"))

    @app.command()
    def rescore(
        board: BoardUrl,
        metric: Annotated[list[str], typer.Option("--metric", help="Name[:key=value,...] or file.py[:name]; repeatable.")],
        why: Annotated[str, typer.Option(help="A line for the ledger.")] = "",
        model: Model = None,
        data_dir: DataDir = None,
        device: Annotated[str, typer.Option(help="A torch device.")] = "auto",
        debug: Debug = False,
    ) -> None:
        """Score every entry of a board with a metric that came or was corrected later."""
        with reporting(debug):
            from .benchmark.engine.rescore import rescore as score_again
            from .leaderboards.submission.board import rescored

            results = score_again(board, metric, model=model, data_dir=data_dir, device=device, quiet=False)
            events = rescored(board, results.records, why or ", ".join(metric))
            for record in results.records:
                if record.status != "done":
                    typer.echo(f"{record.model}/{record.task}/{record.folder}: {record.error}", err=True)
            typer.echo(f"{sum(len(event.cells) for event in events)} cells scored again")
        raise typer.Exit(results.exit_code)

    @app.command()
    def exchange(
        store: Annotated[str, typer.Argument(help="Folder or fsspec URL of results.")],
        out: Annotated[Path, typer.Option(help="Folder to write into.")],
        name: Annotated[str, typer.Option(help="Who evaluated.")] = "flowgauge user",
        dataset: Annotated[str, typer.Option(help="For the Hub: id of the benchmark's dataset there.")] = "",
        model: Annotated[str | None, typer.Option("--model", "-m", help="For the Hub: only this model.")] = None,
        source: Annotated[str, typer.Option(help="For the Hub: link to the board.")] = "",
        debug: Debug = False,
    ) -> None:
        """Write results as Every Eval Ever's JSON or, with --dataset, as the Hub's evaluation results (YAML)."""
        with reporting(debug):
            from .leaderboards.export.other_formats import write_every_eval_ever, write_hub_results

            made = write_hub_results(store, out, dataset, model, source) if dataset else write_every_eval_ever(store, out, name)
            for path in made:
                typer.echo(str(path))

    @app.command()
    def publish(
        site: Annotated[Path, typer.Argument(help="A built site.")],
        url: Annotated[str, typer.Argument(help="Folder, s3://bucket/prefix, hf://datasets/owner/name, ...")],
        debug: Debug = False,
    ) -> None:
        """Copy a built site to a folder or any fsspec target."""
        with reporting(debug):
            from .leaderboards.submission.board import publish as put

            typer.echo(f"{put(site, url)} files at {url}")


def _recheck(model: str | None, data_dir: str | None, device: str, seed: int | None, form_only: bool) -> ScoreRecomputer | None:
    """What recomputes scores. Whoever hands in a bundle must not know what will be sampled: by default the seed is drawn."""
    if form_only:
        return None
    import secrets

    from .benchmark.verification.recompute_scores import ScoreRecomputer

    return ScoreRecomputer(model, data_dir, device, secrets.randbits(32) if seed is None else seed)


def _tell_seed(recheck: ScoreRecomputer | None) -> None:
    """For whoever repeats the check."""
    if recheck is not None:
        typer.echo(f"sampled with --sample-seed {recheck.seed}", err=True)


def _again(recheck: ScoreRecomputer | None, count: int) -> list[BundleCheck]:
    """Runs methods, where that is asked for."""
    from .core.errors import UsageError

    if not count:
        return []
    if recheck is None:
        raise UsageError("--rerun runs methods, and --form-only runs nothing: leave one out.")
    from .benchmark.verification.rerun_methods import MethodRerunner
    from .leaderboards.submission.check_rerun import RerunCheck

    return [RerunCheck(MethodRerunner(recheck), count)]


def _on_fresh(recheck: ScoreRecomputer | None, given: str | None, board: str | None, count: int) -> list[BundleCheck]:
    """Runs methods on fresh instances, where a seed is given that the board committed to."""
    from .core.errors import UsageError
    from .leaderboards.submission.seed_commitment import opened, read_secret, revealed

    if given is None:
        return []
    if recheck is None or board is None:
        raise UsageError("--seed needs --board, whose ledger has the commitment, and cannot go with --form-only.")
    secret = read_secret(given)
    typer.echo(f"the seed opens the commitment of {opened(board, secret).when}", err=True)
    since = revealed(board, secret)
    if since:
        typer.echo(f"the seed is public since {since}: what was made later may be tuned to it", err=True)
    from .benchmark.verification.secret_seed_instances import SecretSeedRun
    from .leaderboards.submission.check_secret_seed import SecretSeedCheck

    return [SecretSeedCheck(SecretSeedRun(recheck, secret.seed, count))]


def _levels(checked: VerificationReport) -> str:
    """How many cells reached each level of trust."""
    from collections import Counter

    counts = Counter(checked.level(record) for record in checked.records)
    return ", ".join(f"{count} cells are {level}" for level, count in counts.items())
