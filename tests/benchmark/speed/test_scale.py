"""The cost of cells grows with their number, and not faster."""

from __future__ import annotations

import pytest

from flowgauge.benchmark.engine.plan import DEFAULT_MODEL as MODEL
from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.speed import scale
from flowgauge.benchmark.speed.scale import METHOD, TASK, measure_scale
from flowgauge.benchmark.store.atomic_files import Files
from flowgauge.benchmark.store.damage import find_damage
from flowgauge.benchmark.store.store import Store


@pytest.fixture
def small(monkeypatch):
    """The cells of tables are few, and Ray is not started."""
    for name, value in {
        "SHOWN_METHODS": ("random", "saliency"), "SHOWN_TASKS": ("sva/obj",), "SHOWN_METRICS": ("pointing",),
        "SHOWN_INSTANCES": 2,
        "find_spec": lambda name: None,
    }.items():  # fmt: skip
        monkeypatch.setattr(scale, name, value)


def test_every_row_is_measured(small, monkeypatch):
    commands = list[tuple[str, ...]]()
    monkeypatch.setattr(scale, "_flowgauge", lambda *command: commands.append(command))
    rows = list(measure_scale(3, 5, 4))
    assert [row.cells for row in rows] == [3, 3, 3, 5, 4, 4] and all(row.seconds > 0 for row in rows)
    assert [row.name for row in rows[-2:]] == ["`flowgauge show`", "`flowgauge leaderboard build`"]
    assert [command[0] for command in commands] == ["show", "leaderboard"]


def test_copied_cells_are_whole_and_of_further_models(small, tmp_path):
    store = str(tmp_path / "board")
    assert scale._board(store, 6) == 6
    records = Store(store).records()
    assert len(records) == 6 and sorted({record.model for record in records}) == [MODEL, f"{MODEL}-1", f"{MODEL}-2"]
    assert len({record.key["fingerprint"] for record in records}) == 3
    for record in records:
        cell = Store(store).find(record)
        assert not find_damage(cell) and len(next(iter(cell.parts())).gold) == 2


def test_folders_are_not_listed_again_for_every_cell(tmp_path, monkeypatch):
    listed, below = list[str](), Files.below

    def noted(files: Files, folder: str) -> object:
        listed.append(folder)
        return below(files, folder)

    monkeypatch.setattr(Files, "below", noted)

    def listings(cells: int) -> int:
        listed.clear()
        run(
            tasks=TASK,
            limit=1,
            methods=METHOD,
            metrics="none",
            seeds=list(range(cells)),
            device="cpu",
            store=str(tmp_path / str(cells)),
        )
        return sum(1 for folder in listed if folder.endswith(TASK))

    assert listings(2) == listings(6) == 1
