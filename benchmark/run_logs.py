"""Sends the scores of every cell to an experiment tracker while a run goes on: trackio or MLflow, each an extra."""

from __future__ import annotations

import contextlib
import logging
import math
import re
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from ..core.errors import UnknownName, UsageError, how_to_install, in_words
from .store.record import Record

log = logging.getLogger(__name__)
PROJECT = "flowgauge"
"""The project (trackio) or experiment (MLflow) that cells go to."""
Report = Callable[[Record], None]


def run_log(tracker: str) -> Report:
    """A function that sends a record to a tracker, one run a cell.

    Where it goes is a setting of the tracker (`MLFLOW_TRACKING_URI`, `TRACKIO_DIR`, ...). If it cannot be sent, one warning says
    so, and the run of the plan goes on: the store has every number.

    Args:
        tracker: `trackio` or `mlflow`.

    Raises:
        UnknownName: There is no such tracker.
        UsageError: The tracker is not installed.
    """
    if tracker not in TRACKERS:
        raise UnknownName("tracker", tracker, TRACKERS)
    try:
        module = import_module(tracker)
    except ImportError as error:
        raise UsageError(f"--log {tracker} needs the package {tracker}: {how_to_install(tracker)}.") from error
    send, failed = TRACKERS[tracker], False

    def report(record: Record) -> None:
        nonlocal failed
        if failed:
            return
        try:
            with contextlib.redirect_stdout(sys.stderr):  # what trackers print is no result
                send(module, record)
        except Exception as error:
            failed = True
            log.warning("%s took no scores, and gets no further ones: %s", tracker, in_words(error))

    return report


def name_of(record: Record) -> str:
    """What a tracker calls the run of a cell."""
    return f"{record.model} {record.task} {record.folder}"


def conditions(record: Record) -> dict[str, Any]:
    """What a cell is of: model, task, method, settings, seed and so on."""
    settings = {f"settings.{name}": value for name, value in record.settings.items()}
    return {
        "model": record.model, "task": record.task, "method": record.method, "seed": record.seed, "cell": record.cell,
        "status": record.status, **settings,
    }  # fmt: skip


def numbers(record: Record) -> dict[str, float]:
    """Every defined aggregate of a cell with the ends of its interval, by `metric/variant`, and what explaining took."""
    values = {"instances": float(record.instances)}
    if record.cost:
        values["seconds"] = record.cost.seconds
    for score in record.scores.values():
        for aggregate in score.aggregates:
            name = f"{score.name}/{aggregate.variant}"
            values |= {name: aggregate.value, f"{name}/low": aggregate.low, f"{name}/high": aggregate.high}
    return {name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)}


def _to_trackio(trackio: Any, record: Record) -> None:
    config, quiet = conditions(record), {"auto_log_gpu": False, "auto_log_cpu": False, "embed": False}
    trackio.init(project=PROJECT, name=name_of(record), config=config, **quiet)
    try:
        trackio.log(numbers(record))
    finally:
        trackio.finish()


def _to_mlflow(mlflow: Any, record: Record) -> None:
    mlflow.set_experiment(PROJECT)
    with mlflow.start_run(run_name=name_of(record)):
        mlflow.log_params(conditions(record))
        mlflow.log_metrics({re.sub(r"[^\w./ :-]", "_", name): value for name, value in numbers(record).items()})


TRACKERS = {"trackio": _to_trackio, "mlflow": _to_mlflow}
