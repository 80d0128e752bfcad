"""The dry run: it names every cell and what is left of it, estimates from what was measured, and writes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

import flowgauge
from flowgauge.benchmark.catalogue.costs import cost_table
from flowgauge.benchmark.engine.plan import Plan
from flowgauge.benchmark.speed import estimate
from flowgauge.benchmark.speed.estimate import EXPLAIN, SCORE, STORED, in_time, preview

MINE = 'import flowgauge\n\n\n@flowgauge.method("mine", gives="tokens")\ndef mine(model, batch):\n    "Fails."\n    1 / 0\n'


def state_of(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_nothing_is_written_and_every_cell_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate._Estimates, "_probe", lambda self: 2.0)
    (tmp_path / "mine.py").write_text(MINE)
    store = str(tmp_path / "store")
    methods = ["attention", "lime:samples=9", "random", str(tmp_path / "mine.py")]
    plan = Plan.make(tasks=["sva/obj", "ra/na"], methods=methods, metrics="pointing", limit=4, seeds=[0, 1], store=store)
    seen = preview(plan)
    assert not Path(store).exists()
    assert [(c.task, c.method, c.seed) for c in seen.cells[:5]] == [
        ("sva/obj", "attention", 0), ("sva/obj", "lime:samples=9", 0), ("sva/obj", "lime:samples=9", 1),
        ("sva/obj", "random", 0), ("sva/obj", "random", 1),
    ]  # fmt: skip
    assert len(seen.cells) == 12 and {(c.instances, c.left, c.state) for c in seen.cells} == {(4, 4, EXPLAIN)}
    attention, lime, own = seen.cells[0], seen.cells[1], seen.cells[5]
    assert attention.seconds == pytest.approx(cost_table().methods["attention"].ratio * 2.0 * 4)
    assert (attention.basis, lime.basis) == ("cost table and probe", "cost table (of default settings) and probe")
    assert (own.seconds, own.basis) == (None, "no measurement")
    assert "2 cells whose time is unknown" in seen.summary()[1] and "12 to explain" in seen.summary()[0]


def test_what_is_stored_is_not_estimated_and_stored_times_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate._Estimates, "_probe", lambda self: pytest.fail("no probe is needed"))
    store = str(tmp_path)
    fields = {"methods": ["attention"], "metrics": "pointing", "store": store}
    (record,) = flowgauge.run(tasks="sva/obj", limit=4, **fields).records
    before = state_of(tmp_path)
    seen = preview(Plan.make(tasks=["sva/obj", "ra/na"], limit=4, **fields))
    assert [cell.state for cell in seen.cells] == [STORED, EXPLAIN]
    assert seen.cells[1].seconds == pytest.approx(4 * record.cost.seconds) and seen.cells[1].basis == "stored cell"
    assert seen.memory == record.cost.peak_bytes and seen.rows()[1][5:] == (STORED, "", "")
    more = preview(Plan.make(tasks=["sva/obj"], limit=4, **{**fields, "metrics": ["pointing", "deletion_curve"]}))
    assert [(cell.state, cell.left) for cell in more.cells] == [(SCORE, 0)] and "1 to score" in more.summary()[0]
    assert state_of(tmp_path) == before


def test_a_model_that_is_trained_first_is_not_trained(tmp_path: Path) -> None:
    store = tmp_path / "store"
    seen = preview(Plan.make(tasks="toy/counting", methods=["saliency", "random"], metrics="pointing", limit=4, store=str(store)))
    assert not store.exists() and [(cell.state, cell.seconds) for cell in seen.cells] == [(EXPLAIN, None)] * 2
    assert seen.notes == (
        "Model 'toy-counting' is trained first, which a dry run does not do. Its cells cannot be looked up before.",
    )


def test_the_probe_times_the_model_and_counts_a_training(tmp_path: Path) -> None:
    store = tmp_path / "store"
    methods = ["saliency", "diffmask-hidden"]
    quick, trained = preview(Plan.make(tasks="sva/obj", methods=methods, metrics="none", limit=6, store=str(store))).cells
    assert quick.seconds > 0 and trained.basis == "cost table and probe, with training" and not store.exists()
    ratios = {name: cost_table().methods[name] for name in methods}
    unit = quick.seconds / 6 / ratios["saliency"].ratio
    masks = ratios["diffmask-hidden"]
    assert trained.seconds == pytest.approx(unit * (6 * masks.ratio + masks.training))
    assert 1e-3 < unit < 60


@pytest.mark.parametrize(("seconds", "said"), [(0.2, "under 1 s"), (59, "59 s"), (90, "1.5 min"), (5400, "1.5 h")])
def test_durations_are_said_in_their_unit(seconds: float, said: str) -> None:
    assert in_time(seconds) == said
