"""Forged: that a method or a metric is not applicable, and why."""

from __future__ import annotations

import shutil
from pathlib import Path

from ...forged import cell, claim, edit_json
from .catalogue import ACCURACY, AOPC, caught_by
from .edits import edit_record, edit_score


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
