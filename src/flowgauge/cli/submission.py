"""`flowgauge leaderboard submit`, `verify`, `merge`, `commit-seed`, `reveal-seed`: from results to verified cells of a board."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import UsageError, printable
from .console import reporting
from .options import (
    BoardUrl,
    BundleFolder,
    Debug,
    Device,
    MovedModel,
    OnlyMethods,
    OnlyTasks,
    StoreUrl,
    VerifierDataDir,
    Who,
    Why,
)

if TYPE_CHECKING:
    from ..benchmark.verification.recompute_scores import ScoreRecomputer
    from ..leaderboards.submission.verify import BundleCheck, VerificationReport

Sample = Annotated[
    int,
    typer.Option(
        min=1, help="Instances of each cell and metric whose scores are recomputed; a cell with no more is recomputed whole."
    ),
]
TaskFiles = Annotated[
    list[Path] | None,
    typer.Option("--task", help="Your copy of a task file that the bundle names; files of the bundle's choice are not opened."),
]
CheckSeed = Annotated[
    int | None,
    typer.Option(
        "--sample-seed", min=0, show_default="random, and printed", help="Seed of what is recomputed, to repeat a verification."
    ),
]
RerunCount = Annotated[
    int,
    typer.Option(
        min=0, show_default="none", help="Instances of each cell on which the method is run again, for the level re-run."
    ),
]
FormOnly = Annotated[bool, typer.Option("--form-only", help="Check files and consistency only; recompute nothing.")]


def submit(
    store: StoreUrl,
    out: Annotated[Path, typer.Option(help="Folder for the bundle.")],
    name: Annotated[str, typer.Option(help="Who submits, as the board will show it.")],
    note: Annotated[str, typer.Option(help="One line about the submission.")] = "",
    task: OnlyTasks = None,
    method: OnlyMethods = None,
    plan: Annotated[
        list[Path] | None,
        typer.Option("--plan", help="Only the cells of this plan, all of which must be finished; repeatable."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Pack finished cells, with their explanations, into a bundle that others can verify."""
    with reporting(debug):
        from ..leaderboards.submission.bundle import pack

        only = None
        if plan:
            from ..benchmark.engine.plan import Plan
            from ..benchmark.engine.run import planned_records

            only = [record for file in plan for record in planned_records(Plan.load(file, store=store))]
        bundle = pack(store, out, name, note, task or (), method or (), only)
        size = sum(file.bytes for file in bundle.files.values()) / 2**20
        cells = sum(path.endswith("/record.json") for path in bundle.files)
        typer.echo(f"{out}: {cells} cells, {len(bundle.files)} files, {size:.1f} MiB")


def verify(
    bundle: BundleFolder,
    model: MovedModel = None,
    data_dir: VerifierDataDir = None,
    task: TaskFiles = None,
    sample: Sample = 200,
    form_only: FormOnly = False,
    rerun: RerunCount = 0,
    seed: Annotated[
        str | None,
        typer.Option(help="A secret seed, or the file with it: checks that scores hold on instances that it draws."),
    ] = None,
    board: Annotated[str | None, typer.Option(help="For --seed: the board whose ledger has the seed's commitment.")] = None,
    fresh: Annotated[int, typer.Option(min=1, help="For --seed: instances drawn for each task.")] = 40,
    sample_seed: CheckSeed = None,
    device: Device = "auto",
    debug: Debug = False,
) -> None:
    """Check a bundle and recompute its scores, or a sample, on your copy of model and task; the exit code is 1 if it fails.

    --rerun also runs the methods again and compares the explanations.

    --seed also draws new instances from a secret seed, whose commitment --board published before the submission, runs the methods
    on them, and compares the scores.
    """
    with reporting(debug):
        from ..leaderboards.submission.verify import verify as verify_bundle

        recomputer = _score_recomputer(model, data_dir, device, sample_seed, form_only, task)
        further = [*_rerun_checks(recomputer, rerun), *_secret_seed_checks(recomputer, seed, board, fresh)]
        report = verify_bundle(bundle, recomputer, sample, further, quiet=False)
        _print_sample_seed(recomputer)
        for note in report.notes:
            typer.echo(printable(f"note: {note.where}: {note.what}"))
        for problem in report.problems:
            typer.echo(printable(f"{problem.where}: {problem.what}"))
        for metric, count in report.rescored.items():
            typer.echo(f"{metric}: {count} scores recomputed", err=True)
        typer.echo(f"{len(report.problems)} problems" if report.problems else _trust_levels(report))
    raise typer.Exit(1 if report.problems else 0)


def merge(
    bundle: BundleFolder,
    board: BoardUrl,
    model: MovedModel = None,
    data_dir: VerifierDataDir = None,
    task: TaskFiles = None,
    sample: Sample = 200,
    form_only: FormOnly = False,
    rerun: RerunCount = 0,
    sample_seed: CheckSeed = None,
    why: Why = "",
    trust: Annotated[str | None, typer.Option(help="Vouch for more than this command verifies: re-run or maintained.")] = None,
    explanations: Annotated[
        int | None, typer.Option(min=0, show_default="all", help="Instances of each cell whose explanations the board keeps.")
    ] = None,
    device: Device = "auto",
    debug: Debug = False,
) -> None:
    """Verify a bundle and add its cells to a board."""
    with reporting(debug):
        from ..benchmark.store.store import Store
        from ..leaderboards.submission.board import merge as merge_bundle
        from ..leaderboards.submission.ledger import read_ledger
        from ..leaderboards.submission.trust import TRUST

        if trust is not None and trust not in TRUST:
            raise UsageError(f"no level of trust is called {trust!r}; there are {', '.join(TRUST)}.")
        recomputer = _score_recomputer(model, data_dir, device, sample_seed, form_only, task)
        event = merge_bundle(
            bundle, board, recomputer, sample=sample, further=_rerun_checks(recomputer, rerun), why=why, trust=trust,
            explanations=explanations, quiet=False,
        )  # fmt: skip
        _print_sample_seed(recomputer)
        typer.echo(f"{len(event.cells)} cells entered {board} as {event.trust}")
        last = read_ledger(Store(board))[-1]
        if last.action == "re-run":
            typer.echo(f"{len(last.cells)} of them are re-run")


def commit_seed(
    board: BoardUrl,
    out: Annotated[Path, typer.Option(help="File for the secret seed; keep it to yourself.")],
    why: Why = "",
    name: Who = "",
    debug: Debug = False,
) -> None:
    """Draw a secret seed and publish its commitment (sha256) in the board's ledger, before anyone submits.

    `verify --seed` draws instances from it; `reveal-seed` publishes it.
    """
    with reporting(debug):
        from ..leaderboards.submission.seed_commitment import commit, new_secret, write_secret

        secret = new_secret()
        write_secret(out, secret)
        try:
            event = commit(board, secret, name, why)
        except BaseException:
            out.unlink(missing_ok=True)  # no commitment was published, and the file would stop the next attempt
            raise
        typer.echo(event.commitment)
        typer.echo(f"the secret is in {out}", err=True)


def reveal_seed(
    board: BoardUrl,
    seed: Annotated[str, typer.Argument(metavar="SEED", help="The secret seed, or the file with it.")],
    why: Why = "",
    name: Who = "",
    debug: Debug = False,
) -> None:
    """Publish a secret seed in the ledger that has its commitment, so that anyone can repeat the checks made with it."""
    with reporting(debug):
        from ..leaderboards.submission.seed_commitment import read_secret, reveal

        typer.echo(reveal(board, read_secret(seed), name, why).secret)


def _score_recomputer(
    model: str | None, data_dir: str | None, device: str, sample_seed: int | None, form_only: bool, tasks: list[Path] | None
) -> ScoreRecomputer | None:
    """What recomputes scores; None where only the form is checked.

    Without a seed it draws one: a submitter must not know in advance what will be recomputed.

    Raises:
        UsageError: A task file is not there.
    """
    if missing := [file for file in tasks or () if not file.exists()]:
        raise UsageError(f"there is no task file {missing[0]}: name your copy of the file.")
    if form_only:
        return None
    from ..benchmark.verification.recompute_scores import ScoreRecomputer

    recomputer = ScoreRecomputer(model, data_dir, device, task_files=tuple(map(str, tasks or ())))
    return recomputer if sample_seed is None else replace(recomputer, seed=sample_seed)


def _print_sample_seed(recomputer: ScoreRecomputer | None) -> None:
    if recomputer is not None:
        typer.echo(f"sampled with --sample-seed {recomputer.seed}", err=True)


def _rerun_checks(recomputer: ScoreRecomputer | None, count: int) -> list[BundleCheck]:
    """The check that runs methods again on `count` instances; none where `count` is 0.

    Raises:
        UsageError: Only the form is to be checked.
    """
    if not count:
        return []
    if recomputer is None:
        raise UsageError("--rerun runs methods, and --form-only runs nothing: leave one out.")
    from ..benchmark.verification.rerun_methods import MethodRerunner
    from ..leaderboards.submission.check_rerun import RerunCheck

    return [RerunCheck(MethodRerunner(recomputer), count)]


def _secret_seed_checks(recomputer: ScoreRecomputer | None, seed: str | None, board: str | None, count: int) -> list[BundleCheck]:
    """The check that runs methods on `count` instances of each task drawn from a secret seed; none without a seed.

    Raises:
        UsageError: No board, only the form is to be checked, or the board has no commitment to this seed.
    """
    from ..leaderboards.submission.seed_commitment import opened, read_secret, revealed

    if seed is None:
        return []
    if recomputer is None or board is None:
        raise UsageError("--seed needs --board, whose ledger has the commitment, and cannot go with --form-only.")
    secret = read_secret(seed)
    typer.echo(f"the seed opens the commitment of {opened(board, secret).when}", err=True)
    since = revealed(board, secret)
    if since:
        typer.echo(f"the seed is public since {since}: later submissions may be tuned to it", err=True)
    from ..benchmark.verification.secret_seed_instances import SecretSeedRun
    from ..leaderboards.submission.check_secret_seed import SecretSeedCheck

    return [SecretSeedCheck(SecretSeedRun(recomputer, secret.seed, count))]


def _trust_levels(report: VerificationReport) -> str:
    """How many cells reached each level of trust, such as `4 cells are re-scored`."""
    from collections import Counter

    counts = Counter(report.level(record) for record in report.records)
    return ", ".join(f"{count} cells are {level}" for level, count in counts.items())
