"""A board: a store whose cells entered through verified bundles, with a ledger that says so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import fsspec

from ...benchmark.store.atomic_files import sweep, write_file
from ...benchmark.store.cell import RECORD, Cell
from ...benchmark.store.listing import LISTING, check_listing
from ...benchmark.store.record import Record
from ...benchmark.store.store import Store
from ...benchmark.store.sums import DamagedFile
from ...core.errors import UsageError
from .bundle import FIT, MANIFEST
from .ledger import Event, add_event, read_ledger, trusted
from .trust import TRUST, Trust
from .verify import BundleCheck, RecomputeScore, VerificationReport, raise_on_problems, verify


def merge(
    bundle: str | Path,
    url: str,
    rescore: RecomputeScore | None = None,
    *,
    sample: int = 20,
    further: Sequence[BundleCheck] = (),
    why: str = "",
    trust: Trust | None = None,
    explanations: int | None = None,
    quiet: bool = True,
) -> Event:
    """Verifies a bundle and adds its cells to a board.

    Cells that were re-run here, where others of the bundle were not, are raised to `re-run` by an event of their own.

    Args:
        bundle: Its folder.
        url: The board's store; created if it does not exist.
        rescore: Recomputes scores; None: the cells enter as well-formed.
        sample: Instances that are recomputed.
        further: Checks that follow, as for `verify`.
        why: Reason in words, for the ledger.
        trust: What a maintainer vouches for, if more than was verified here (`re-run`, `maintained`).
        explanations: Instances of each cell whose explanations the board keeps, in whole files, and no probes of methods that
            were trained; None: all. Everything is verified before; the records go on listing the explanations that are left out,
            with their sums.
        quiet: Whether no progress bar is shown.

    Returns:
        The event `entered`, as it stands in the ledger.

    Raises:
        BadBundle: The bundle has problems.
        UsageError: The board has one of its cells already, with other content and no less trust; or all of them, with more trust.
    """
    checked = verify(bundle, rescore, sample, further, quiet)
    raise_on_problems(checked)
    board, source = Store(url), Store(str(Path(bundle) / "cells"))
    level = max(checked.trust, trust or checked.trust, key=TRUST.index)
    known = trusted(read_ledger(board))
    cells = {name_of(record): record for record in checked.records}
    levels = {name: max(level, checked.level(record), key=TRUST.index) for name, record in cells.items()}
    names = {name: record for name, record in cells.items() if _enters(board, known, record, levels[name])}
    if not names:
        raise UsageError(
            f"the board has every cell of {bundle} already, and trusts each more than this verification would: "
            "nothing is left to do."
        )
    raised = [name for name in names if TRUST.index(levels[name]) > TRUST.index(level)]
    for record in names.values():
        _copy(source.find(record), board.find(record), explanations)
    _copy_fits(checked, Path(bundle), board, explanations is None)
    digest = hashlib.sha256((Path(bundle) / MANIFEST).read_bytes()).hexdigest()
    sums = {**record_sums(board, names.values()), **_training_sums(checked, board)}
    event = add_event(
        board, "entered", list(names), level, who=checked.manifest.submitter, why=why, bundle=digest, sums=sums,
        explanations=explanations,
    )  # fmt: skip
    if raised:
        add_event(board, "re-run", raised, "re-run", why="the method itself was run on a sample", bundle=digest)
    return event


def _enters(board: Store, known: Mapping[str, Trust], record: Record, level: Trust) -> bool:
    """Whether a cell is to be written: not where the board has the same cell with more trust, which stays justified.

    Raises:
        UsageError: The board has the cell with other content and no less trust.
    """
    there = board.find(record).record()
    if there is None:
        return True
    then = known.get(name_of(there), "self-reported")
    if there.model_dump_json() == record.model_dump_json():
        return TRUST.index(then) <= TRUST.index(level)
    if TRUST.index(then) >= TRUST.index(level):
        raise UsageError(
            f"the board has {name_of(record)} already with other numbers, as {then}: `flowgauge leaderboard withdraw` it first."
        )
    return True


def withdraw(url: str, cells: Sequence[str], why: str, who: str = "") -> Event:
    """Takes cells off a board; the ledger keeps their names and the reason.

    Args:
        url: The board.
        cells: `<model>/<task>/<method>-<12 hex>`, or patterns of such names (`*/sva/obj/*`).
        why: The reason, for everyone to read.
        who: Whoever withdraws them.

    Returns:
        The event as it stands in the ledger, where its action is called `left`.

    Raises:
        UsageError: The board has no such cell, or no reason is given.
    """
    board = Store(url)
    if not why.strip():
        raise UsageError("say why the cells are withdrawn: --why '...'.")
    there = {name_of(record): record for record in board.records()}
    leaving: dict[str, Record] = {}
    for pattern in cells:
        matching = {name: record for name, record in there.items() if fnmatchcase(name, pattern)}
        if not matching:
            raise UsageError(f"the board has no cell {pattern!r}; `flowgauge leaderboard ledger {url}` shows what it has.")
        leaving |= matching
    # The ledger comes first: cells that are still there after a stop are in no event, and are withdrawn by the same command.
    event = add_event(board, "left", list(leaving), "self-reported", who=who, why=why)
    for record in leaving.values():
        board.find(record).remove()
    return event


def rescored(url: str, records: Sequence[Record], why: str) -> list[Event]:
    """Adds to the ledger that cells were scored again, one event a level of trust, which stays as it is.

    Args:
        url: The board.
        records: Cells that were scored again; those that are not done are left out.
        why: Reason in words.
    """
    board = Store(url)
    known = trusted(read_ledger(board))
    levels: dict[Trust, list[Record]] = {}
    for record in (record for record in records if record.status == "done"):
        levels.setdefault(known.get(name_of(record), "self-reported"), []).append(record)
    return [
        add_event(board, "re-scored", [name_of(record) for record in cells], level, why=why, sums=record_sums(board, cells))
        for level, cells in levels.items()
    ]


def record_sums(board: Store, records: Iterable[Record]) -> dict[str, str]:
    """Sha256 of the records of some cells as a board has them, by path below the board.

    Args:
        board: The board's store.
        records: Their records.
    """
    return _sums(board, [f"{board.find(record).path}/{RECORD}" for record in records])


def _training_sums(checked: VerificationReport, board: Store) -> dict[str, str]:
    names = [name.removeprefix("cells/") for name in checked.manifest.files if name.endswith(f"/{FIT[0]}")]
    return _sums(board, [f"{board.files.root}/{name}" for name in names])


def _sums(board: Store, paths: Iterable[str]) -> dict[str, str]:
    """Sha256 of those files of a board that are there, by path below the board."""
    data = {path.removeprefix(f"{board.files.root}/"): board.files.read(path) for path in paths}
    return {name: hashlib.sha256(text).hexdigest() for name, text in data.items() if text is not None}


def name_of(record: Record) -> str:
    """`<model>/<task>/<cell>` as the ledger has it."""
    return f"{record.model}/{record.task}/{record.folder}"


def publish(site: str | Path, url: str) -> int:
    """Copies a built site to any fsspec target: a folder, `s3://bucket/prefix`, `hf://datasets/owner/name`.

    A repository on the Hub gets one commit: it refuses the hundreds that one a file would be.

    Args:
        site: Folder that `build` wrote.
        url: The target.

    Returns:
        How many files were copied.

    Raises:
        UsageError: The folder has no whole site, or the target cannot be written.
    """
    site = Path(site)
    if not (site / "index.html").is_file():
        raise UsageError(f"{site} has no index.html: `flowgauge leaderboard build STORE --out {site}` builds one.")
    try:
        files = {name: site / name for name in (*check_listing(site), LISTING)}
    except DamagedFile as error:
        raise UsageError(
            f"the site is not whole: {error} `flowgauge leaderboard build STORE --out {site}` builds it again."
        ) from error
    try:
        fs, root = fsspec.core.url_to_fs(url)
        if url.startswith("hf://") and _commit_to_hub(fs.resolve_path(root), files):
            return len(files)
        for name, path in files.items():
            target = f"{root.rstrip('/')}/{name}"
            if "file" in fs.protocol:
                sweep(str(Path(target).parent))
                write_file(Path(target), path.read_bytes())
            else:
                fs.makedirs(target.rpartition("/")[0], exist_ok=True)
                fs.pipe_file(target, path.read_bytes())
    except OSError as error:
        raise UsageError(
            f"cannot publish to {url!r}: {error.strerror or error}; the site in {site} is whole, and the same command goes on."
        ) from error
    except (ImportError, ValueError) as error:
        raise UsageError(f"cannot publish to {url!r}: {error}") from error
    return len(files)


def _commit_to_hub(path: Any, files: Mapping[str, Path]) -> bool:
    """Adds files below a path of a repository on the Hub in one commit; False where the path is in no repository."""
    from huggingface_hub import CommitOperationAdd, HfApi

    if not hasattr(path, "repo_id"):
        return False
    folder = f"{path.path_in_repo.strip('/')}/".lstrip("/")
    operations = [CommitOperationAdd(f"{folder}{name}", file) for name, file in files.items()]
    HfApi().create_commit(
        path.repo_id, operations, repo_type=path.repo_type, revision=path.revision, commit_message="Publish a flowgauge board"
    )
    return True


def _copy(source: Cell, target: Cell, explanations: int | None) -> None:
    """Copies a cell's files, its record last; explanations of so many instances or a few more."""
    record = source.record()
    assert record is not None
    if target.record() is not None:
        target.remove()
    parts = source.part_names()
    first = len(parts) if explanations is None else sum(int(Path(name).stem) < explanations for name in parts)
    left_out = set(parts[first:])
    for name in [*(name for name in record.files if name not in left_out), "record.json"]:
        data = source.files.read(f"{source.path}/{name}")
        assert data is not None
        target.files.write(f"{target.path}/{name}", data)


def _copy_fits(checked: VerificationReport, bundle: Path, board: Store, probes: bool) -> None:
    """Copies trainings that the board does not have, of models and perhaps of methods; cells of others rest on those it has."""
    names = [name for name in checked.manifest.files if name.startswith("cells/fits/")]
    if not probes:
        names = [name for name in names if "model" in json.loads((bundle / name).with_name("fit.json").read_bytes())["key"]]
    targets = {name: f"{board.files.root}/{name.removeprefix('cells/')}" for name in names}
    for name in [name for name, target in targets.items() if board.files.read(target) is None]:
        board.files.write(targets[name], (bundle / name).read_bytes())
