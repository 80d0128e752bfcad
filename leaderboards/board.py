"""A board: a store whose cells entered through verified bundles, with a ledger that says so. No torch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import fsspec

from ..benchmark.cell import Cell
from ..benchmark.record import Record
from ..benchmark.store import Store
from ..core.errors import UsageError
from .bundle import MANIFEST
from .ledger import Event, add_event, read_ledger, trusted
from .verify import TRUST, Checked, Further, Rescore, Trust, rejected, verify


def merge(
    bundle: str | Path,
    url: str,
    rescore: Rescore | None = None,
    *,
    sample: int = 20,
    further: Sequence[Further] = (),
    why: str = "",
    trust: Trust | None = None,
) -> Event:
    """Verifies a bundle and adds its cells to a board.

    Cells that were re-run here, where others of the bundle were not, are raised to `re-run` by an event of their own.

    Args:
        bundle: Its folder.
        url: The board's store; made if it is not there.
        rescore: Recomputes scores; None: the cells enter as well-formed.
        sample: Instances that are recomputed.
        further: Checks that follow, as for `verify`.
        why: A line for the ledger.
        trust: What a maintainer vouches for, if more than was verified here (`re-run`, `maintained`).

    Raises:
        BadBundle: It has problems.
        UsageError: A cell is there already, with other content and no less trust.
    """
    checked = verify(bundle, rescore, sample, further)
    rejected(checked)
    board, source = Store(url), Store(str(Path(bundle) / "cells"))
    level = max(checked.trust, trust or checked.trust, key=TRUST.index)
    known = trusted(read_ledger(board))
    names = {name_of(record): record for record in checked.records}
    raised = [name for name, record in names.items() if TRUST.index(checked.level(record)) > TRUST.index(level)]
    for name, record in names.items():
        there = board.find(record).record()
        if (
            there is not None
            and there.files != record.files
            and TRUST.index(known.get(name, "self-reported")) >= TRUST.index("re-run" if name in raised else level)
        ):
            raise UsageError(
                f"{name} is on the board already with other numbers, as {known.get(name, 'self-reported')}: `leave` first."
            )
    for record in names.values():
        _copy(source.find(record), board.find(record))
    _copy_fits(checked, Path(bundle), board)
    digest = hashlib.sha256((Path(bundle) / MANIFEST).read_bytes()).hexdigest()
    event = add_event(board, "entered", list(names), level, who=checked.manifest.submitter, why=why, bundle=digest)
    if raised:
        add_event(board, "re-run", raised, "re-run", why="the method itself was run on a sample", bundle=digest)
    return event


def leave(url: str, cells: Sequence[str], why: str, who: str = "") -> Event:
    """Takes cells off a board; the ledger keeps their names and the reason.

    Args:
        url: The board.
        cells: `<model>/<task>/<method>-<12 hex>`.
        why: The reason, for everyone to read.
        who: Who says so.

    Raises:
        UsageError: No such cell, or no reason.
    """
    board = Store(url)
    if not why.strip():
        raise UsageError("say why they leave: --why '...'.")
    there = {name_of(record): record for record in board.records()}
    for name in cells:
        if name not in there:
            raise UsageError(f"the board has no cell {name!r}; `flowgauge leaderboard ledger {url}` shows what it has.")
    for name in cells:
        board.find(there[name]).remove()
    return add_event(board, "left", cells, "self-reported", who=who, why=why)


def rescored(url: str, records: Sequence[Record], why: str) -> list[Event]:
    """Notes that cells were scored again, one event a level of trust, which stays what it was."""
    board = Store(url)
    known = trusted(read_ledger(board))
    levels: dict[Trust, list[str]] = {}
    for record in records:
        levels.setdefault(known.get(name_of(record), "self-reported"), []).append(name_of(record))
    return [add_event(board, "re-scored", cells, level, why=why) for level, cells in levels.items()]


def name_of(record: Record) -> str:
    """`<model>/<task>/<cell>` as the ledger has it."""
    return f"{record.model}/{record.task}/{record.folder}"


def publish(site: str | Path, url: str) -> int:
    """Copies a built site to any fsspec target: a folder, `s3://bucket/prefix`, `hf://datasets/owner/name`; returns its files.

    Raises:
        UsageError: No site there, or a target that cannot be written.
    """
    site = Path(site)
    if not (site / "index.html").is_file():
        raise UsageError(f"{site} has no index.html: `flowgauge leaderboard build STORE --out {site}` makes one.")
    files = sorted(path for path in site.rglob("*") if path.is_file() and not path.is_symlink())
    try:
        fs, root = fsspec.core.url_to_fs(url)
        for path in files:
            target = f"{root.rstrip('/')}/{path.relative_to(site).as_posix()}"
            fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            fs.pipe_file(target, path.read_bytes())
    except (ImportError, ValueError, OSError) as error:
        raise UsageError(f"cannot publish to {url!r}: {error}") from error
    return len(files)


def _copy(source: Cell, target: Cell) -> None:
    """A cell's files, its record last."""
    record = source.record()
    assert record is not None
    if target.record() is not None:
        target.remove()
    for name in [*record.files, "record.json"]:
        data = source.files.read(f"{source.path}/{name}")
        assert data is not None
        target.files.write(f"{target.path}/{name}", data)


def _copy_fits(checked: Checked, bundle: Path, board: Store) -> None:
    for name in checked.manifest.files:
        if name.startswith("cells/fits/"):
            board.files.write(f"{board.files.root}/{name.removeprefix('cells/')}", (bundle / name).read_bytes())
