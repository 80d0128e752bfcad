"""Forged: means, intervals and counts of a score, and what it was scored with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from ...forged import cell, edit_json
from .catalogue import ACCURACY, AOPC, ENTROPY, SHARE, caught_by
from .edits import edit_aggregate, edit_score


@caught_by("its rows give")
def a_mean(bundle: Path) -> None:
    edit_aggregate(bundle, "saliency", AOPC, "aopc", value=0.9)


@caught_by("high of aopc is")
def an_interval(bundle: Path) -> None:
    edit_aggregate(bundle, "saliency", AOPC, "aopc", high=0.99)


@caught_by("low of aopc is")
def an_interval_that_is_left_out(bundle: Path) -> None:
    edit_aggregate(bundle, "saliency", AOPC, "aopc", low=None, high=None)


@caught_by("low of union is 0, recomputed nan")
def an_interval_of_the_whole_set(bundle: Path) -> None:
    edit_aggregate(bundle, "influence-patterns", ENTROPY, "union", low=0.0, high=9.0, reason="", bias=None)


@caught_by("bias of aopc is 0.3")
def a_bias_that_a_mean_does_not_have(bundle: Path) -> None:
    edit_aggregate(bundle, "saliency", AOPC, "aopc", bias=0.3)


@caught_by("install a newer flowgauge")
def intervals_of_a_later_version(bundle: Path) -> None:
    edit_score(bundle, "saliency", AOPC, intervals=999)


@caught_by("install a newer flowgauge")
def intervals_of_a_later_version_beside_the_rows_alone(bundle: Path) -> None:
    record = (cell(bundle, "saliency") / "record.json").read_text()
    edit_score(bundle, "saliency", AOPC, intervals=999)
    (cell(bundle, "saliency") / "record.json").write_text(record)


@caught_by("its record cannot be read")
def intervals_of_no_version(bundle: Path) -> None:
    edit_score(bundle, "saliency", AOPC, intervals=0)


@caught_by("the score in its record is not the one beside its rows")
def intervals_of_version_0_1_in_the_record_alone(bundle: Path) -> None:
    edit_json(cell(bundle, "saliency") / "record.json", lambda data: data["scores"][AOPC].update(intervals=1))


@caught_by("high of aopc is")
def false_ends_in_the_place_of_those_of_version_0_1(bundle: Path) -> None:
    """Beside the rows stands a score of version 0.1, in the record what claims to be its renewal."""
    edit_score(bundle, "saliency", AOPC, intervals=1)
    record = cell(bundle, "saliency") / "record.json"
    edit_json(record, lambda data: data["scores"][AOPC].update(intervals=2))
    edit_json(record, lambda data: [a.update(high=0.99) for a in data["scores"][AOPC]["aggregates"]] and None)


@caught_by("reason of aopc is")
def a_reason_of_a_score_of_version_0_1(bundle: Path) -> None:
    edit_aggregate(bundle, "saliency", AOPC, "aopc", reason="an interval needs honest people.")
    edit_score(bundle, "saliency", AOPC, intervals=1)


@caught_by("value of aopc is")
def a_mean_of_version_0_1(bundle: Path) -> None:
    edit_aggregate(bundle, "saliency", AOPC, "aopc", value=0.9)
    edit_score(bundle, "saliency", AOPC, intervals=1)


@caught_by("count of aopc is 600")
def a_count(bundle: Path) -> None:
    edit_aggregate(bundle, "saliency", AOPC, "aopc", count=600)


@caught_by("undefined of aopc is")
def a_count_of_undefined_instances(bundle: Path) -> None:
    edit_aggregate(bundle, "saliency", AOPC, "aopc", undefined=3)


@caught_by("sd_draws of aopc is 1e-09, its rows give")
def a_spread_of_draws(bundle: Path) -> None:
    edit_aggregate(bundle, "random", AOPC, "aopc", sd_draws=1e-9)


@caught_by("sd_draws of aopc is 0.1, its rows give nan")
def a_spread_of_a_method_without_draws(bundle: Path) -> None:
    edit_aggregate(bundle, "saliency", AOPC, "aopc", sd_draws=0.1)


@caught_by("reason of aopc is")
def a_reason_of_an_aggregate(bundle: Path) -> None:
    edit_aggregate(bundle, "saliency", AOPC, "aopc", reason="the others cheat.")


@caught_by("its aggregates are of other variants than its rows")
def an_aggregate_left_out(bundle: Path) -> None:
    edit_score(bundle, "saliency", AOPC, aggregates=[])


@caught_by("its aggregates are of other variants than recomputed")
def an_aggregate_that_the_metric_does_not_give(bundle: Path) -> None:
    aggregate = {"variant": "aopc/corpus", "value": 1.0, "low": 1.0, "high": 1.0, "count": 4}
    stored = json.loads((cell(bundle, "saliency") / "record.json").read_text())["scores"][AOPC]["aggregates"]
    edit_score(bundle, "saliency", AOPC, aggregates=[*stored, aggregate])


@caught_by("its aggregates are of other variants than recomputed")
def an_aggregate_without_rows_left_out(bundle: Path) -> None:
    stored = json.loads((cell(bundle, "influence-patterns") / "record.json").read_text())["scores"][SHARE]["aggregates"]
    kept = [aggregate for aggregate in stored if not aggregate["variant"].endswith("corpus")]
    edit_score(bundle, "influence-patterns", SHARE, aggregates=kept)


@caught_by("value of positive/embedding/corpus is 0.99")
def an_aggregate_without_rows(bundle: Path) -> None:
    edit_aggregate(bundle, "influence-patterns", SHARE, "positive/embedding/corpus", value=0.99)


@caught_by("value of union is 0.001")
def a_score_of_the_whole_set(bundle: Path) -> None:
    edit_aggregate(bundle, "influence-patterns", ENTROPY, "union", value=0.001)


@caught_by("the score in its record is not the one beside its rows")
def a_score_in_the_record_alone(bundle: Path) -> None:
    edit_json(cell(bundle, "saliency") / "record.json", lambda data: data["scores"][AOPC]["aggregates"][0].update(value=0.9))


@caught_by("it holds the score of sufficiency@1")
def a_score_under_the_name_of_another(bundle: Path) -> None:
    edit_score(bundle, "saliency", AOPC, metric="sufficiency@1")


@caught_by("expected a cell of influence-patterns")
def a_budget_of_choice(bundle: Path) -> None:
    edit_score(bundle, "random", ACCURACY, reference=cell(bundle, "random").name)


@caught_by("which belongs to no score of its record")
def scores_that_no_record_lists(bundle: Path) -> None:
    folder = cell(bundle, "saliency") / "scores"
    shutil.copy(folder / f"{AOPC}.parquet", folder / "sufficiency@1.parquet")
