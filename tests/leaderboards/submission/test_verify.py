"""Bundles: what is packed, what an honest one passes, and what each way of cheating is caught by."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import safetensors.numpy

from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.store.explanation_file import Part, from_bytes, to_bytes
from flowgauge.benchmark.store.key import short_hash
from flowgauge.benchmark.store.store import Store
from flowgauge.benchmark.verification.recompute_scores import ScoreRecomputer
from flowgauge.leaderboards.submission.bundle import pack
from flowgauge.leaderboards.submission.verify import verify

from ..forged import cell, edit_json, edit_rows, flip, problems, resign


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
    for name, factor in (("value", 1.01), ("high", 1.5)):
        spoilt = tmp_path / name
        shutil.copytree(bundle, spoilt)
        folder = cell(spoilt, "influence-patterns")
        edit_rows(folder, lambda rows: rows, "pattern_entropy@1", {name: factor})
        resign(spoilt)
        assert f"{name} of " in problems(spoilt) and "recomputed" in problems(spoilt)


def scaled(folder: Path) -> None:
    for path in (folder / "explanations").iterdir():
        data = path.read_bytes()
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        arrays = safetensors.numpy.load(data)
        arrays = {
            k: v[::-1].copy() if k.startswith(("nodes", "tokens")) and k.endswith("values") else v for k, v in arrays.items()
        }
        path.write_bytes(safetensors.numpy.save(arrays, header))


def test_an_edited_score_is_caught(bundle: Path) -> None:
    edit_rows(cell(bundle), flip)
    resign(bundle)
    assert "recomputed rows differ by up to 1" in problems(bundle)


def test_edited_explanations_are_caught(bundle: Path) -> None:
    scaled(cell(bundle))
    resign(bundle)
    assert "recomputed rows differ" in problems(bundle)


def test_another_model_is_caught(bundle: Path, tiny_bert: Path) -> None:
    for record in bundle.glob("cells/**/record.json"):
        edit_json(record, lambda data: data | {"asked": data["asked"] | {"model": str(tiny_bert)}})
    resign(bundle)
    assert "folders of the submitter's are not read; say where yours is with --model" in problems(bundle)
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
    assert "folders of the submitter's are not read" in problems(tmp_path / "bundle")


def test_a_task_under_the_name_of_another_is_caught(bundle: Path) -> None:
    for record in [*bundle.glob("cells/**/record.json")]:
        stored = json.loads(record.read_text())
        stored["key"]["task"]["name"] = stored["task"] = "sva/subj"
        stored["cell"] = short_hash(stored["key"])
        record.write_text(json.dumps(stored))
        target = bundle / "cells" / "agreement-bert" / "sva" / "subj" / f"{stored['method']}-{stored['cell']}"
        target.parent.mkdir(exist_ok=True)
        record.parent.rename(target)
    resign(bundle)
    assert "the name of its task is 'sva/subj', here 'sva/obj'" in problems(bundle)


def test_a_cell_in_the_folder_of_another_task_is_caught(bundle: Path) -> None:
    folder = bundle / "cells" / "agreement-bert" / "sva"
    (folder / "obj").rename(folder / "subj")
    resign(bundle)
    assert "it lies in another folder than model, task and name of its record say" in problems(bundle)


def rescore_as(folder: Path, change: dict[str, Any], metric: str = "comprehensiveness@1") -> None:
    """A score with other fields, in its record and beside its rows."""
    path = folder / "scores" / f"{metric}.parquet"
    table = pq.read_table(path)
    score = json.loads(table.schema.metadata[b"flowgauge"]) | change
    pq.write_table(table.replace_schema_metadata({b"flowgauge": json.dumps(score)}), path)
    edit_json(folder / "record.json", lambda data: data | {"scores": {**data["scores"], metric: score}})


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"ranked": "top/20"}, "its ranked is 'top/20', comprehensiveness@1 has 'aopc'"),
        ({"higher_is_better": False}, "its higher_is_better is False"),
        ({"bounds": [None, None]}, "its bounds is (None, None)"),
        ({"unit": "accuracy"}, "its unit is 'accuracy'"),
        ({"metric": "sufficiency@1"}, "it holds the score of sufficiency@1"),
    ],
)
def test_what_a_score_says_of_its_metric_is_the_metrics(bundle: Path, change: dict[str, Any], what: str) -> None:
    rescore_as(cell(bundle), change)
    resign(bundle)
    assert what in problems(bundle, sample=2)


def test_sentences_that_are_not_those_of_the_task_are_caught(bundle: Path) -> None:
    (path,) = (cell(bundle) / "explanations").iterdir()
    part = from_bytes(path.read_bytes())
    worded = tuple(replace(one, tokens=("[CLS]", "Buy", *one.tokens[2:])) for one in part.sentences)
    path.write_bytes(to_bytes(replace(part, sentences=worded)))
    resign(bundle)
    assert "is stored as ('[CLS]', 'Buy'" in problems(bundle, sample=2)


def test_a_budget_matched_to_a_cell_of_choice_is_caught(bundle: Path) -> None:
    rescore_as(cell(bundle), {"reference": cell(bundle).name}, "ablated_accuracy@1")
    resign(bundle)
    assert "expected a cell of influence-patterns" in problems(bundle, sample=2)


def test_rows_that_nobody_asked_for_are_caught(bundle: Path) -> None:
    edit_rows(cell(bundle), lambda rows: pd.concat([rows, rows.assign(draw=1, value=1.0)]), "comprehensiveness@1")
    resign(bundle)
    assert "of its rows are not recomputed, first" in problems(bundle, sample=2)


def test_other_conditions_are_caught(bundle: Path) -> None:
    edit_rows(cell(bundle), lambda rows: rows.assign(condition="easy"), "comprehensiveness@1")
    resign(bundle)
    assert "not easy" in problems(bundle, sample=2)


def test_a_model_whose_weights_come_with_the_bundle_is_said(bundle: Path) -> None:
    fit = bundle / "cells" / "fits" / "sst-gru-1" / "fit.json"
    fit.parent.mkdir(parents=True)
    fit.write_text(json.dumps({"key": {"model": "sst-gru"}, "status": "done", "seconds": 1, "curve": []}))
    resign(bundle)
    checked = verify(bundle, ScoreRecomputer(device="cpu"), 1)
    (note,) = checked.notes
    assert note.what == "the model sst-gru was trained by the submitter; scores were recomputed with its weights."
    assert checked.problems == ()


def test_a_metric_that_explains_anew_is_recomputed(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    run(tasks="sva/obj", methods="saliency", metrics="sensitivity:samples=2", limit=4, store=store, device="cpu")
    pack(store, tmp_path / "bundle", "a tester")
    checked = verify(tmp_path / "bundle", ScoreRecomputer(device="cpu"), sample=2)
    assert checked.problems == () and list(checked.rescored.values()) == [2]


def test_a_swapped_task_is_caught(bundle: Path) -> None:
    for record in bundle.glob("cells/**/record.json"):
        edit_json(record, lambda data: data | {"asked": data["asked"] | {"task": "sva/subj"}})
    resign(bundle)
    assert "has other instances now" in problems(bundle)


def test_a_key_that_does_not_fit_the_name_is_caught(bundle: Path) -> None:
    edit_json(cell(bundle) / "record.json", lambda data: data["key"]["task"].update(version=9))
    resign(bundle)
    assert "its name is not the hash of its key" in problems(bundle)


def test_dropped_hard_instances_are_caught(bundle: Path) -> None:
    for folder in (cell(bundle), cell(bundle, "influence-patterns")):
        _without_first(folder)
    resign(bundle)
    assert "1 of 8 instances of the task are not explained" in problems(bundle)


def _without_first(folder: Path) -> None:
    """The cell as if it had been run on seven sentences."""
    (path,) = (folder / "explanations").iterdir()
    part = from_bytes(path.read_bytes())
    gone = part.sentences[0].id
    path.write_bytes(to_bytes(Part(part.sentences[1:], part.gold[1:], part.predicted[1:], part.cost)))
    for metric in ("ablated_accuracy@1", "comprehensiveness@1"):
        edit_rows(folder, lambda rows: rows[rows["instance"] != gone].reset_index(drop=True), metric)
    edit_json(folder / "record.json", lambda data: data | {"instances": 7})


def test_rows_left_out_are_caught(bundle: Path) -> None:
    edit_rows(cell(bundle), lambda rows: rows[rows["instance"] != rows["instance"].iloc[0]].reset_index(drop=True))
    resign(bundle)
    assert "1 explained instances have no row of embedding/matched/predicted" in problems(bundle)


def test_duplicated_rows_are_caught(bundle: Path) -> None:
    edit_rows(cell(bundle), lambda rows: pd.concat([rows, rows.head(3)], ignore_index=True))
    resign(bundle)
    assert "an instance has two rows of one variant and draw" in problems(bundle)


def test_nan_without_a_reason_is_caught(bundle: Path) -> None:
    def spoil(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[rows.index[rows["variant"] == "embedding/matched/predicted"][0], "value"] = np.nan
        return rows

    edit_rows(cell(bundle), spoil)
    resign(bundle)
    assert "NaN without a reason" in problems(bundle)


def test_scores_out_of_bounds_are_caught(bundle: Path) -> None:
    edit_rows(
        cell(bundle), lambda rows: rows.assign(value=rows["value"].where(rows["variant"] != "embedding/matched/predicted", 3.0))
    )
    resign(bundle)
    assert "8 scores lie outside [0, 1], first 3" in problems(bundle)


def test_aggregates_that_are_not_those_of_the_rows_are_caught(bundle: Path) -> None:
    path = cell(bundle) / "scores" / "ablated_accuracy@1.parquet"
    table = pq.read_table(path)
    score = json.loads(table.schema.metadata[b"flowgauge"])
    score["aggregates"][0]["value"] += 0.1
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"flowgauge": json.dumps(score).encode()}), path)
    edit_json(cell(bundle) / "record.json", lambda data: data["scores"].update({"ablated_accuracy@1": score}))
    resign(bundle)
    assert "its rows give" in problems(bundle)
