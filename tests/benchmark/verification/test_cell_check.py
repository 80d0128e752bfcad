"""What a record says beside its scores, held against model and task."""

from __future__ import annotations

from typing import Any

import pytest

from flowgauge.benchmark.store.record import Record
from flowgauge.benchmark.verification.cell_check import check_declaration, check_inputs, check_question
from flowgauge.benchmark.verification.recompute_scores import ScoreRecomputer
from flowgauge.core.errors import FlowgaugeError


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("cut", 1, "its cut is 1, here 0."),
        ("labels", {"a": 0}, r"its labels is \{'a': 0\}, here \{\}."),
        ("skipped", ("x",), r"its skipped is \('x',\), here \(\)."),
    ],
)
def test_what_was_left_out_or_cut_is_compared(explained: Any, field: str, value: Any, what: str) -> None:
    (record,) = explained.records()
    _, batches = ScoreRecomputer(device="cpu").encoded(explained, record)
    check_inputs(record, batches)
    with pytest.raises(FlowgaugeError, match=what):
        check_inputs(record.model_copy(update={field: value}), batches)


def test_names_and_key_are_compared(explained: Any) -> None:
    (record,) = explained.records()
    group, _ = ScoreRecomputer(device="cpu").encoded(explained, record)

    def changed(**fields: Any) -> Record:
        return record.model_copy(update={"key": {**record.key, **fields}})

    check_question(record, group, None)
    with pytest.raises(FlowgaugeError, match="the version of its task is 9, here 1"):
        check_question(changed(task={**record.key["task"], "version": 9}), group, None)
    with pytest.raises(
        FlowgaugeError, match="its key holds dtype, fingerprint, max_tokens, note, on_split, task, expected dtype"
    ):
        check_question(changed(note="x"), group, None)
    with pytest.raises(FlowgaugeError, match="its model is called 'mine', and is 'agreement-bert'"):
        check_question(record.model_copy(update={"model": "mine"}), group, None)
    check_question(record.model_copy(update={"model": "mine"}), group, "a folder that the verifier named")


def test_costs_and_results_are_no_part_of_the_declaration(explained: Any) -> None:
    (record,) = explained.records()
    score = record.scores["comprehensiveness@1"]
    check_declaration(score, score.model_copy(update={"seconds": 9.0, "aggregates": (), "status": "failed", "reason": "x"}))
    with pytest.raises(FlowgaugeError, match="its higher_is_better is True, comprehensiveness@1 has False"):
        check_declaration(score, score.model_copy(update={"higher_is_better": False}))
