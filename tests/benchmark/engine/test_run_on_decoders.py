"""Runs on models of the next word, from a task to the table: agreement, drawn tasks, files, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.store.results import RunRecords
from flowgauge.core.errors import UsageError
from flowgauge.metrics.registry import METRICS as ALL_METRICS
from flowgauge.models.flow.flow_model import FlowModel
from flowgauge.models.inputs.encode import batches, encode
from flowgauge.tasks.instance import Instance
from flowgauge.tasks.registry import load_task

DECODERS = ["gpt2", "llama"]
CLOSE = {"gpt2": 1e-9, "llama": 1e-5}
"""How near logits come to those of Hugging Face, which computes the angles of rotary positions in float32."""
METHODS = ["random:draws=2", "gradient-x-input", "attention-rollout", "leave-one-out:baseline=zero"]
METRICS = ["comprehensiveness", "sufficiency", "retention_curve"]
CIRCUITS = {"circuit_performance", "circuit_distance"}


@pytest.fixture
def run_on(tiny_folder: Callable[..., Path], tmp_path: Path) -> Callable[..., RunRecords]:
    """Runs methods on a tiny decoder; `run_on(family, tasks, head="next", **fields)`."""

    def start(family: str, tasks: Any, head: str = "next", **fields: Any) -> RunRecords:
        options: dict[str, Any] = {"methods": METHODS, "metrics": METRICS, "limit": 6, "store": str(tmp_path), "device": "cpu"}
        return run(model=str(tiny_folder(family, head)), tasks=tasks, quiet=True, **{**options, **fields})

    return start


@pytest.mark.parametrize("family", DECODERS)
def test_agreement_tasks_are_scored_on_a_decoder(run_on: Callable[..., RunRecords], family: str) -> None:
    results = run_on(family, ["sva/obj", "ra/ga"])
    assert [r.status for r in results.records] == ["done"] * 2 * len(METHODS), [r.error for r in results.records]
    for record in results.records:
        assert record.instances == 6 and not record.skipped
        assert {score.status for name, score in record.scores.items() if "prehensive" in name} == {"done"}


@pytest.mark.parametrize("family", DECODERS)
def test_what_is_explained_is_the_prefix_alone(run_on: Callable[..., RunRecords], family: str) -> None:
    results = run_on(family, "sva/app", methods="gradient-x-input", metrics="comprehensiveness")
    (record,) = results.records
    sentences, _ = results.cell(record).summary()
    for instance in load_task("sva/app").instances("test", 6, 0):
        stored = sentences[instance.id]
        prefix = instance.segments[0].partition(" [MASK]")[0].split()
        assert stored.tokens == (*(["[CLS]"] if family == "llama" else []), *prefix)
        assert stored.slots[-1] == "ATTR" and stored.target == len(stored.tokens) - 1
        assert (stored.answer, stored.against) == (instance.answer, instance.against)


@pytest.mark.parametrize("family", DECODERS)
def test_the_logits_are_those_of_hugging_face_at_the_last_word(tiny_flows: Callable[..., FlowModel], family: str) -> None:
    model = tiny_flows(family, "next")
    instances = [*load_task("sva/obj").instances("test", 4, 0), *load_task("ra/ga").instances("test", 4, 0)]
    encoded = batches(model, instances)
    for batch in encoded.batches:
        with torch.no_grad():
            whole = model.hf(input_ids=batch.ids, attention_mask=batch.attention_mask.long()).logits
        assert batch.target is not None
        expected = whole[torch.arange(len(batch)), batch.target]
        assert (model.outputs(batch)[0] - expected).abs().max() < CLOSE[family] * expected.abs().max()
    assert sum(map(len, encoded.batches)) == 8


@pytest.mark.parametrize("family", DECODERS)
def test_a_classifier_on_a_decoder_reads_its_last_token(tiny_flows: Callable[..., FlowModel], family: str) -> None:
    model = tiny_flows(family, "label")
    instances = [Instance(str(i), (t,), (i,)) for i, t in enumerate(["the author is tall .", "the guard that the chef likes"])]
    batch = encode(model, instances)
    assert batch.target is not None and batch.target.tolist() == [n - 1 for n in batch.lengths]
    for row, instance in enumerate(instances):
        ids = torch.tensor([model.tokenizer(instance.segments[0])["input_ids"]])
        with torch.no_grad():
            expected = model.hf(input_ids=ids).logits[0]
        assert (model.outputs(batch)[0][row] - expected).abs().max() < CLOSE[family]


def test_sentiment_is_scored_on_a_decoder(run_on: Callable[..., RunRecords], tiny_data: Path) -> None:
    results = run_on("llama", "sst2", "label", data_dir=str(tiny_data), methods="gradient-x-input")
    assert [r.status for r in results.records] == ["done"]


def test_a_file_of_prefixes_and_one_that_says_that_words_before_decide(run_on: Callable[..., RunRecords], tmp_path: Path) -> None:
    prefixes, gaps = tmp_path / "prefixes.tsv", tmp_path / "gaps.tsv"
    prefixes.write_text("prefix\tgood\tbad\nthe author\tis\tare\nthe authors\tare\tis\n")
    gaps.write_text("sentence\tgood\tbad\tleft_to_right\nthe author [MASK] tall .\tis\tare\ttrue\n")
    options = {"methods": "gradient-x-input", "limit": None}
    assert [r.instances for r in run_on("gpt2", str(prefixes), **options).records] == [2]
    assert [r.instances for r in run_on("gpt2", str(gaps), **options).records] == [1]


def test_a_task_that_cannot_be_asked_stops_a_run_or_is_not_applicable(run_on: Callable[..., RunRecords], tmp_path: Path) -> None:
    path = tmp_path / "gaps.tsv"
    path.write_text("sentence\tgood\tbad\nthe author [MASK] tall .\tis\tare\nthe authors [MASK] tall .\tare\tis\n")
    tasks, options = [str(path), "sva/obj"], {"methods": "gradient-x-input", "limit": None}
    with pytest.raises(UsageError, match=r"the words 'tall \.' behind the gap of instance 'gaps/1' may decide .*left_to_right"):
        run_on("gpt2", tasks, **options)
    refused, done = run_on("gpt2", tasks, **{**options, "limit": 4}, on_split="skip").records
    assert (refused.task, refused.status, refused.instances) == ("file/gaps", "not-applicable", 0)
    assert refused.error.startswith(
        "none of the 2 instances can be asked of model 'tiny-gpt2-next-1': gaps/1: the words 'tall .' behind the gap"
    )
    assert (done.task, done.status, done.instances) == ("sva/obj", "done", 4)
    with pytest.raises(UsageError, match="none of the 2 instances can be asked of model"):
        run_on("gpt2", str(path), **options, on_split="skip", seeds=(1,))
    again, _ = run_on("gpt2", tasks, **{**options, "limit": 4}, on_split="skip").records
    assert again == refused, "it is finished and not tried again"


def test_a_task_with_some_sentences_that_can_be_asked_is_scored_on_these(
    run_on: Callable[..., RunRecords], tmp_path: Path
) -> None:
    path = tmp_path / "mixed.tsv"
    path.write_text("sentence\tgood\tbad\nthe author [MASK] tall .\tis\tare\nthe authors [MASK] .\tare\tis\n")
    (record,) = run_on("gpt2", str(path), methods="gradient-x-input", limit=None, on_split="skip").records
    assert (record.status, record.instances, len(record.skipped)) == ("done", 1, 1)


def test_where_no_answer_is_one_token_a_run_of_one_task_stops(run_on: Callable[..., RunRecords], tmp_path: Path) -> None:
    path = tmp_path / "unknown.tsv"
    path.write_text("prefix\tgood\tbad\nthe author\tsupercalifragilistic\tare\n")
    with pytest.raises(UsageError, match=r"none of the 1 instances is left .* does not know it"):
        run_on("gpt2", str(path), methods="gradient-x-input", limit=None, on_split="skip")
    refused, done = run_on("gpt2", [str(path), "ra/na"], methods="gradient-x-input", limit=4, on_split="skip").records
    assert (refused.status, done.status) == ("not-applicable", "done") and "supercalifragilistic" in refused.error


def test_every_metric_scores_a_decoder_or_says_why(run_on: Callable[..., RunRecords]) -> None:
    smaller = {"random_rank": "random_rank:patterns=20,words=4,samples=3", "sensitivity": "sensitivity:samples=1"}
    metrics = [smaller.get(name, name) for name in ALL_METRICS.builtin if ALL_METRICS.create(name).scope != "cells"]
    metrics += [f"ablated_accuracy:operator={operator}" for operator in ("mean", "resample", "mask", "cut")]
    methods = ["influence-patterns:samples=3", "attattr:steps=2", "diffmask-single:steps=6", "random"]
    results = run_on("llama", "sva/obj", methods=methods, metrics=metrics, limit=2)
    scores = {record.method: record.scores.values() for record in results.records}
    assert [record.status for record in results.records] == ["done"] * 4
    assert not [(score.metric, score.reason) for of in scores.values() for score in of if score.status == "failed"]
    scored = {score.name for of in scores.values() for score in of if score.status == "done"}
    reasons = [(score.name, score.reason) for of in scores.values() for score in of if score.name not in scored]
    unfit = {name: [reason for other, reason in reasons if other == name] for name, _ in reasons}
    assert set(unfit) == {"plausibility", "ground_truth_divergence", "ground_truth", "depth_kept"} | (set(unfit) & CIRCUITS)
    assert all(any("the task's instances" in reason for reason in unfit[name]) for name in set(unfit) - CIRCUITS)
    replaced = {score.settings.get("baseline") for score in scores["influence-patterns"] if "baseline" in score.settings}
    assert replaced == {"pad"}
