"""Commands that are killed at random moments and repeated, in forks of one process that has imported everything.

`python -m tests.leaderboards.killing MODEL DATA FOLDER KILLS` prints, as JSON, what was left of each command.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import transformers

from flowgauge.benchmark.engine import worker
from flowgauge.benchmark.engine.explain import explain_batch
from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.fine_tuning.fine_tune import train
from flowgauge.benchmark.store.listing import check_listing
from flowgauge.benchmark.store.store import Store
from flowgauge.benchmark.store.sums import DamagedFile, file_sum
from flowgauge.leaderboards.site.build import build
from flowgauge.leaderboards.submission.board import merge, name_of
from flowgauge.leaderboards.submission.bundle import pack
from flowgauge.leaderboards.submission.ledger import read_ledger, trusted

PLUGINS = Path(__file__).parents[1] / "benchmark" / "plugins.py"
BATCH_SIZES = (4, 3, 5, 2)


def slow(*arguments: Any) -> Any:
    """Explains a batch in a time that a kill can meet."""
    time.sleep(0.02)
    return explain_batch(*arguments)


def run_plan(model: str, store: Path, batch_size: int = 4) -> None:
    patch.object(worker, "explain_batch", slow).start()
    methods, metrics = ([f"{PLUGINS}:{name}" for name in names] for names in (("by-position", "drawn"), ("token-sum",)))
    run(
        model=model, tasks="sva/obj", methods=methods, metrics=metrics, limit=12, batch_size=batch_size, device="cpu",
        store=str(store),
    )  # fmt: skip


def fine_tune(model: str, data: str, out: Path) -> None:
    settings: dict[str, Any] = {"epochs": 1, "lr": 1e-2, "batch_size": 4, "max_length": 40, "device": "cpu"}
    train(model, "sst2", out, data_dir=data, **settings)


def forked(action: Callable[[], object]) -> int:
    """The number of a process that does something and ends."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            action()
            status = 0
        except BaseException:
            traceback.print_exc()
        os._exit(status)
    return child


def finished(child: int) -> float:
    """Waits for a process that has to end well; returns the seconds that this took."""
    started = time.monotonic()
    status = os.waitpid(child, 0)[1]
    assert status == 0, f"a process ended with {status}"
    return time.monotonic() - started


def kill_at_random(action: Callable[[int], object], target: Path, kills: int, check: Callable[[], object] = lambda: None) -> int:
    """Kills an action at random moments; where it ends before, it starts anew in an empty place. At the end it ends well.

    Returns:
        How often it was killed.
    """
    span = finished(forked(partial(action, 0)))
    shutil.rmtree(target)
    generator, killed, attempt = random.Random(kills), 0, 0
    while killed < kills and attempt < 10 * kills:
        attempt += 1
        child = forked(partial(action, attempt))
        time.sleep(generator.uniform(0, 1.1 * span))
        if os.waitpid(child, os.WNOHANG)[0]:
            shutil.rmtree(target)
            continue
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        killed += 1
        check()
    finished(forked(partial(action, attempt + 1)))
    return killed


def temporary(folder: Path) -> list[str]:
    """Temporary files below a folder, and what is left beside its contents."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".*.tmp"))


def cells(store: Path) -> dict[str, Any]:
    """Rows, counts and costs of every cell of a store."""
    found = {}
    for record in Store(str(store)).records():
        cell = Store(str(store)).find(record)
        stored = [sentence.id for part in cell.parts() for sentence in part.sentences]
        rows = {
            metric: cell.rows(metric)
            .sort_values(["instance", "variant", "draw"])[["instance", "variant", "value"]]
            .values.tolist()
            for metric in record.scores
        }
        explanations = record.cost.explanations if record.cost else 0
        found[record.folder] = [record.status, record.instances, len(stored), len(set(stored)), explanations, rows]
    return found


def whole_or_absent(site: Path) -> None:
    if site.exists():
        try:
            check_listing(site)
        except DamagedFile as error:
            raise AssertionError(f"a kill left half a site: {error}") from error


def main(model: str, data: str, folder: Path, kills: int) -> dict[str, Any]:
    """Every command, undisturbed and killed."""
    whole, killed, shared = folder / "whole", folder / "killed", folder / "shared"
    finished(forked(partial(run_plan, model, whole)))
    said: dict[str, Any] = {"whole": cells(whole)}
    said["run"] = kill_at_random(lambda attempt: run_plan(model, killed, BATCH_SIZES[attempt % len(BATCH_SIZES)]), killed, kills)
    said["killed"] = cells(killed)
    for child in [forked(partial(run_plan, model, shared)) for _ in range(4)]:
        finished(child)
    said["shared"] = cells(shared)

    out, straight = folder / "models" / "killed", folder / "models" / "straight"
    finished(forked(partial(fine_tune, model, data, straight)))
    said["train"] = kill_at_random(lambda _: fine_tune(model, data, out), out, kills)
    said["weights"] = [file_sum(path / "model.safetensors") for path in (straight, out)]
    said["models"] = sorted(path.name for path in out.parent.iterdir())

    bundle, board = folder / "bundle", folder / "board"
    pack(str(whole), bundle, "a tester")
    said["merge"] = kill_at_random(lambda _: merge(bundle, str(board)), board, kills)
    said["board"] = cells(board)
    events = trusted(read_ledger(Store(str(board))))
    said["ledger"] = sorted(events) == sorted(name_of(record) for record in Store(str(board)).records())

    site = folder / "sites" / "site"
    said["build"] = kill_at_random(lambda _: build([str(board)], site, instances=2), site, kills, partial(whole_or_absent, site))
    said["site"] = len(check_listing(site))
    said["sites"] = [path.name for path in site.parent.iterdir()]
    said["temporary"] = temporary(folder)
    return said


if __name__ == "__main__":
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    print(json.dumps(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))))
