"""Forged: what a score says of its metric."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .catalogue import ACCURACY, AOPC, caught_by
from .edits import edit_score


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
