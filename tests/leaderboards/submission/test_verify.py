"""Bundles that are verified: what an honest one passes, and what its report says. Ways to cheat are in `tamperings`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.store.key import short_hash
from flowgauge.benchmark.store.store import Store
from flowgauge.benchmark.verification.recompute_scores import ScoreRecomputer
from flowgauge.benchmark.verification.rerun_methods import MethodRerunner
from flowgauge.core.plugin_docs import plugin_docs
from flowgauge.leaderboards.submission.board import merge
from flowgauge.leaderboards.submission.bundle import pack
from flowgauge.leaderboards.submission.check_rerun import QUICK, RerunCheck
from flowgauge.leaderboards.submission.ledger import read_ledger, trusted
from flowgauge.leaderboards.submission.verify import SAMPLE, chance_undetected, verify
from flowgauge.metrics.registry import METRICS

from ..forged import cell, edit_json, edit_rows, problems, rekey, resign
from .tamperings.edits import planted_training

ROOT = Path(__file__).resolve().parents[3]


def test_an_honest_bundle_is_rescored(honest: Path) -> None:
    checked = verify(honest, ScoreRecomputer(device="cpu"), sample=3)
    assert checked.problems == () and checked.trust == "re-scored"
    assert {r.method for r in checked.records} == {"integrated-gradients", "influence-patterns"}
    assert set(checked.rescored) == {"ablated_accuracy@1", "comprehensiveness@1"} and min(checked.rescored.values()) >= 3
    assert verify(honest).trust == "well-formed"
    assert checked.manifest.submitter == "a tester"


def test_scores_that_rest_on_other_instances_are_recomputed_whole(tmp_path: Path) -> None:
    metrics = ["head_pruning", "retention_curve:steps=4,operator=resample", "deletion_curve:steps=4,operator=mean"]
    store = str(tmp_path / "store")
    run(tasks="sva/obj", methods="raw-attention", metrics=metrics, limit=8, store=store, device="cpu")
    pack(store, tmp_path / "bundle", "a tester")
    checked = verify(tmp_path / "bundle", ScoreRecomputer(device="cpu"), sample=3)
    assert checked.problems == () and checked.trust == "re-scored"
    record = checked.records[0]
    for metric in record.scores:
        rows = ScoreRecomputer(device="cpu")(Store(str(tmp_path / "bundle" / "cells")), record, metric, 3).rows
        assert rows["instance"].nunique() == 8


def test_a_sample_is_all_that_is_recomputed(honest: Path) -> None:
    record = next(r for r in verify(honest).records if r.method == "integrated-gradients")
    rows = ScoreRecomputer(device="cpu")(Store(str(honest / "cells")), record, "comprehensiveness@1", 3).rows
    assert rows["instance"].nunique() == 3


def test_an_edited_aggregate_that_no_rows_give_is_caught(tmp_path: Path) -> None:
    """Scores of a whole set are their aggregates; these are recomputed, in batches of another size."""
    store, bundle = str(tmp_path / "store"), tmp_path / "bundle"
    run(
        tasks="sva/obj", methods="influence-patterns", metrics="pattern_entropy", limit=8, store=store, device="cpu", batch_size=3
    )
    pack(store, bundle, "a tester")
    assert problems(bundle) == ""
    for name, factor in (("value", 1.01), ("count", 2)):
        spoilt = tmp_path / name
        shutil.copytree(bundle, spoilt)
        folder = cell(spoilt, "influence-patterns")
        edit_rows(folder, lambda rows: rows, "pattern_entropy@1", {name: factor})
        resign(spoilt)
        assert f"{name} of " in problems(spoilt) and "recomputed" in problems(spoilt)


def test_another_model_is_caught(bundle: Path, tiny_bert: Path) -> None:
    for record in bundle.glob("cells/**/record.json"):
        edit_json(record, lambda data: data | {"asked": data["asked"] | {"model": str(tiny_bert)}})
    resign(bundle)
    assert "files and folders of a submitter's choice are not opened: say where yours is with --model" in problems(bundle)
    checked = verify(bundle, ScoreRecomputer(str(tiny_bert), device="cpu"))
    assert all("is not the one that sva/obj was explained with" in problem.what for problem in checked.problems)


def test_a_model_under_the_name_of_another_is_caught(tmp_path: Path, tiny_bert: Path) -> None:
    run(tasks="sva/obj", model=str(tiny_bert), methods="saliency", metrics="comprehensiveness", limit=4,
        store=str(tmp_path / "store"), device="cpu")  # fmt: skip
    pack(str(tmp_path / "store"), tmp_path / "bundle", "a tester")
    (record,) = (tmp_path / "bundle").glob("cells/**/record.json")
    edit_json(record, lambda data: data | {"model": "agreement-bert"})
    record.parents[2].parent.rename(tmp_path / "bundle" / "cells" / "agreement-bert")
    resign(tmp_path / "bundle")
    assert "files and folders of a submitter's choice are not opened" in problems(tmp_path / "bundle")
    (problem,) = verify(tmp_path / "bundle", ScoreRecomputer(str(tiny_bert), device="cpu")).problems
    assert problem.what == "it cannot be recomputed: its model is called 'agreement-bert', and is not the model of that name."


def test_trainings_of_the_submitter_are_said_and_those_of_no_use_are_left_out(bundle: Path, tmp_path: Path) -> None:
    used, key = planted_training(bundle, method="integrated-gradients"), {"model": "sst-gru"}
    unused = planted_training(bundle, f"sst-gru-{short_hash(key)}", "integrated-gradients", key=key)
    resign(bundle)
    checked = verify(bundle, ScoreRecomputer(device="cpu"), 1)
    assert checked.problems == () and [(note.where.split("/")[-2:], note.what) for note in checked.notes] == [
        (["fits", unused.name], "this training is left out: no cell of the bundle rests on it."),
        ([used.name, "fit.json"], "the method integrated-gradients was trained by the submitter."),
    ]
    merge(bundle, str(tmp_path / "board"))
    assert [folder.name for folder in (tmp_path / "board" / "fits").iterdir()] == [used.name]


def test_a_claim_about_a_method_that_is_not_here_is_well_formed_at_most(bundle: Path, tmp_path: Path) -> None:
    """The method's honest cell may take its place later."""
    honest_cell = rekey(bundle, "integrated-gradients", lambda stored: renamed(stored, "their-gradients"))
    claimed = Path(shutil.copytree(bundle, tmp_path / "claimed"))
    folder = cell(claimed, "their-gradients")
    for part in ("explanations", "scores"):
        shutil.rmtree(folder / part)
    changes = {"status": "not-applicable", "error": "it fails.", "instances": 0, "correct": 0, "cost": None, "scores": {}}
    edit_json(folder / "record.json", lambda data: data | changes)
    resign(claimed)
    checked = verify(claimed, ScoreRecomputer(device="cpu"), 1)
    assert checked.problems == () and checked.trust == "well-formed" and honest_cell.name == folder.name
    assert {record.method: checked.level(record) for record in checked.records} == {
        "their-gradients": "well-formed", "influence-patterns": "re-scored",
    }  # fmt: skip
    assert "not-applicable, which cannot be asked again here: the method 'their-gradients' is not" in checked.notes[0].what
    board = str(tmp_path / "board")
    merge(claimed, board, ScoreRecomputer(device="cpu"), sample=1)
    assert sorted(trusted(read_ledger(Store(board))).values()) == ["re-scored", "well-formed"]
    merge(bundle, board, ScoreRecomputer(device="cpu"), sample=1)
    assert set(trusted(read_ledger(Store(board))).values()) == {"re-scored"}
    assert {record.status for record in Store(board).records()} == {"done"}


def renamed(stored: dict[str, Any], method: str) -> None:
    stored["method"] = stored["key"]["method"]["name"] = method


def test_each_cell_and_metric_has_a_sample_of_its_own(honest: Path) -> None:
    """What is drawn rests on a seed that is drawn when the verifier starts."""
    store = Store(str(honest / "cells"))
    one, again, other = (ScoreRecomputer(device="cpu", seed=seed) for seed in (1, 1, 2))
    seeds = {(each.seed, record.cell, metric): each.seed_of(record, metric) for each in (one, again, other)
             for record in store.records() for metric in ("", *record.scores)}  # fmt: skip
    assert len(set(seeds.values())) == len(seeds) == 2 * 2 * 3
    assert ScoreRecomputer().seed != ScoreRecomputer().seed


@pytest.mark.parametrize(
    ("instances", "doctored", "sample", "chance"),
    [(64, 1, 200, 0.0), (200, 1, 200, 0.0), (1000, 1, 200, 0.8), (1000, 3, 200, 0.5116), (64, 3, 20, 0.3179), (64, 45, 20, 0.0)],
)
def test_the_chance_that_doctored_rows_pass(instances: int, doctored: int, sample: int, chance: float) -> None:
    """By counting draws of 20 of 64, as well: a third passes."""
    assert chance_undetected(instances, doctored, sample) == pytest.approx(chance, abs=1e-4)
    rng = np.random.default_rng(0)
    drawn = [rng.choice(instances, min(sample, instances), replace=False).min() >= doctored for _ in range(400)]
    assert abs(np.mean(drawn) - chance) < 0.08


def test_honest_scores_of_every_kind_pass(tmp_path: Path) -> None:
    """Some aggregates are no means of rows, and some metrics are not applicable; `FLOWGAUGE_EVERY_METRIC=1` takes all metrics."""
    some = ["concentration", "alignment_rate", "receptive_field", "sensitivity:samples=2"]
    every = [name for name, target in METRICS.builtin.items() if plugin_docs(target).declared.get("scope") != "cells"]
    metrics, store = every if os.environ.get("FLOWGAUGE_EVERY_METRIC") else some, str(tmp_path / "store")
    methods = ["influence-patterns", "raw-attention"]
    run(tasks="sva/obj", methods=methods, metrics=metrics, limit=3, store=store, device="cpu")
    pack(store, tmp_path / "bundle", "a tester")
    recomputer = ScoreRecomputer(device="cpu")
    checked = verify(tmp_path / "bundle", recomputer, sample=2, further=[RerunCheck(MethodRerunner(recomputer), 1)])
    assert checked.problems == () and checked.trust == "re-run"
    assert all(len(record.scores) == len(metrics) for record in checked.records)


def test_metrics_that_explain_anew_are_recomputed_also_with_batches_of_another_size(tmp_path: Path) -> None:
    store, metrics = str(tmp_path / "store"), ["sensitivity:samples=2", "repeatability"]
    run(tasks="sva/obj", methods="saliency", metrics=metrics, limit=4, batch_size=3, store=store, device="cpu")
    pack(store, tmp_path / "bundle", "a tester")
    checked = verify(tmp_path / "bundle", ScoreRecomputer(device="cpu"), sample=2)
    assert checked.problems == () and list(checked.rescored.values()) == [2, 2]


def test_the_table_of_chances_is_computed() -> None:
    """The numbers of docs/publishing.md."""
    doctored = (1, 3, 10, 30)
    rows = [(str(n), n, SAMPLE) for n in (200, 300, 500, 1000, 5000)] + [("64, `--rerun 4`", 64, QUICK)]
    lines = [f"| {name} | {' | '.join(f'{chance_undetected(n, k, sample):.3f}' for k in doctored)} |" for name, n, sample in rows]
    assert "\n".join(lines) in (ROOT / "docs" / "publishing.md").read_text(encoding="utf-8")
