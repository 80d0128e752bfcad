"""Ways to cheat with a bundle, by name: each changes a copy of an honest bundle, whose sums are made to fit afterwards.

The bundle has four cells of four sentences: `saliency`, `random` and `influence-patterns`, which are done, and `diffmask-input`,
which is not applicable since the task has no train split. `ablated_accuracy` and `pattern_entropy` do not apply to saliency.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from flowgauge.benchmark.store.explanation_file import ExplainedSentence, Part, from_bytes, to_bytes
from flowgauge.benchmark.store.key import short_hash
from flowgauge.benchmark.store.sums import MARK
from flowgauge.methods.explanation import Explanation

from ..forged import cell, claim, edit_json, edit_rows, rekey

Tamper = Callable[[Path], None]
TAMPERINGS: dict[str, tuple[Tamper, str]] = {}
"""Each way to cheat, with words of the problem that it has to be."""
OF_RECORDS: dict[str, tuple[Tamper, str]] = {}
"""Ways whose records must stay as they write them: only the sums of the manifest are made to fit."""
OF_BUNDLES: dict[str, tuple[Tamper, str]] = {}
"""Ways that come after sums were made to fit, and must be refused before anything else is read."""
ACCURACY, AOPC, ENTROPY, SHARE = "ablated_accuracy@1", "comprehensiveness@1", "pattern_entropy@1", "concentration@1"


def caught_by(words: str, name: str = "") -> Callable[[Tamper], Tamper]:
    """Enters a way to cheat into the table."""

    def enter(tamper: Tamper) -> Tamper:
        TAMPERINGS[name or tamper.__name__] = (tamper, words)
        return tamper

    return enter


def refused_by(words: str, table: dict[str, tuple[Tamper, str]] = OF_BUNDLES) -> Callable[[Tamper], Tamper]:
    """Enters a way to cheat into another table."""

    def enter(tamper: Tamper) -> Tamper:
        table[tamper.__name__] = (tamper, words)
        return tamper

    return enter


def edit_record(bundle: Path, method: str, **fields: Any) -> None:
    edit_json(cell(bundle, method) / "record.json", lambda data: data | fields)


def edit_score(bundle: Path, method: str, of: str, **fields: Any) -> None:
    """A score with other fields, in its record and beside its rows."""
    folder = cell(bundle, method)
    stored = json.loads((folder / "record.json").read_text())
    stored["scores"][of] |= fields
    (folder / "record.json").write_text(json.dumps(stored))
    path = folder / "scores" / f"{of}.parquet"
    if path.exists():
        table = pq.read_table(path)
        pq.write_table(table.replace_schema_metadata({b"flowgauge": json.dumps(stored["scores"][of]).encode()}), path)


def edit_aggregate(bundle: Path, method: str, metric: str, variant: str, **fields: Any) -> None:
    stored = json.loads((cell(bundle, method) / "record.json").read_text())["scores"][metric]["aggregates"]
    edit_score(bundle, method, metric, aggregates=[a | fields if a["variant"] == variant else a for a in stored])


def edit_part(bundle: Path, method: str, change: Callable[[Part], Part]) -> None:
    (path,) = (cell(bundle, method) / "explanations").iterdir()
    path.write_bytes(to_bytes(change(from_bytes(path.read_bytes()))))


def edit_sentence(bundle: Path, method: str, change: Callable[[ExplainedSentence], ExplainedSentence]) -> None:
    edit_part(bundle, method, lambda part: replace(part, sentences=(change(part.sentences[0]), *part.sentences[1:])))


def fields_of_metrics() -> None:
    """What a score says of its metric, where it is done and where it is not applicable."""
    for state, metric in (("done", AOPC), ("not_applicable", ACCURACY)):
        for field, value in (
            ("higher_is_better", False), ("ranked", "top/20"), ("bounds", [-1.5, 1.0]), ("unit", "apples"), ("scope", "set"),
            ("reads", "edges"), ("source", "myself"), ("version", 2), ("settings", {"x": 1}), ("name", "sufficiency"),
        ):  # fmt: skip
            words = {"settings": "cannot be recomputed", "name": "cannot be recomputed"}.get(field, f"its {field} is ")

            def tamper(bundle: Path, metric: str = metric, field: str = field, value: Any = value) -> None:
                edit_score(bundle, "saliency", metric, **{field: value})

            # An interval that the right bounds cut is noticed before the bounds.
            words = "" if field == "scope" or (field, state) == ("bounds", "done") else words
            caught_by(words, f"{field}_of_a_score_that_is_{state}")(tamper)


fields_of_metrics()


# What is said to be not applicable.


def _hidden(bundle: Path, method: str, name: str = "") -> Path:
    """A cell that is said to be not applicable, without its explanations and scores."""
    folder = cell(bundle, method)
    for part in ("explanations", "scores"):
        shutil.rmtree(folder / part)
    changes = {"status": "not-applicable", "error": "it fails.", "instances": 0, "correct": 0, "cost": None, "scores": {}}
    edit_record(bundle, method, **changes)
    return folder


@caught_by("; here its method applies")
def a_bad_cell_is_hidden(bundle: Path) -> None:
    _hidden(bundle, "random")


@caught_by("; here its method applies")
def a_competitor_is_not_applicable(bundle: Path) -> None:
    shutil.copytree(cell(bundle, "diffmask-input"), cell(bundle, "diffmask-input").with_name("attention-0"))
    folder = bundle / "cells/agreement-bert/sva/obj/attention-0"
    edit_json(folder / "record.json", lambda data: data | {"method": "attention"})
    claim(bundle, "attention", "attention")


@caught_by("and here it is applicable")
def a_bad_score_is_hidden(bundle: Path) -> None:
    (cell(bundle, "saliency") / "scores" / f"{AOPC}.parquet").unlink()
    edit_score(bundle, "saliency", AOPC, status="not-applicable", reason="it has no words.", aggregates=[], ranked="")


@caught_by("here it is not applicable: ")
def another_reason_of_a_score(bundle: Path) -> None:
    edit_score(bundle, "saliency", ACCURACY, reason="saliency was found to be a fraud.")


@caught_by("it says 'diffmask is a fraud.'; here its method says")
def another_reason_of_a_cell(bundle: Path) -> None:
    edit_record(bundle, "diffmask-input", error="diffmask is a fraud.")


@caught_by("it failed, or is not applicable but has scores or no reason")
def a_score_that_failed(bundle: Path) -> None:
    edit_score(bundle, "saliency", ACCURACY, status="failed")


@caught_by("it failed, or is not applicable but has scores or no reason")
def aggregates_of_a_score_that_is_not_applicable(bundle: Path) -> None:
    aggregate = {"variant": "original", "value": 1.0, "low": 1.0, "high": 1.0, "count": 4}
    edit_score(bundle, "saliency", ACCURACY, aggregates=[aggregate])


@caught_by("not applicable, but has explanations, scores or costs, or no reason")
def costs_of_a_cell_that_is_not_applicable(bundle: Path) -> None:
    cost = {"seconds": 9.0, "own_seconds": 9.0, "charged_seconds": 0.0, "explanations": 1, "peak_bytes": 0}
    edit_record(bundle, "diffmask-input", cost=cost)


# Rows and aggregates.


@caught_by("1 of 24 recomputed rows differ")
def one_row(bundle: Path) -> None:
    edit_rows(cell(bundle, "saliency"), lambda rows: rows.assign(value=rows["value"].where(rows.index != 7, 1.0)), AOPC)


@caught_by("recomputed rows differ by up to 0.001")
def every_row_by_a_thousandth(bundle: Path) -> None:
    edit_rows(cell(bundle, "saliency"), lambda rows: rows.assign(value=rows["value"] + 1e-3), AOPC)


@caught_by("recomputed rows differ")
def rows_of_another_method(bundle: Path) -> None:
    other = pq.read_table(cell(bundle, "influence-patterns") / "scores" / f"{AOPC}.parquet").to_pandas()
    edit_rows(cell(bundle, "saliency"), lambda rows: other, AOPC)


@caught_by("explained instances have no row of aopc")
def rows_left_out(bundle: Path) -> None:
    edit_rows(cell(bundle, "saliency"), lambda rows: rows[rows["instance"] != rows["instance"].iloc[0]], AOPC)


@caught_by("recomputed rows are missing from it")
def a_draw_left_out(bundle: Path) -> None:
    edit_rows(cell(bundle, "random"), lambda rows: rows[rows["draw"] > 0], AOPC)


@caught_by("an instance has two rows of one variant and draw")
def rows_twice(bundle: Path) -> None:
    edit_rows(cell(bundle, "saliency"), lambda rows: pd.concat([rows, rows.head(3)]), AOPC)


@caught_by("of its rows are not recomputed, first")
def rows_that_nobody_asked_for(bundle: Path) -> None:
    edit_rows(cell(bundle, "saliency"), lambda rows: pd.concat([rows, rows.assign(draw=1, value=1.0)]), AOPC)


@caught_by("scores that are NaN without a reason")
def a_row_without_a_reason(bundle: Path) -> None:
    edit_rows(cell(bundle, "saliency"), lambda rows: rows.assign(value=rows["value"].where(rows.index != 7)), AOPC)


@caught_by("recomputed rows differ in being defined")
def a_bad_row_undefined(bundle: Path) -> None:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(value=rows["value"].where(rows.index != 7), reason=rows["reason"].where(rows.index != 7, "no words."))

    edit_rows(cell(bundle, "saliency"), change, AOPC)


@caught_by("the reason of ")
def a_reason_of_a_row(bundle: Path) -> None:
    edit_rows(cell(bundle, "saliency"), lambda rows: rows.assign(reason="trust me."), AOPC)


@caught_by("scores lie outside [-1, 1], first 3")
def rows_out_of_bounds(bundle: Path) -> None:
    edit_rows(cell(bundle, "saliency"), lambda rows: rows.assign(value=3.0), AOPC)


@caught_by("of condition ")
def conditions_of_rows(bundle: Path) -> None:
    edit_rows(cell(bundle, "saliency"), lambda rows: rows.assign(condition="easy"), AOPC)


def _in_one_cluster(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of instances that are said to come from one source, so that their mean looks less sure than that of other methods."""
    rows.insert(2, "cluster", "passage 7")
    return rows


@caught_by("of cluster none, not passage 7")
def clusters_of_rows(bundle: Path) -> None:
    edit_rows(cell(bundle, "saliency"), _in_one_cluster, AOPC)


@caught_by("its rows have the columns")
def a_column_of_rows_that_stands_elsewhere(bundle: Path) -> None:
    edit_rows(cell(bundle, "saliency"), lambda rows: rows.assign(cluster="passage 7"), AOPC)


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


# Explanations and what is stored of each sentence.


@caught_by("recomputed rows differ")
def explanations(bundle: Path) -> None:
    def change(part: Part) -> Part:
        turned = tuple(replace(one, tokens=None if one.tokens is None else one.tokens[::-1].copy()) for one in part.gold)
        return replace(part, gold=turned, predicted=turned)

    edit_part(bundle, "saliency", change)


@caught_by("is predicted correctly, but has another explanation of the predicted answer")
def explanations_of_the_predicted_answer(bundle: Path) -> None:
    def change(part: Part) -> Part:
        other = Explanation(tokens=np.arange(len(part.sentences[0].tokens), dtype=float))
        return replace(part, predicted=(other, *part.predicted[1:]))

    edit_part(bundle, "saliency", change)


@caught_by("its explanations have no place in the model")
def explanations_of_another_shape(bundle: Path) -> None:
    def change(part: Part) -> Part:
        heads = tuple(replace(one, heads=np.zeros((9, 9))) for one in part.gold)
        return replace(part, gold=heads, predicted=heads)

    edit_part(bundle, "saliency", change)


@caught_by("1 of 4 instances of the task are not explained")
def a_hard_sentence_left_out(bundle: Path) -> None:
    """The cells are as if they had been run on three sentences."""
    for method in ("saliency", "random", "influence-patterns"):
        folder, cost = cell(bundle, method), dict[str, float]()
        (path,) = (folder / "explanations").iterdir()
        part = from_bytes(path.read_bytes())
        first, *left = part.sentences
        cost |= {**part.cost, "explanations": int(part.cost["explanations"]) - (1 if first.correct else 2)}
        path.write_bytes(to_bytes(Part(tuple(left), part.gold[1:], part.predicted[1:], cost)))
        for scores in (folder / "scores").iterdir():
            edit_rows(folder, partial(_without, first.id), scores.stem)
        stored = json.loads((folder / "record.json").read_text())
        seconds = (cost["own_seconds"] + cost["charged_seconds"]) / cost["explanations"]
        passes = cost["passes"] / cost["explanations"]
        processor = cost["processor"] / cost["explanations"]
        costs = {"explanations": cost["explanations"], "seconds": seconds, "passes": passes, "processor": processor}
        costs = stored["cost"] | costs
        edit_record(bundle, method, instances=3, correct=sum(bool(sentence.correct) for sentence in left), cost=costs)


def _without(instance: str, rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["instance"] != instance].reset_index(drop=True)


def sentences_of_choice() -> None:
    """Each field that is stored of a sentence."""
    changes: dict[str, Callable[[ExplainedSentence], Any]] = {
        "tokens": lambda one: ("[CLS]", "Buy", *one.tokens[2:]),
        "slots": lambda one: ("SUBJ", *one.slots[1:]),
        "words": lambda one: ((0, 0), *one.words[1:]),
        "target": lambda one: 0,
        "answer": lambda one: ("never",),
        "against": lambda one: ("never",),
        "predicted": lambda one: ("never",),
    }
    for field, change in changes.items():

        def tamper(bundle: Path, field: str = field, change: Callable[[ExplainedSentence], Any] = change) -> None:
            edit_sentence(bundle, "saliency", lambda one: replace(one, **{field: change(one)}))

        caught_by(f"{field} of ", f"{field}_of_a_sentence")(tamper)


sentences_of_choice()


@caught_by("cluster of ")
def clusters_of_sentences_and_rows(bundle: Path) -> None:
    """With all its rows changed alike, so that the cell is consistent."""
    edit_part(
        bundle, "saliency",
        lambda part: replace(part, sentences=tuple(replace(one, cluster="passage 7") for one in part.sentences)),
    )  # fmt: skip
    edit_rows(cell(bundle, "saliency"), _in_one_cluster, AOPC)


@caught_by("condition of ")
def conditions_of_sentences_and_rows(bundle: Path) -> None:
    """With its own rows changed alike, so that the cell is consistent."""
    edit_part(
        bundle, "saliency", lambda part: replace(part, sentences=tuple(replace(one, condition="easy") for one in part.sentences))
    )
    edit_rows(cell(bundle, "saliency"), lambda rows: rows.assign(condition="easy"), AOPC)


@caught_by("predicted correctly")
def a_number_of_correct_predictions(bundle: Path) -> None:
    edit_record(bundle, "saliency", correct=2)


@caught_by("correct of ")
def correct_predictions_of_sentences(bundle: Path) -> None:
    """With the number of correct predictions and of explanations changed alike."""
    folder = cell(bundle, "saliency")
    edit_sentence(bundle, "saliency", lambda one: replace(one, correct=not one.correct))
    part = from_bytes(next((folder / "explanations").iterdir()).read_bytes())
    correct = sum(bool(one.correct) for one in part.sentences)
    count = 2 * len(part.sentences) - correct
    edit_part(bundle, "saliency", lambda part: replace(part, cost={**part.cost, "explanations": count}, predicted=part.gold))
    seconds = (part.cost["own_seconds"] + part.cost["charged_seconds"]) / count
    each = {name: part.cost[name] / count for name in ("passes", "processor")}
    costs = {"explanations": count, "seconds": seconds, **each}
    edit_json(
        folder / "record.json",
        lambda data: data | {"correct": correct, "cost": data["cost"] | costs},
    )


@caught_by("its record says 60")
def a_number_of_instances(bundle: Path) -> None:
    edit_record(bundle, "saliency", instances=60)


@caught_by("its labels is {'good': 1}")
def labels(bundle: Path) -> None:
    edit_record(bundle, "saliency", labels={"good": 1})


@caught_by("its cut is 3")
def a_number_of_cut_texts(bundle: Path) -> None:
    edit_record(bundle, "saliency", cut=3)


@caught_by("its skipped is")
def skipped_sentences(bundle: Path) -> None:
    edit_record(bundle, "saliency", skipped=["one that nobody needs."])


@caught_by("its skipped is")
def skipped_sentences_of_a_cell_that_is_not_applicable(bundle: Path) -> None:
    edit_record(bundle, "diffmask-input", skipped=["one that nobody needs."])


@caught_by("it does not have the sha256 that is noted in it")
def a_seal(bundle: Path) -> None:
    """A board's readers would take such a file for damaged."""
    (path,) = (cell(bundle, "saliency") / "explanations").iterdir()
    data = path.read_bytes()
    start = data.rindex(MARK) + len(MARK)
    path.write_bytes(data[:start] + b"f" * 64 + data[start + 64 :])


@refused_by("its files are not of the sizes that its record lists", OF_RECORDS)
def sizes_of_files(bundle: Path) -> None:
    folder = cell(bundle, "random")
    edit_record(bundle, "random", sizes={path.relative_to(folder).as_posix(): 7 for path in folder.glob("*/*")})


@caught_by("tables leave it out, but no score of the bundle is matched to it")
def a_bad_cell_that_is_marked_as_a_reference(bundle: Path) -> None:
    edit_record(bundle, "random", reference_only=True)


# Costs and times.


@caught_by("a cost is negative or infinite")
def negative_seconds(bundle: Path) -> None:
    edit_part(bundle, "saliency", lambda part: replace(part, cost={**part.cost, "own_seconds": -5.0}))


@caught_by("the cost in its record is not that of its explanations")
def seconds_of_the_record_alone(bundle: Path) -> None:
    edit_json(cell(bundle, "saliency") / "record.json", lambda data: data["cost"].update(seconds=-5.0))


@caught_by("a cost is negative or infinite")
def infinite_seconds(bundle: Path) -> None:
    edit_part(bundle, "saliency", lambda part: replace(part, cost={**part.cost, "own_seconds": math.inf}))


@caught_by("its record cannot be read")
def infinite_seconds_of_the_record_alone(bundle: Path) -> None:
    edit_json(cell(bundle, "saliency") / "record.json", lambda data: data["cost"].update(seconds="Infinity"))


@caught_by("the cost in its record is not that of its explanations")
def no_cost(bundle: Path) -> None:
    edit_record(bundle, "saliency", cost=None)


@caught_by("a cost is negative or infinite")
def negative_memory(bundle: Path) -> None:
    edit_part(bundle, "saliency", lambda part: replace(part, cost={**part.cost, "peak_bytes": -1.0}))


@caught_by("a cost is negative or infinite")
def negative_seconds_of_a_score(bundle: Path) -> None:
    edit_score(bundle, "saliency", AOPC, seconds=-5.0)


@caught_by("it says that it computed 600 explanations, and has 4")
def a_number_of_explanations(bundle: Path) -> None:
    edit_part(bundle, "saliency", lambda part: replace(part, cost={**part.cost, "explanations": 600}))


@caught_by("which is no time")
def a_time(bundle: Path) -> None:
    edit_record(bundle, "saliency", finished="<b>tomorrow</b>")


# Names, keys and places.


def names_of_methods() -> None:
    for name, words in {
        "influence_patterns": "may be mistaken for flowgauge's own influence-patterns",
        "lntegrated-gradients": "may be mistaken for flowgauge's own integrated-gradients",
        "saliency2": "may be mistaken for flowgauge's own saliency",
        "\uff53aliency": "the manifest names",
        "m\u00e9thode": "the manifest names",
        "": "a method cannot be called ''",
    }.items():

        def tamper(bundle: Path, name: str = name) -> None:
            def change(stored: dict[str, Any]) -> None:
                stored["key"]["method"] |= {"name": name, "source": "ab" * 32}
                stored["method"] = name

            rekey(bundle, "saliency", change)

        caught_by(words, f"a_method_called_{name!a}")(tamper)


names_of_methods()


@caught_by("cannot be built with its settings")
def a_setting_that_the_method_does_not_have(bundle: Path) -> None:
    rekey(bundle, "saliency", lambda s: (s["settings"].update(x=1), s["key"]["method"]["settings"].update(x=1)))


@caught_by("is another: its producers is")
def a_method_with_more_in_its_key(bundle: Path) -> None:
    rekey(bundle, "saliency", lambda stored: stored["key"]["method"].update(producers="me"))


@caught_by("its seed is 3, and saliency does not draw")
def a_seed_of_a_method_that_does_not_draw(bundle: Path) -> None:
    rekey(bundle, "saliency", lambda stored: (stored.update(seed=3), stored["key"].update(seed=3)))


@caught_by("may be mistaken for flowgauge's own agreement-bert")
def a_model_by_a_similar_name(bundle: Path) -> None:
    for record in bundle.glob("cells/**/record.json"):
        edit_json(record, lambda data: data | {"model": "agreement_bert"})
    (bundle / "cells" / "agreement-bert").rename(bundle / "cells" / "agreement_bert")


@caught_by("its model is called 'my-bert', and is 'agreement-bert'")
def a_model_by_another_name(bundle: Path) -> None:
    for record in bundle.glob("cells/**/record.json"):
        edit_json(record, lambda data: data | {"model": "my-bert"})
    (bundle / "cells" / "agreement-bert").rename(bundle / "cells" / "my-bert")


@caught_by("the name of its task is 'sva/subj', here 'sva/obj'")
def a_task_by_the_name_of_another(bundle: Path) -> None:
    for record in [*bundle.glob("cells/**/record.json")]:
        stored = json.loads(record.read_text())
        stored["key"]["task"]["name"] = stored["task"] = "sva/subj"
        stored["cell"] = short_hash(stored["key"])
        record.write_text(json.dumps(stored))
        target = bundle / "cells" / "agreement-bert" / "sva" / "subj" / f"{stored['method']}-{stored['cell']}"
        target.parent.mkdir(exist_ok=True)
        record.parent.rename(target)


@caught_by("has other instances now")
def another_task(bundle: Path) -> None:
    for record in bundle.glob("cells/**/record.json"):
        edit_json(record, lambda data: data | {"asked": data["asked"] | {"task": {"name": "sva/subj"}}})


@caught_by("the version of its task is 9")
def another_version_of_the_task(bundle: Path) -> None:
    rekey(bundle, "saliency", lambda stored: stored["key"]["task"].update(version=9))


@caught_by("expected dtype, fingerprint")
def more_in_the_key(bundle: Path) -> None:
    rekey(bundle, "saliency", lambda stored: stored["key"].update(note="the best"))


@caught_by("is not the one that sva/obj was explained with")
def the_fingerprint_of_another_model(bundle: Path) -> None:
    rekey(bundle, "saliency", lambda stored: stored["key"].update(fingerprint="0" * 64))


@caught_by("its name is not the hash of its key")
def a_key_that_does_not_fit_the_name(bundle: Path) -> None:
    edit_json(cell(bundle, "saliency") / "record.json", lambda data: data["key"]["task"].update(version=9))


@caught_by("it lies in another folder than model, task and name of its record say")
def a_cell_in_the_folder_of_another_task(bundle: Path) -> None:
    folder = bundle / "cells" / "agreement-bert" / "sva"
    (folder / "obj").rename(folder / "subj")


@caught_by("its status is partial")
def an_unfinished_cell(bundle: Path) -> None:
    edit_record(bundle, "saliency", status="partial")


# Paths of a submitter's choice.


def _asked(bundle: Path, **asked: Any) -> None:
    edit_json(cell(bundle, "saliency") / "record.json", lambda data: data | {"asked": data["asked"] | asked})


def _pipe(bundle: Path, name: str) -> str:
    path = bundle.parent / name
    os.mkfifo(path)
    return str(path)


@caught_by("name your copy of a file with --task")
def a_task_that_is_a_pipe(bundle: Path) -> None:
    _asked(bundle, task={"name": _pipe(bundle, "pairs.tsv")})


@caught_by("is not installed here, and files and folders of a submitter's choice are not opened")
def a_task_that_is_a_pipe_of_any_name(bundle: Path) -> None:
    _asked(bundle, task=_pipe(bundle, "pairs"))


@caught_by("code that comes with a bundle is not run")
def a_task_that_is_code(bundle: Path) -> None:
    _asked(bundle, task={"name": "/tmp/mine.py:task"})


@caught_by("files and folders of a submitter's choice are not opened: say where yours is with --data-dir")
def a_data_folder(bundle: Path) -> None:
    _asked(bundle, task={"name": "sst2", "data_dir": str(bundle)})


@caught_by("files and folders of a submitter's choice are not opened: say where yours is with --model")
def a_model_that_is_a_pipe(bundle: Path) -> None:
    _asked(bundle, model=_pipe(bundle, "model"))


@refused_by("files that its record lists are not in it, first ../../../../../evil.json", OF_RECORDS)
def a_file_outside_the_board(bundle: Path) -> None:
    edit_json(cell(bundle, "saliency") / "record.json", lambda data: data["files"].update({"../../../../../evil.json": "0" * 64}))


# Trainings.


def planted_training(bundle: Path, folder: str = "", method: str = "saliency", **fields: Any) -> Path:
    """A training of a cell of the bundle, which is in order but for the given fields."""
    key = json.loads((cell(bundle, method) / "record.json").read_text())["key"]
    home = bundle / "cells" / "fits" / (folder or f"{method}-{short_hash(key)}")
    home.mkdir(parents=True)
    (home / "weights.safetensors").write_bytes(b"weights")
    sums = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
    fit = {"key": key, "status": "done", "seconds": 1.0, "curve": [], "weights": sums}
    (home / "fit.json").write_text(json.dumps(fit | fields))
    return home


@caught_by("its name is not the hash of its key")
def a_training_in_another_folder(bundle: Path) -> None:
    planted_training(bundle, "diffmask-input-000000000000")


@caught_by("its weights are not those whose sum its fit.json holds")
def a_training_with_other_weights(bundle: Path) -> None:
    planted_training(bundle, weights="0" * 64)


@caught_by("its weights are not those whose sum its fit.json holds")
def a_training_with_an_empty_sum(bundle: Path) -> None:
    planted_training(bundle, weights="")


@caught_by("its fit.json cannot be read")
def a_training_of_another_kind(bundle: Path) -> None:
    planted_training(bundle, seconds="1")


@caught_by("it took -1.0 seconds")
def a_training_of_negative_length(bundle: Path) -> None:
    planted_training(bundle, seconds=-1.0)


# Types, and keys that stand twice.


def types_of_records() -> None:
    for field, value in {"schema_version": True, "instances": "6", "cut": 0.0, "seed": False, "error": None}.items():

        def tamper(bundle: Path, field: str = field, value: Any = value) -> None:
            edit_record(bundle, "saliency", **{field: value})

        caught_by("its record cannot be read", f"{field}_is_{json.dumps(value)}")(tamper)


types_of_records()


@refused_by("the key 'instances' stands twice", OF_RECORDS)
def a_key_of_a_record_twice(bundle: Path) -> None:
    path = cell(bundle, "saliency") / "record.json"
    path.write_text(path.read_text().rstrip()[:-1] + ', "instances": 6}')


@refused_by("is not a manifest")
def a_schema_that_is_true(bundle: Path) -> None:
    edit_json(bundle / "manifest.json", lambda data: data | {"schema_version": True})


@refused_by("is not a manifest")
def sizes_that_are_texts(bundle: Path) -> None:
    edit_json(bundle / "manifest.json", lambda data: next(iter(data["files"].values())).update(bytes="7"))


@refused_by("the key 'submitter' stands twice")
def a_key_of_the_manifest_twice(bundle: Path) -> None:
    path = bundle / "manifest.json"
    path.write_text(path.read_text().rstrip()[:-1] + ', "submitter": "another"}')


@refused_by("is not a manifest")
def a_blank_submitter(bundle: Path) -> None:
    edit_json(bundle / "manifest.json", lambda data: data | {"submitter": " "})


@refused_by("has another sha256 than the manifest says")
def a_file_that_was_changed(bundle: Path) -> None:
    path = cell(bundle, "saliency") / "record.json"
    path.write_text(path.read_text().replace("saliency", "SALIENCY"))


@refused_by("neither a plain file nor a folder")
def a_pipe_in_the_place_of_a_file(bundle: Path) -> None:
    path = cell(bundle, "saliency") / "record.json"
    path.unlink()
    os.mkfifo(path)


@refused_by("manifest.json is no plain file")
def a_pipe_in_the_place_of_the_manifest(bundle: Path) -> None:
    (bundle / "manifest.json").unlink()
    os.mkfifo(bundle / "manifest.json")
