"""The functions of Python that compute cells, with results that a notebook shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..benchmark.engine.plan import Plan
from ..benchmark.engine.rescore import rescore as rescore_cells
from ..benchmark.engine.run import run as run_plan
from ..benchmark.external.importer import import_explanations as import_cell
from ..benchmark.store.results import RunRecords
from ..core.progress import in_notebook
from ..models.memory import DEFAULT
from .results import Results


def run(
    plan: Plan | None = None,
    *,
    quiet: bool | None = None,
    log: str | None = None,
    workers: int | None = None,
    devices: Sequence[str] = (),
    executor: str | None = None,
    **fields: Any,
) -> Results:
    """Runs a plan, or one built from fields: `run(tasks="sva/obj", methods=["attention"], limit=50)`.

    What the store has already is not computed again.

    Args:
        plan: What to run; None: what the fields say.
        quiet: Shows no progress bar. None: shows one in a notebook only.
        log: A tracker that gets the scores of every cell as it is finished: `trackio` or `mlflow`.
        workers: Processes that share the work, each with the plan's memory budget to itself; None: one a device, else this
            process alone. A script that asks for several must run under `if __name__ == "__main__":`.
        devices: Torch devices that workers are given in turn; none: the plan's.
        executor: Where workers are: `local`, on this machine, or `ray`, on a Ray cluster; None: `local`, where there are any.
        fields: Fields of a plan; they override the plan's.

    Returns:
        The records of all cells of the plan, also of those that were stored before.

    Raises:
        UsageError: Unknown names, unreadable files, a store that cannot be written; before anything is computed.
    """
    return _shown(run_plan(plan, quiet=_is_quiet(quiet), log=log, workers=workers, devices=devices, executor=executor, **fields))


def rescore(
    url: str,
    metrics: Sequence[str],
    *,
    model: str | None = None,
    data_dir: str | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    memory: str = DEFAULT,
    quiet: bool | None = None,
) -> Results:
    """Adds metrics to every explained cell of a store.

    Args:
        url: The store.
        metrics: Names or `file.py[:name]`, with settings after a colon.
        model: Where the model is now, if not where it was when the store was written.
        data_dir: Where the tasks' published data are now, if not where they were.
        device: A torch device.
        batch_size: Instances a batch; None: 32, fewer for long sentences.
        memory: What scoring may take at once above the loaded model, such as `2GiB`.
        quiet: Shows no progress bar. None: shows one in a notebook only.

    Returns:
        The records of all explained cells, with their earlier scores and the new ones.

    Raises:
        UsageError: Unknown metrics, no such store, a model or task that is not the one that was explained.
    """
    options = {"model": model, "data_dir": data_dir, "device": device, "batch_size": batch_size, "memory": memory}
    return _shown(rescore_cells(url, metrics, quiet=_is_quiet(quiet), **options))  # type: ignore[arg-type]


def import_explanations(
    folder: str | Path,
    store: str = "results",
    metrics: Sequence[str] | None = None,
    *,
    model: str | None = None,
    data_dir: str | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    quiet: bool | None = None,
) -> Results:
    """Stores explanations that were computed elsewhere as a cell, and scores it with the code that scores every other cell.

    Metrics whose budget is matched to a method look for that method's cell in the store.

    Args:
        folder: The folder that `write_explanations` wrote.
        store: The store that the cell goes into.
        metrics: Names or `file.py[:name]`, with settings after a colon; empty: the explanations are only stored. None: what their
            views allow.
        model: Where the model is, if not under its name in the manifest.
        data_dir: Folder of published data, for tasks that read them.
        device: A torch device.
        batch_size: Instances a batch; None: 32, fewer for long sentences.
        quiet: Shows no progress bar. None: shows one in a notebook only.

    Returns:
        The record of the cell.

    Raises:
        UsageError: The folder cannot be read, or does not explain what the task asks: which instance, and what was expected.
    """
    options = {"model": model, "data_dir": data_dir, "device": device, "batch_size": batch_size}
    return _shown(import_cell(folder, store, metrics, quiet=_is_quiet(quiet), **options))  # type: ignore[arg-type]


def _shown(records: RunRecords) -> Results:
    return Results(records.store, records.records)


def _is_quiet(quiet: bool | None) -> bool:
    return not in_notebook() if quiet is None else quiet
