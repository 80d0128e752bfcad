"""Runs on heads whose outputs are no classes: scores are explained as they are, and labels one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.external.importer import questions
from flowgauge.core.errors import UsageError

METHODS = ("gradient-x-input", "integrated-gradients", "exact-erasure")
METRICS = ("ablated_accuracy", "comprehensiveness", "loo_correlation", "completeness_error")
NO_CLASSES = "the model gives one score and no classes, so that it has no prediction, accuracy or probability."


@pytest.fixture
def texts(tmp_path: Path) -> Callable[..., str]:
    """`texts(*labels)`: a file of labelled texts."""

    def write(*labels: str) -> str:
        path = tmp_path / "texts.tsv"
        path.write_text("sentence\tlabel\n" + "".join(f"the author is tall .\t{label}\n" for label in labels))
        return str(path)

    return write


def test_a_score_is_explained_and_metrics_that_need_classes_are_not_applicable(
    tiny_folder, tiny_data, texts, tmp_path: Path
) -> None:
    model, task = str(tiny_folder("bert", "score")), texts("0.8", "0")
    results = run(model=model, tasks=task, methods=METHODS, metrics=METRICS, store=str(tmp_path / "store"), device="cpu")
    cells = {record.method: record for record in results.records}
    assert (cells["exact-erasure"].status, cells["exact-erasure"].error) == ("not-applicable", NO_CLASSES)
    explained = cells["integrated-gradients"]
    assert explained.status == "done" and explained.correct is None
    for metric in ("ablated_accuracy@1", "comprehensiveness@1"):
        assert (explained.scores[metric].status, explained.scores[metric].reason) == ("not-applicable", NO_CLASSES)
    error = {a.variant: a.value for a in explained.scores["completeness_error@1"].aggregates}
    assert explained.scores["loo_correlation@1"].status == "done" and 0 < error["absolute"] < 0.5
    sentence = next(iter(results.cell(explained).sentences().values()))
    assert (sentence.answer, sentence.against, sentence.correct, sentence.verdict) == (("score",), (), None, "")
    with pytest.raises(UsageError, match=r"are of models whose classes exclude each other, and .* has one score, no classes"):
        questions(task, model, device="cpu")
    fields = {"tasks": "sst2", "data_dir": str(tiny_data), "methods": "random", "metrics": METRICS[1], "device": "cpu"}
    with pytest.raises(UsageError, match=r"has one score, no classes, the task has 2: negative, positive"):
        run(model=model, store=str(tmp_path / "store"), **fields)


def test_labels_are_yes_no_questions(tiny_folder, texts, tmp_path: Path) -> None:
    model, task = str(tiny_folder("bert", "labels")), texts("toxic", "not toxic", "fine")
    results = run(model=model, tasks=task, methods=METHODS, metrics=METRICS, store=str(tmp_path / "store"), device="cpu")
    record = next(record for record in results.records if record.method == "integrated-gradients")
    sentences = results.cell(record).sentences()
    first, second, third = (sentences[f"texts/{i}"] for i in (1, 2, 3))
    assert (first.answer, first.against) == (("toxic",), ("not toxic",)) == (second.against, second.answer)
    assert third.answer == ("fine",) and first.correct != second.correct and first.predicted == second.predicted
    assert record.correct == sum(bool(sentence.correct) for sentence in sentences.values())
    assert {name: score.status for name, score in record.scores.items()} == {f"{name}@1": "done" for name in METRICS}
