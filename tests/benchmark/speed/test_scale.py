"""The cost of cells grows with their number, and not faster."""

from __future__ import annotations

from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.speed.scale import METHOD, TASK, measure_scale
from flowgauge.benchmark.store.atomic_files import Files


def test_every_row_is_measured():
    rows = list(measure_scale(3, 5))
    assert [row.cells for row in rows] == [3, 3, 3, 5] and all(row.seconds > 0 for row in rows)


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
