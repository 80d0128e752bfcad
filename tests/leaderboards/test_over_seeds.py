"""Means over seeds: exact numbers, which cells stand together, what is undefined."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from flowgauge.benchmark.record import Aggregate, Record
from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.over_seeds import over_seeds, sections

from .conftest import record, score


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


def test_models_made_on_the_spot_stand_together_whatever_their_seed_and_others_do_not():
    def of(model: str, fingerprint: str, value: float) -> Record:
        key = {"fingerprint": fingerprint, "task": {"name": "t", "fingerprint": fingerprint}}
        return record("plain", [score("m", {"all": value})], model=model, cell=fingerprint.zfill(12), key=key)

    made = [
        of("toy", "a", 1.0),
        of("toy:seed=1", "b", 2.0),
        of("toy:n=3,seed=1", "c", 5.0),
        of("bert", "d", 7.0),
        of("bert", "e", 9.0),
    ]
    found = {(row["model"], row["mean"], row["seeds"]) for row in over_seeds(made).to_dict("records")}
    assert {("toy", 1.5, 2), ("toy:n=3", 5.0, 1)} <= found
    assert {(mean, seeds) for model, mean, seeds in found if model.startswith("bert")} == {(7.0, 1), (9.0, 1)}


def test_methods_with_other_settings_stand_apart():
    made = [drawn(seed, value, settings={"draws": draws}) for seed, value, draws in ((0, 0.1, 1), (1, 0.3, 1), (2, 0.9, 5))]
    found = over_seeds([one.model_copy(update={"cell": f"{n:012x}"}) for n, one in enumerate(made)])
    assert dict(zip(found["method"], found["mean"], strict=True)) == pytest.approx({"random:draws=1": 0.2, "random:draws=5": 0.9})


def test_two_versions_of_a_plug_in_are_not_two_seeds():
    made = [drawn(0, 0.1, key={"method": {"source": "a"}}), drawn(0, 0.3, key={"method": {"source": "b"}})]
    with pytest.raises(UsageError, match="differ in their seed alone"):
        over_seeds([one.model_copy(update={"cell": f"{n:012x}"}) for n, one in enumerate(made)])


def test_undefined_scores_are_left_out_and_counted_and_infinite_ones_have_no_interval():
    none = Aggregate(variant="all", value=math.nan, low=math.nan, high=math.nan, count=0, undefined=8, reason="no words.")
    lost = drawn(1, 0.5).model_copy(update={"scores": {}})
    missing = drawn(2, 0.5).model_copy(update={"scores": {"m@1": score("m", {"all": none}, ranked="all")}})
    table = over_seeds([drawn(0, 0.5), lost, missing, drawn(3, math.inf)])
    (row,) = table.to_dict("records")
    assert (row["seeds"], row["undefined"], row["mean"]) == (2, 2, math.inf)
    assert math.isnan(row["low"]) and math.isnan(row["high"])
    ((_, lines, _),) = sections(table)
    assert lines[1][-1] == "2 of 4"


def test_a_variant_that_no_seed_has_reads_as_not_available():
    none = Aggregate(variant="all", value=math.nan, low=math.nan, high=math.nan, count=0, undefined=8, reason="no words.")
    made = [drawn(seed, 0.5).model_copy(update={"scores": {"m@1": score("m", {"all": none})}}) for seed in (0, 1)]
    ((_, lines, _),) = sections(over_seeds(made))
    assert lines[1] == ("random", "m@1/all", "n/a", "", "", "0", "0 of 2")


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


def test_the_command_prints_tables_for_readers_and_machines(tmp_path: Path):
    from typer.testing import CliRunner

    from flowgauge.benchmark.store import Store
    from flowgauge.cli import app

    from .conftest import keep

    store = Store(str(tmp_path / "store"))
    for one in (drawn(0, 0.25), drawn(1, 0.75)):
        keep(store, one)
    text = CliRunner().invoke(app, ["show", store.url, "--over-seeds"])
    assert text.exit_code == 0 and ".250 to .750" in text.output
    table = CliRunner().invoke(app, ["show", store.url, "--over-seeds", "--csv"])
    assert table.output.splitlines()[1].startswith("toy,sva/obj,,random,m@1,all,2,0,8,0.5,")
