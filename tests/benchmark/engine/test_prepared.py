"""A group's batches with their predictions."""

from __future__ import annotations

import pytest

from flowgauge.benchmark.engine.prepared import encode_group
from flowgauge.benchmark.engine.resolve import resolve
from flowgauge.benchmark.engine.run import open_groups
from flowgauge.core.errors import UsageError


def group_of(plan):
    (group,) = open_groups(resolve(plan))
    return group


def test_batches_are_predicted_once_and_their_shared_work_is_dropped(make_plan) -> None:
    batches = encode_group(group_of(make_plan()), (), 5)
    assert [len(batches(index).instances) for index in range(len(batches))] == [5, 5, 2]
    first = batches(0)
    assert batches(0) is first
    first.batch.cache["trace"] = first.predicted_batch.cache["trace"] = 1
    batches(1)
    assert "trace" not in first.batch.cache and "trace" not in first.predicted_batch.cache
    first.batch.cache["trace"] = 1
    batches.free()
    assert "trace" not in first.batch.cache


def test_wrong_predictions_are_a_batch_of_their_own(make_plan) -> None:
    prepared = encode_group(group_of(make_plan()), (), 12)(0)
    wrong = [row for row, sentence in enumerate(prepared.sentences) if not sentence.correct]
    assert 0 < len(wrong) < 12 and prepared.wrong == tuple(wrong)
    assert (prepared.wrong_batch.answer == prepared.predicted_batch.answer[wrong]).all()
    assert (prepared.batch.answer[wrong] != prepared.predicted_batch.answer[wrong]).any(1).all()


def test_metrics_of_patterns_make_batches_smaller(make_plan, monkeypatch) -> None:
    sizes = []
    monkeypatch.setattr("flowgauge.benchmark.engine.prepared.batches", lambda *args, samples, **options: sizes.append(samples))
    takes_paths = type("Metric", (), {"needs": {"path_samples"}})
    group = group_of(make_plan())
    encode_group(group)
    encode_group(group, [takes_paths])
    assert sizes[0] == 1 and sizes[1] > 1


def test_sentences_that_are_too_long_and_another_head_are_refused(make_plan, tiny_data) -> None:
    with pytest.raises(
        UsageError, match=r"none of the .* instances is left .* tokens, more than 10; choose a larger --max-tokens"
    ):
        encode_group(group_of(make_plan(max_tokens=10, limit=None)))
    with pytest.raises(UsageError, match="needs a model with a sequence-classification head"):
        encode_group(group_of(make_plan(tasks="sst2", limit=2, data_dir=str(tiny_data))))


def test_rows_that_are_no_instances_are_told_once_with_the_sentences_that_do_not_fit(make_plan, tmp_path) -> None:
    path = tmp_path / "pairs.tsv"
    rows = ["the author [MASK] tall .\tis\tare", "no gap here\tis\tare", "the author [MASK] tall .\tsupercalifragilistic\tare"]
    path.write_text("\n".join(["sentence\tgood\tbad", *rows]) + "\n")
    group = group_of(make_plan(tasks=f"{path}:on_broken=skip", limit=None, on_split="skip"))
    first, second = encode_group(group).encoded.skipped
    assert first.startswith("1 of 3 rows of pairs.tsv left out, the first: line 3:") and second.startswith("pairs/3:")
