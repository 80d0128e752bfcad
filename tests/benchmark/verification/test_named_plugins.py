"""The task, metric and method that a record names, as they are here."""

from __future__ import annotations

import pytest

from flowgauge.benchmark.verification.named_plugins import method_of, metric_of, task_of
from flowgauge.core.errors import FlowgaugeError, NotApplicable
from flowgauge.methods.registry import OUTSIDE

METRIC = "comprehensiveness@1"


def test_a_folder_of_the_submitters_is_not_read(explained, tmp_path) -> None:
    (record,) = explained.records()
    foreign = record.model_copy(update={"asked": {**record.asked, "model": str(tmp_path)}})
    with pytest.raises(FlowgaugeError, match=r"of a submitter's choice are not opened: say where yours is with --model"):
        task_of(foreign, (), None, None)


def test_metrics_and_methods_are_those_that_are_here(explained) -> None:
    (record,) = explained.records()
    score = record.scores[METRIC]
    assert metric_of(score).name == "comprehensiveness" and method_of(record).name == "gradient-x-input"
    with pytest.raises(FlowgaugeError, match="comprehensiveness@9 is not among this flowgauge's metrics"):
        metric_of(score.model_copy(update={"metric": "comprehensiveness@9"}))
    with pytest.raises(FlowgaugeError, match="is a file of the submitter's"):
        metric_of(score.model_copy(update={"name": "mine.py:metric"}))
    newer = {**record.key, "method": {**record.key["method"], "version": 99}}
    with pytest.raises(NotApplicable, match="is another: its version is 1, there 99"):
        method_of(record.model_copy(update={"key": newer}))
    elsewhere = {**record.key, "method": {**record.key["method"], "producer": "captum 0.9"}}
    with pytest.raises(NotApplicable, match=r"computed outside flowgauge, by captum 0.9"):
        method_of(record.model_copy(update={"key": elsewhere, "method": f"{OUTSIDE}mine"}))
