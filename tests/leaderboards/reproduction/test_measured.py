"""Our numbers, against what the store's rows and explanations give by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, spearmanr

from flowgauge.benchmark.reproduction.paper import NumberSource, PaperTableRow
from flowgauge.benchmark.store.explanation_file import ExplainedSentence
from flowgauge.benchmark.store.record import Record
from flowgauge.benchmark.store.store import Store
from flowgauge.core.registry import Spec
from flowgauge.leaderboards.reproduction import measured
from flowgauge.leaderboards.reproduction.measured import DrawnInstance, measure, word_agreement
from flowgauge.leaderboards.reproduction.report import PaperReport
from flowgauge.leaderboards.tables.entries import TableEntry
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.statistics.intervals import mean_intervals

TASKS = ("sva/obj", "ra/na", "ra/ga")


def read(report: PaperReport, combine: str, *sources: dict[str, str], **fields: object) -> TableEntry:
    row = PaperTableRow(title="a row", published=(0.0,), of=sources, combine=combine, **fields)
    common = {"run": "agreement", "task": "*", "metric": "sufficient", "variant": "aopc"}
    return measure(report.reproduction, row, [NumberSource(**{**common, **source}) for source in sources])


def values(report: PaperReport, depth: int, task: str) -> np.ndarray:
    """The stored scores of a task's instances, by their names."""
    return stored_rows(report, depth, task)["value"].to_numpy()


def stored_rows(report: PaperReport, depth: int, task: str) -> pd.DataFrame:
    """The rows of a task's instances, by their names."""
    done = report.reproduction
    (record,) = (r for r in done.outcomes[0].records if r.task == task and r.settings.get("depth") == depth)
    (score,) = record.scores.values()
    rows = Store(done.store).find(record).rows(score.metric)
    return rows[rows["variant"] == "aopc"].sort_values("instance")


def test_a_value_is_the_stored_one_times_the_scale(toy_report: PaperReport) -> None:
    stored = values(toy_report, 2, "ra/na").mean()
    plain, scaled = (read(toy_report, "value", {"method": "top", "task": "ra/na"}, scale=scale) for scale in (1.0, -100.0))
    assert plain.value == pytest.approx(stored) and plain.low < plain.value < plain.high and plain.count == 16
    assert (scaled.value, scaled.low, scaled.high) == pytest.approx((-100 * stored, -100 * plain.high, -100 * plain.low))


def test_a_value_of_one_condition_is_the_mean_of_its_instances(toy_report: PaperReport) -> None:
    each = [read(toy_report, "value", {"method": "raw", "task": "sva/obj", "condition": c}) for c in ("SS", "SP", "PS", "PP")]
    assert [entry.count for entry in each] == [4, 4, 4, 4]
    assert np.mean([entry.value for entry in each]) == pytest.approx(values(toy_report, 1, "sva/obj").mean())


def test_means_count_every_task_the_same(toy_report: PaperReport) -> None:
    raw, top = (np.array([values(toy_report, depth, task).mean() for task in TASKS]) for depth in (1, 2))
    sources = [{"method": "raw"}, {"method": "top"}]
    mean, difference, gain = (read(toy_report, combine, *sources) for combine in ("mean", "difference", "gain"))
    assert mean.value == pytest.approx((raw.mean() + top.mean()) / 2)
    assert difference.value == pytest.approx(raw.mean() - top.mean())
    assert gain.value == pytest.approx(raw.mean() / top.mean() - 1)
    assert all(entry.low < entry.value < entry.high and entry.count == 48 for entry in (mean, difference))


def test_a_difference_is_paired_so_that_a_method_has_none_from_itself(toy_report: PaperReport) -> None:
    entry = read(toy_report, "difference", {"method": "raw"}, {"method": "raw"})
    assert entry.value == 0 and not abs(entry.high - entry.low) > 1e-9


def test_several_seeds_give_the_mean_of_one_number_a_seed(toy_report: PaperReport) -> None:
    """Two depths stand for two seeds: both are said to have been asked for in the same words."""
    first, *rest = toy_report.reproduction.outcomes
    asked = {"method": {"name": "raw-attention"}}
    records = tuple(r.model_copy(update={"asked": asked}) for r in first.records if r.method == "raw-attention")
    both = replace(first, records=records, methods={"raw": Spec("raw-attention", {})})
    report = replace(toy_report, reproduction=replace(toy_report.reproduction, outcomes=(both, *rest)))
    means = [values(toy_report, depth, "ra/ga").mean() for depth in (1, 2)]
    value = read(report, "value", {"method": "raw", "task": "ra/ga"})
    assert value.value == pytest.approx(np.mean(means)) and value.low < min(means) and (value.count, value.spread) == (16, None)
    difference = read(report, "difference", {"method": "raw"}, {"method": "raw"})
    assert (difference.value, difference.count) == (0, 48) and difference.reason.endswith("over seeds alone")


def test_the_interval_over_seeds_of_one_model_is_that_of_tables(toy_report: PaperReport) -> None:
    """Over instances and seeds, so that it holds where seeds agree, too."""
    first, *rest = toy_report.reproduction.outcomes
    asked = {"method": {"name": "raw-attention"}}
    (one, other) = (
        r.model_copy(update={"asked": asked}) for r in first.records if r.method == "raw-attention" and r.task == "ra/ga"
    )

    def entry(*records: Record) -> TableEntry:
        both = replace(first, records=records, methods={"raw": Spec("raw-attention", {})})
        report = replace(toy_report, reproduction=replace(toy_report.reproduction, outcomes=(both, *rest)))
        return read(report, "value", {"method": "raw", "task": "ra/ga"})

    twice, alone = entry(one, one), entry(one)
    assert (twice.value, twice.low, twice.high, twice.count) == (alone.value, alone.low, alone.high, 16)
    each = np.array([values(toy_report, depth, "ra/ga") for depth in (1, 2)])
    conditions = stored_rows(toy_report, 1, "ra/ga")["condition"].to_numpy()
    expected = mean_intervals(each.mean(0)[None], conditions, by_seed={0: each}, bounds=(-1.0, 1.0))[0]
    found = entry(one, other)
    assert [found.value, found.low, found.high] == pytest.approx(expected.tolist(), abs=1e-9)


def test_a_source_reads_the_metric_of_its_settings_where_a_cell_has_several(toy_report: PaperReport) -> None:
    """Neither another setting nor an earlier version of the same name stands for it, in whatever order they are stored."""
    first, *rest = toy_report.reproduction.outcomes
    (record,) = (r for r in first.records if r.task == "ra/na" and r.settings.get("depth") == 2)
    ((name, score),) = record.scores.items()
    others = {
        f"{name}-0": score.model_copy(update={"settings": {**score.settings, "operator": "mask"}, "aggregates": ()}),
        f"{name}-1": score.model_copy(update={"version": score.version - 1, "aggregates": ()}),
    }
    for scores in ({**others, name: score}, {name: score, **others}):
        both = replace(first, records=(record.model_copy(update={"scores": scores}),))
        report = replace(toy_report, reproduction=replace(toy_report.reproduction, outcomes=(both, *rest)))
        assert read(report, "value", {"method": "top", "task": "ra/na"}).value == pytest.approx(score.aggregate("aopc").value)


@pytest.mark.parametrize("status", ["failed", "partial", "not-applicable"])
def test_a_cell_without_explanations_of_all_is_a_number_that_was_not_run(toy_report: PaperReport, status: str) -> None:
    first, *rest = toy_report.reproduction.outcomes
    records = tuple(r.model_copy(update={"status": status, "error": "it broke"}) for r in first.records)
    report = replace(toy_report, reproduction=replace(toy_report.reproduction, outcomes=(replace(first, records=records), *rest)))
    sources = [{"method": name, "task": "sva/obj"} for name in ("raw", "top")]
    entry = read(report, "agreement", *sources)
    assert not entry.known and entry.reason == "it broke"


def test_rank_correlation_is_over_tasks(toy_report: PaperReport) -> None:
    raw, top = ([values(toy_report, depth, task).mean() for task in TASKS] for depth in (1, 2))
    entry = read(toy_report, "rank-correlation", {"method": "raw"}, {"method": "top"})
    assert entry.value == pytest.approx(spearmanr(raw, top).statistic) and entry.count == 3 and np.isnan(entry.low)


def test_agreement_is_that_of_the_sizes_of_words(toy_report: PaperReport) -> None:
    done = toy_report.reproduction
    cells = {}
    for record in done.outcomes[0].records:
        if record.task == "sva/obj" and record.settings.get("depth") != 2:
            cells[record.method] = Store(done.store).find(record)
    sentences = cells["leave-one-out"].sentences()
    by_hand = []
    for name, sentence in sentences.items():
        words = [i for i, (_, w) in enumerate(sentence.words) if w >= 0 and i != sentence.target]
        pair = [np.abs(cell.explanations([name])[1][0].tokens[words]) for cell in cells.values()]
        by_hand.append(spearmanr(*pair).statistic)
    entry = read(toy_report, "agreement", {"method": "raw", "task": "sva/obj"}, {"method": "loo", "task": "sva/obj"})
    assert entry.value == pytest.approx(np.mean(by_hand)) and entry.low < entry.value < entry.high


def test_a_difference_of_agreements_is_paired(toy_report: PaperReport) -> None:
    on = {"task": "sva/obj"}
    raw, top = (read(toy_report, "agreement", {"method": name, **on}, {"method": "loo", **on}) for name in ("raw", "top"))
    both = read(toy_report, "agreement-difference", *({"method": name, **on} for name in ("raw", "top", "loo")))
    assert both.value == pytest.approx(raw.value - top.value) and both.count == 16
    none = read(toy_report, "agreement-difference", *({"method": name, **on} for name in ("raw", "raw", "loo")))
    assert none.value == 0


def test_words_alone_are_ranked() -> None:
    sentence = ExplainedSentence(
        "s", "", ("[CLS]", "a", "b", "c", "[MASK]"), (), ((-1, -1), (0, 0), (0, 1), (0, 2), (0, 3)), 4, (), (), (), True
    )
    one, other = (Explanation(tokens=np.array(scores)) for scores in ([9.0, 1.0, -2.0, 3.0, 0.0], [0.0, 1.0, 2.0, -3.0, 9.0]))
    assert word_agreement(sentence, one, other) == 1.0
    assert np.isnan(word_agreement(sentence, one, Explanation(tokens=np.ones(5))))


def test_a_metric_of_two_cells_is_computed_from_their_explanations(toy_report: PaperReport) -> None:
    done = toy_report.reproduction
    records = [r for r in done.outcomes[0].records if r.task in TASKS[:2] and r.settings.get("depth") == 1]
    importance = [
        np.mean([e.edges.max((-2, -1)) for part in Store(done.store).find(r).parts() for e in part.gold], 0) for r in records
    ]
    sources = [{"method": "raw", "task": task, "metric": "head_universality", "variant": "pearson"} for task in TASKS[:2]]
    entry = read(toy_report, "cells", *sources)
    assert entry.value == pytest.approx(np.corrcoef(*(scores.ravel() for scores in importance))[0, 1])


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({"method": "raw", "run": "sst2"}, "needs a model fine-tuned on sst2"),
        ({"method": "raw", "task": "sva/subj"}, "no cell on sva/subj"),
        ({"method": "raw", "task": "sva/obj", "variant": "none"}, "sufficiency has no variant none here"),
        ({"method": "raw", "task": "sva/obj", "condition": "XX"}, "no instance of condition XX"),
    ],
)
def test_what_is_not_there_has_a_reason(toy_report: PaperReport, source: dict[str, str], reason: str) -> None:
    entry = read(toy_report, "value", source)
    assert not entry.known and entry.reason.startswith(reason)


def test_what_remains_of_right_answers_has_the_interval_of_a_share(
    toy_report: PaperReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2 of 12 are right in the end, of which one was wrong before."""
    right, lost = np.zeros(12), np.zeros(12)
    right[:10], lost[:9], lost[11] = 1, 1, -1
    paired = measured._Paired(np.stack([right, lost], 1), np.ones((12, 1)), [DrawnInstance("", "")] * 12)
    monkeypatch.setattr(measured, "_paired", lambda *_: paired)
    entry = read(toy_report, "remainder", {"method": "raw", "task": "sva/obj"}, {"method": "top", "task": "sva/obj"})
    known = binomtest(2, 12).proportion_ci(method="wilson")
    assert (entry.value, entry.low, entry.high, entry.count) == pytest.approx((2 / 12, known.low, known.high, 12))
