"""Means over seeds: exact numbers, which cells stand together, what is undefined."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flowgauge.benchmark.store.record import Record
from flowgauge.benchmark.store.store import Store
from flowgauge.cli import app
from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.tables.over_seeds import over_seeds, sections
from flowgauge.metrics.scores import Aggregate

from ..conftest import keep, record, score


def drawn(seed: int, value: float, **more: object) -> Record:
    return record("random", [score("m", {"all": value}, ranked="all")], seed=seed, cell=f"{seed:012x}", **more)


def test_mean_interval_and_range_over_seeds():
    (row,) = over_seeds([drawn(0, 0.1), drawn(1, 0.2), drawn(2, 0.6)]).to_dict("records")
    assert (row["method"], row["seeds"], row["undefined"]) == ("random", 3, 0)
    assert (row["mean"], row["smallest"], row["largest"]) == pytest.approx((0.3, 0.1, 0.6))
    half = 4.302653 * math.sqrt(0.07 / 3)  # Student's t with two degrees of freedom; the variance is 0.07
    assert (row["low"], row["high"]) == pytest.approx((0.3 - half, 0.3 + half), abs=1e-6)


def test_equal_values_have_an_interval_without_width():
    (row,) = over_seeds([drawn(0, 0.25), drawn(1, 0.25)]).to_dict("records")
    assert (row["low"], row["mean"], row["high"]) == (0.25, 0.25, 0.25)


def made(model: str, value: float, seed: int | None = None, task: str = "", **more: object) -> Record:
    """A cell of a model that comes with a seed; cell and fingerprint follow from model, task and seed, as in stores."""
    fingerprint = f"{abs(hash((model.removesuffix(':seed=0'), task))) % 16**12:012x}"
    key = {"fingerprint": fingerprint, "task": {"name": "t", "fingerprint": task}}
    cell = f"{abs(hash((fingerprint, seed, *more))) % 16**12:012x}"
    return record("plain", [score("m", {"all": value})], model=model, cell=cell, seed=seed, key=key | more)


def test_models_made_on_the_spot_stand_together_whatever_their_seed_and_others_do_not():
    given = [made("planted", 1.0), made("planted:seed=1", 2.0), made("planted:seed=2,hops=3,noise=0.1", 5.0)]
    given += [made("planted:noise=0.1,hops=3,seed=0", 6.0), made("bert:seed=1", 7.0), made("bert:seed=2", 9.0)]
    found = {(row["model"], row["mean"], row["seeds"]) for row in over_seeds(given).to_dict("records")}
    assert found == {("planted", 1.5, 2), ("planted:hops=3,noise=0.1", 5.5, 2), ("bert:seed=1", 7.0, 1), ("bert:seed=2", 9.0, 1)}


def test_a_model_of_seed_zero_named_in_two_ways_counts_once():
    (row,) = over_seeds([made("planted", 1.0), made("planted:seed=0", 1.0), made("planted:seed=1", 2.0)]).to_dict("records")
    assert (row["mean"], row["seeds"]) == (1.5, 2)


@pytest.mark.parametrize("other", [{"task": "other sentences"}, {"fingerprint": "other weights"}])
def test_two_cells_of_one_seed_that_differ_are_refused(other: dict[str, str]):
    with pytest.raises(UsageError, match="have the same seed and differ in weights or instances"):
        over_seeds([made("planted:seed=1", 1.0), made("planted:seed=1", 2.0, **other), made("planted:seed=2", 3.0)])


def test_cells_of_one_model_are_averaged_before_models_are():
    given = [made(f"planted:seed={model}", model + 0.1 * seed, seed) for model in range(3) for seed in range(3)]
    (row,) = over_seeds(given).to_dict("records")
    assert (row["seeds"], row["mean"], row["smallest"], row["largest"]) == pytest.approx((3, 1.1, 0.1, 2.1))
    assert row["high"] - row["mean"] == pytest.approx(4.302653 / math.sqrt(3), abs=1e-6)


@pytest.mark.parametrize(
    ("differs", "names"),
    [
        ({"trained_on": {"limit": 100}}, ("random #000000", "random #000000")),
        ({"explanations": "other sums"}, ("random #000000", "random #000000")),
        ({"method": {"source": "b"}}, ("random", "random (other code)")),
    ],
)
def test_cells_of_a_fixed_model_that_differ_in_more_than_their_seed_stand_apart(
    differs: dict[str, object], names: tuple[str, str]
):
    one, other, third = drawn(0, 0.1), drawn(1, 0.2), drawn(2, 0.6)
    third = third.model_copy(update={"key": third.key | differs})
    assert [(row["seeds"], row["method"]) for row in over_seeds([one, other, third]).to_dict("records")] == [
        (2, names[0]), (1, names[1]),
    ]  # fmt: skip


def test_methods_with_other_settings_stand_apart():
    made = [drawn(seed, value, settings={"draws": draws}) for seed, value, draws in ((0, 0.1, 1), (1, 0.3, 1), (2, 0.9, 5))]
    found = over_seeds([one.model_copy(update={"cell": f"{n:012x}"}) for n, one in enumerate(made)])
    assert dict(zip(found["method"], found["mean"], strict=True)) == pytest.approx({"random:draws=1": 0.2, "random:draws=5": 0.9})


def test_undefined_scores_are_left_out_and_counted_and_infinite_ones_have_no_interval(tmp_path: Path):
    none = Aggregate(variant="all", value=math.nan, low=math.nan, high=math.nan, count=0, undefined=8, reason="no words.")
    lost = drawn(1, 0.5).model_copy(update={"scores": {}})
    missing = drawn(2, 0.5).model_copy(update={"scores": {"m@1": score("m", {"all": none}, ranked="all")}})
    made = [drawn(0, 0.5), lost, missing, drawn(3, math.inf)]
    table = over_seeds(made)
    (row,) = table.to_dict("records")
    assert (row["seeds"], row["undefined"], row["mean"]) == (2, 2, math.inf)
    assert math.isnan(row["low"]) and math.isnan(row["high"])
    ((_, lines, _),) = sections(table)
    assert lines[1][-1] == "2 of 4" and lines[1][2] == "inf"
    assert '"mean":"Infinity"' in CliRunner().invoke(app, ["show", stored(tmp_path, made), "--over-seeds", "--json"]).output


def test_what_no_seed_has_reads_as_not_available_with_the_reason():
    none = Aggregate(variant="all", value=math.nan, low=math.nan, high=math.nan, count=0, undefined=8, reason="no words.")
    given = [drawn(seed, 0.5) for seed in (0, 1)]
    given = [one.model_copy(update={"scores": one.scores | {"n@1": score("n", {"all": none})}}) for one in given]
    given += [record("lime", status="failed", error="no memory.", instances=0, seed=seed, cell=f"f{seed}") for seed in (0, 1)]
    ((_, lines, remarks),) = sections(over_seeds(given))
    assert {line[:3] for line in lines[1:]} == {
        ("random", "m@1/all", ".500"),
        ("random", "n@1/all", "n/a¹"),
        ("lime", "", "n/a²"),
    }
    assert remarks == ["¹ n/a: no words.", "² n/a: no memory."] and lines[2][-1] == "0 of 2"


def test_a_store_of_one_seed_is_refused_with_what_to_do():
    with pytest.raises(UsageError, match="--seed"):
        over_seeds([drawn(0, 0.5)])
    with pytest.raises(UsageError, match="--seed"):
        over_seeds([record("conductance", status="failed", error="no memory.", instances=0)])


def test_a_title_names_model_task_and_what_was_asked():
    ((title, lines, remarks),) = sections(over_seeds([drawn(0, 0.25), drawn(1, 0.75)]))
    assert title.endswith("over seeds") and not remarks
    assert lines[1][:3] == ("random", "m@1/all", ".500")
    assert lines[1][4] == ".250 to .750"


def test_small_and_large_numbers_can_be_read():
    ((_, lines, _),) = sections(over_seeds([drawn(0, 1e-6), drawn(1, 3e-6)]))
    assert (lines[1][2], lines[1][4]) == ("2.0e-06", "1.0e-06 to 3.0e-06")
    ((_, lines, _),) = sections(over_seeds([drawn(0, 1e300), drawn(1, 3e300)]))
    assert lines[1][2] == "2e+300"


def test_the_command_prints_tables_for_readers_and_machines(tmp_path: Path):
    url = stored(tmp_path, [drawn(0, 0.25), drawn(1, 0.75)])
    text = CliRunner().invoke(app, ["show", url, "--over-seeds"])
    assert text.exit_code == 0 and ".250 to .750" in text.output
    table = CliRunner().invoke(app, ["show", url, "--over-seeds", "--csv"])
    assert table.output.splitlines()[1].startswith("toy,sva/obj,,random,m@1,all,2,0,8,0.5,")


def stored(folder: Path, records: list[Record]) -> str:
    store = Store(str(folder / "store"))
    for one in records:
        keep(store, one)
    return store.url
