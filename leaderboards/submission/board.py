"""A board: a store whose cells entered through verified bundles, with a ledger that says so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import fsspec

from ...benchmark.store.atomic_files import sweep, write_file
from ...benchmark.store.cell import RECORD, Cell
from ...benchmark.store.listing import LISTING, check_listing
from ...benchmark.store.record import Record
from ...benchmark.store.store import Store
from ...benchmark.store.sums import DamagedFile
from ...core.errors import UsageError
from .bundle import FIT, BundleCopy, BundleManifest
from .ledger import Event, add_event, read_ledger, trusted
from .trust import TRUST, Trust, weakest
from .verify import SAMPLE, BundleCheck, Recompute, raise_on_problems, verified

RAISED: dict[Literal["re-scored", "re-run"], str] = {
    "re-scored": "a sample of its scores was recomputed", "re-run": "the method itself was run on a sample",
}  # fmt: skip
"""Levels that single cells of a bundle reach beyond the others, with the reason for the ledger."""


def merge(
    bundle: str | Path,
    url: str,
    rescore: Recompute | None = None,
    *,
    sample: int = SAMPLE,
    further: Sequence[BundleCheck] = (),
    why: str = "",
    trust: Trust | None = None,
    explanations: int | None = None,
    quiet: bool = True,
) -> Event:
    """Verifies a bundle and adds its cells to a board.

    Cells that reached a higher level here than others of the bundle are raised to it by an event of their own. The bundle is
    copied once, and verified and merged from the copy: what was verified is what enters.

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
    board = Store(url)
    with verified(bundle, rescore, sample, further, quiet) as (copy, checked):
        raise_on_problems(checked)
        known = trusted(read_ledger(board))
        cells = {name_of(record): record for record in checked.records}
        levels = {name: max(checked.level(record), trust or "self-reported", key=TRUST.index) for name, record in cells.items()}
        entering = {name: record for name, record in cells.items() if _enters(board, known, record, levels[name])}
        if not entering:
            raise UsageError(
                f"the board has every cell of {bundle} already, and trusts each more than this verification would: "
                "nothing is left to do."
            )
        for record in entering.values():
            _copy(copy, board.find(record), explanations)
        _copy_fits(copy, board, explanations is None)
    lowest = weakest([levels[name] for name in entering])
    sums = {**record_sums(board, entering.values()), **_training_sums(copy.manifest, board)}
    event = add_event(
        board, "entered", list(entering), lowest, who=checked.manifest.submitter, why=why, bundle=copy.digest, sums=sums,
        explanations=explanations,
    )  # fmt: skip
    for action, reason in RAISED.items():
        if raised := [name for name in entering if levels[name] == action and action != lowest]:
            add_event(board, action, raised, action, why=reason, bundle=copy.digest)
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


def _training_sums(manifest: BundleManifest, board: Store) -> dict[str, str]:
    names = [name.removeprefix("cells/") for name in manifest.files if name.endswith(f"/{FIT[0]}")]
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


def _copy(bundle: BundleCopy, target: Cell, explanations: int | None) -> None:
    """Copies a cell's files as the manifest names them, its record last; explanations of so many instances or a few more."""
    target.sweep()
    target.files.sweep(target.files.root)
    if target.record() is not None:
        target.remove()
    home = f"cells{target.path.removeprefix(target.files.root)}/"
    names = sorted(name for name in bundle.manifest.files if name.startswith(home) and not name.endswith(f"/{RECORD}"))
    parts = [name for name in names if name.startswith(f"{home}explanations/")]
    first = len(parts) if explanations is None else sum(int(Path(name).stem) < explanations for name in parts)
    for name in [*(name for name in names if name not in parts[first:]), f"{home}{RECORD}"]:
        target.files.write(f"{target.path}/{name.removeprefix(home)}", (bundle.folder / name).read_bytes())


def _copy_fits(bundle: BundleCopy, board: Store, probes: bool) -> None:
    """Copies trainings that the board does not have, of models and perhaps of methods; cells of others rest on those it has."""
    names = [name for name in bundle.manifest.files if name.startswith("cells/fits/") and (bundle.folder / name).is_file()]
    if not probes:
        fit_of = {name: (bundle.folder / name).with_name(FIT[0]) for name in names}
        names = [name for name in names if "model" in json.loads(fit_of[name].read_bytes())["key"]]
    targets = {name: f"{board.files.root}/{name.removeprefix('cells/')}" for name in names}
    for name in [name for name, target in targets.items() if board.files.read(target) is None]:
        board.files.write(targets[name], (bundle.folder / name).read_bytes())
