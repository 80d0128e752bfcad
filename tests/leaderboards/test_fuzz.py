"""Single changed bytes in every kind of stored file: each is noticed, or changes nothing that is read."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from flowgauge.benchmark.fine_tuning import fine_tuned_model
from flowgauge.benchmark.loading.trained_weights import TrackedTraining, TrainedWeights
from flowgauge.benchmark.store.explanation_file import same
from flowgauge.benchmark.store.listing import check_listing, write_listing
from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import FlowgaugeError
from flowgauge.leaderboards.submission.board import merge
from flowgauge.leaderboards.submission.bundle import private_copy
from flowgauge.leaderboards.submission.check_board import check_board

CHANGES = int(os.environ.get("FLOWGAUGE_FUZZ", "60"))
"""Changed bytes in all; 500 before a release."""


def explanations(store: str) -> list[Any]:
    """Everything that the explanations of a store say."""
    cells = [Store(store).find(record) for record in Store(store).records()]
    return [(part.sentences, part.cost, [*part.gold, *part.predicted]) for cell in cells for part in cell.parts()]


def rows(store: str) -> list[Any]:
    return [
        [tuple(map(repr, row)) for row in Store(store).find(record).rows(metric).itertuples()]
        for record in Store(store).records()
        for metric in record.scores
    ]


def board_state(board: str) -> Any:
    problems = check_board(board).problems
    if problems:
        raise FlowgaugeError(problems[0])
    return [record.model_dump() for record in Store(board).records()]


def bundle_state(bundle: Path) -> Any:
    with private_copy(bundle) as copy:
        return copy.manifest.files


def equal(one: Any, two: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(equal(value, two[name]) for name, value in one.items())
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(equal(a, b) for a, b in zip(one, two, strict=True))
    return same(one, two) if hasattr(one, "draws") and hasattr(one, "tokens") else bool(one == two or (one != one and two != two))


def training(folder: Path) -> tuple[TrainedWeights, str]:
    """A finished training, and one that has a checkpoint, in a store."""
    fits = TrainedWeights(str(folder))
    fits.weights("m", {"a": 1}, 0, lambda session: {"mean": torch.arange(8.0)})
    going = fits.folder("m", {"a": 2})
    session = TrackedTraining(fits, going, "m", {"a": 2}, 0, curve=[{"step": 1.0, "loss": 0.5}])
    session.checkpoint({"mean": torch.arange(4.0)})
    return fits, going


@pytest.fixture(scope="module")
def kinds(honest: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[Path], Callable[[], Any]]]:
    """Files of each kind, and what reads everything in them that matters."""
    home = tmp_path_factory.mktemp("fuzz")
    for name in ("store", "bundle"):
        shutil.copytree(honest.parent / name, home / name)
    store, board, bundle = str(home / "store"), str(home / "board"), home / "bundle"
    merge(bundle, board)
    fits, going = training(home / "fits")
    done = fits.folder("m", {"a": 1})
    checkpoint, site = home / "checkpoint-5", home / "site"
    for folder in (checkpoint, site):
        folder.mkdir()
        (folder / "optimizer.pt").write_bytes(random.Random(0).randbytes(500))
        write_listing(folder)
    config = fine_tuned_model.FineTuningConfig("bert", "ab", "sst2", 1, "11", "22", None, 3, 5e-5, 32, 128, 0)
    fine_tuned_model._write(home / "training.json", {"recipe": asdict(config)})

    def resumed() -> Any:
        session = TrackedTraining(fits, going, "m", {"a": 2}, 0)
        return session.resume(), session.curve

    def files(folder: Path) -> Any:
        check_listing(folder)
        return (folder / "optimizer.pt").read_bytes()

    return {
        "record": ([*Path(store).rglob("record.json")], lambda: [record.model_dump() for record in Store(store).records()]),
        "explanations": ([*Path(store).rglob("*.safetensors")], lambda: explanations(store)),
        "scores": ([*Path(store).rglob("*.parquet")], lambda: rows(store)),
        "fit": ([Path(done, "fit.json")], lambda: fits.read(done)),
        "weights": ([Path(done, "weights.safetensors")], lambda: fits.stored(done)),
        "checkpoint": ([Path(going, "checkpoint.safetensors")], resumed),
        "fine-tuning": ([*checkpoint.iterdir()], lambda: files(checkpoint)),
        "site": ([*site.iterdir()], lambda: files(site)),
        "training": ([home / "training.json"], lambda: fine_tuned_model._read(home / "training.json")),
        "bundle": ([path for path in bundle.rglob("*") if path.is_file()], lambda: bundle_state(bundle)),
        "board": (
            [path for path in Path(board).rglob("*") if path.is_file() and not path.name.startswith(".")],
            lambda: board_state(board),
        ),
    }


def test_every_changed_byte_is_noticed_or_harmless(kinds: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    generator, silent = random.Random(CHANGES), []
    before = {kind: read() for kind, (_, read) in kinds.items()}
    for change in range(CHANGES):
        kind = list(kinds)[change % len(kinds)]
        paths, read = kinds[kind]
        path = generator.choice(sorted(paths))
        data = path.read_bytes()
        place, value = generator.randrange(len(data)), generator.randrange(1, 256)
        path.write_bytes(data[:place] + bytes([data[place] ^ value]) + data[place + 1 :])
        caplog.clear()
        try:
            noticed = not equal(read(), before[kind]) and "damaged" in caplog.text
            if not noticed and not equal(read(), before[kind]):
                silent.append(f"{kind}: byte {place} of {path} changed by {value}")
        except FlowgaugeError as error:
            assert "\n" not in str(error) and "Error" not in str(error), error
        path.write_bytes(data)
    assert silent == []
    assert all(equal(read(), before[kind]) for kind, (_, read) in kinds.items())
