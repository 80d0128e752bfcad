"""Forged: counts, labels and types of a record, and the files that it lists."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from flowgauge.benchmark.store.explanation_file import from_bytes

from ...forged import cell, edit_json
from .catalogue import OF_RECORDS, caught_by, refused_by
from .edits import edit_part, edit_record, edit_sentence


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


@refused_by("its files are not of the sizes that its record lists", OF_RECORDS)
def sizes_of_files(bundle: Path) -> None:
    folder = cell(bundle, "random")
    edit_record(bundle, "random", sizes={path.relative_to(folder).as_posix(): 7 for path in folder.glob("*/*")})


@caught_by("tables leave it out, but no score of the bundle is matched to it")
def a_bad_cell_that_is_marked_as_a_reference(bundle: Path) -> None:
    edit_record(bundle, "random", reference_only=True)


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
