"""What users wait for, beside what it should not cost much more than: methods, scores and whole runs, each pair in one run.

Ratios are of processor time, which other programs on the machine hardly move; wall times stand beside them.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from transformers import BertForMaskedLM, BertForSequenceClassification

from ...methods.explanation import Explanation
from ...methods.gradients.attattr import AttAttr
from ...methods.registry import METHODS
from ...metrics.base import ExplainedBatch
from ...metrics.registry import METRICS
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ...models.inputs.encode import encode
from ...models.load import load_model
from ...tasks.registry import load_task
from ..engine.explain import PreparedBatch, explain_batch, prepare
from ..engine.run import run
from .growth import taken_by
from .measure import SHAPE, MaskTokenizer, random_gaps
from .peers.captum_by_hand import METHODS as WORD_METHODS
from .peers.captum_by_hand import METRICS as WORD_METRICS
from .peers.captum_by_hand import by_hand
from .peers.published_attattr import STEPS, TOKENS, batch_of, literal, random_ids, random_model

LONG = 60.0
"""Processor time from which on a side of a comparison is timed once, without a repeat (s)."""
MODEL, TASK = "agreement-bert", "sva/obj"
DEPTHS = {6: 0.46, 12: 0.50}
"""Layers of the classifiers that `attattr` explains beside the published algorithm, with the largest share of its time."""
SHARE_BY_FEWER_STEPS = 0.22
"""The same of `attattr` by `FEW_STEPS` Gauss-Legendre steps."""
FEW_STEPS = 6
"""They leave a smaller completeness error than the published 20 on trained models (docs/measurements.md)."""
SCORED = ("retention_curve", "comprehensiveness", "sufficiency")


class ComparisonSizes(NamedTuple):
    """How much is computed.

    Attributes:
        sentences: Sentences whose methods and scores are compared.
        run: Sentences of whole runs.
        draws: What `random` draws, as its setting says.
        patterns: Random patterns for each word that is ranked.
        shape: Settings of the random model's configuration.
        tokens: Tokens of the sentence that `attattr` explains.
        depths: Layers of the classifiers that it explains.
    """

    sentences: int = 4
    run: int = 20
    draws: int | str = "pairs:2"
    patterns: int = 100
    shape: dict[str, int] = SHAPE
    tokens: int = TOKENS
    depths: Sequence[int] = tuple(DEPTHS)


class Comparison(NamedTuple):
    """Something that is timed, and what its time is divided by.

    Attributes:
        name: What is timed.
        unit: What it is compared with.
        goal: The largest ratio that it should have.
        job: Does it.
        against: Does what it is compared with.
    """

    name: str
    unit: str
    goal: float
    job: Callable[[], object]
    against: Callable[[], object]


@dataclass(frozen=True)
class ComparedTime:
    """A row of the table.

    Attributes:
        name: What was timed.
        unit: What it was compared with.
        goal: The largest ratio that it should have.
        seconds: Median of its wall time (s).
        unit_seconds: Median wall time of what it was compared with (s).
        ratio: Median over repeats of the ratio of processor times.
        low, high: Smallest and largest ratio of a repeat.
        repeats: How many there were.
    """

    name: str
    unit: str
    goal: float
    seconds: float
    unit_seconds: float
    ratio: float
    low: float
    high: float
    repeats: int


def compare_times(repeats: int = 5, sizes: ComparisonSizes = ComparisonSizes()) -> Iterator[ComparedTime]:
    """Times every comparison, its two sides in turn in every repeat, after one repeat that is not counted, unless it is `LONG`.

    Args:
        repeats: Counted repeats.
        sizes: How much is computed.
    """
    for comparison in comparisons(sizes):
        yield _timed(comparison, repeats)


def comparisons(sizes: ComparisonSizes) -> list[Comparison]:
    """The comparisons, on a random BERT-small (methods) and on the embedded encoder (scores and runs)."""
    return [*_of_methods(sizes), *_of_attattr(sizes), *_of_scores(sizes), *_of_runs(sizes)]


def _of_methods(sizes: ComparisonSizes) -> list[Comparison]:
    model = random_model(BertForMaskedLM, dict(sizes.shape), "cpu", MaskTokenizer(), "bert-small (random)")
    batch = random_gaps(model, sizes.sentences, 11)

    def explain(spec: str) -> Callable[[], object]:
        method = METHODS.create(spec)
        return lambda: method.explain(model, replace(batch, cache={}))

    return [
        Comparison(
            "integrated gradients of words and every layer's states", "words alone", (model.n_layers + 1) / 2 + 1,
            explain("integrated-gradients"), explain("integrated-gradients:nodes=false"),
        ),
        Comparison(
            "conductance with the flows of every word", "influence patterns", 1.5, explain("conductance"),
            explain("influence-patterns"),
        ),
    ]  # fmt: skip


def _of_attattr(sizes: ComparisonSizes) -> Iterator[Comparison]:
    for depth in sizes.depths:
        shape = {**sizes.shape, "num_hidden_layers": depth}
        model = random_model(BertForSequenceClassification, shape, "cpu", None, "classifier (random)")
        batch = batch_of(random_ids(model, 1, sizes.tokens), 0, 1, 0)
        same = AttAttr(steps=STEPS)
        fewer = AttAttr(rule="gauss-legendre", steps=FEW_STEPS)

        def explain(method: AttAttr, model: FlowModel = model, batch: Batch = batch) -> Callable[[], object]:
            return lambda: method.explain(model, replace(batch, cache={}))

        def published(model: FlowModel = model, batch: Batch = batch) -> object:
            return literal(model, batch, STEPS)

        unit = f"as published, {STEPS} steps"
        yield Comparison(f"attattr, {STEPS} steps, {depth} layers", unit, DEPTHS.get(depth, 0.5), explain(same), published)
        name = f"attattr, {FEW_STEPS} Gauss-Legendre steps, {depth} layers"
        yield Comparison(name, unit, SHARE_BY_FEWER_STEPS, explain(fewer), published)


def _of_scores(sizes: ComparisonSizes) -> list[Comparison]:
    model, prepared = _prepared(sizes.sentences)
    random = [_explained(model, prepared, f"random:draws={sizes.draws}")]
    two = [_explained(model, prepared, name) for name in ("integrated-gradients:samples=4", "conductance:samples=4")]
    _, one = _prepared(1)
    patterns, words = [_explained(model, one, "influence-patterns")], len(one.batch.ids[0])
    ranks = METRICS.create({"name": "random_rank", "words": words, "patterns": sizes.patterns})
    curve, pair = METRICS.create("retention_curve:steps=20"), METRICS.create("retention_curve:steps=2")
    explain = METHODS.create("influence-patterns")

    def score(metrics: Sequence[Any], explained: Sequence[ExplainedBatch], times: int = 1) -> Callable[[], object]:
        def job() -> None:
            for _ in range(times):
                for one in explained:
                    for metric in metrics:
                        for batch in (one.batch, one.predicted_batch):
                            batch.cache.clear()
                        metric.score(model, [one], None)

        return job

    scorers = [METRICS.create(name) for name in SCORED]
    return [
        Comparison(
            f"scoring random:draws={sizes.draws} ({', '.join(SCORED)})", "scoring two methods", 1.0, score(scorers, random),
            score(scorers, two),
        ),
        Comparison(
            f"random_rank of every word among {sizes.patterns} patterns", "explaining the words", 3.0, score([ranks], patterns),
            lambda: explain.explain(model, replace(one.batch, cache={})),
        ),
        Comparison(
            "a curve over 20 budgets", "10 curves over two budgets", 0.5, score([curve], two[:1]), score([pair], two[:1], 10)
        ),
    ]  # fmt: skip


def _of_runs(sizes: ComparisonSizes) -> list[Comparison]:
    model, prepared = _prepared(sizes.run)
    scorers = [METRICS.create(name) for name in WORD_METRICS]

    def whole_run() -> None:
        with tempfile.TemporaryDirectory() as store:
            run(tasks=TASK, model=MODEL, methods=WORD_METHODS, metrics=WORD_METRICS, limit=sizes.run, device="cpu", store=store)

    def without_runner() -> None:
        model, prepared = _prepared(sizes.run)
        for spec in WORD_METHODS:
            prepared.free()
            explained = _explained(model, prepared, spec)
            for metric in scorers:
                metric.score(model, [explained], None)

    return [
        Comparison(
            f"a run of four word methods and two metrics, {sizes.run} sentences", "the same by hand with captum", 1.0, whole_run,
            lambda: by_hand(model, prepared.batch),
        ),
        Comparison("the same run", "loading, explaining and scoring alone", 1.05, whole_run, without_runner),
    ]  # fmt: skip


def _prepared(sentences: int) -> tuple[FlowModel, PreparedBatch]:
    model, task = load_model(MODEL), load_task(TASK)
    instances = task.instances("test", sentences, 0)
    return model, prepare(model, encode(model, instances, task.quantity), instances)


def _explained(model: FlowModel, prepared: PreparedBatch, spec: str) -> ExplainedBatch:
    method = METHODS.create(spec)
    part = explain_batch(model, method, prepared, 0)

    def again(batch: Batch, other: FlowModel = model) -> list[Explanation]:
        explanations: list[Explanation] = method.explain(other, batch)
        return explanations

    return ExplainedBatch(prepared.batch, prepared.predicted_batch, prepared.instances, part.gold, part.predicted, again)


def _timed(comparison: Comparison, repeats: int) -> ComparedTime:
    seconds, unit_seconds, ratios = list[float](), list[float](), list[float]()
    for repeat in range(repeats + 1):
        against = taken_by(comparison.against)
        taken = taken_by(comparison.job)
        is_long = max(against[1], taken[1]) > LONG
        if repeat or is_long:  # the first one is the warm-up
            seconds.append(taken[0])
            unit_seconds.append(against[0])
            ratios.append(taken[1] / against[1])
        if is_long:
            break
    return ComparedTime(
        comparison.name, comparison.unit, comparison.goal, statistics.median(seconds), statistics.median(unit_seconds),
        statistics.median(ratios), min(ratios), max(ratios), len(ratios),
    )  # fmt: skip
