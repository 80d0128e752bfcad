"""Forged: costs and times."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from ...forged import cell, edit_json
from .catalogue import AOPC, caught_by
from .edits import edit_part, edit_record, edit_score


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
