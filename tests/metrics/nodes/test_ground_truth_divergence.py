"""Divergence from what is known to matter: closed forms on the toy task, and every case without a value."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.base import ExplainedBatch
from flowgauge.metrics.nodes.ground_truth_divergence import GroundTruthDivergence, divergences
from flowgauge.models.built.toy_counting import ToyCounting
from flowgauge.models.inputs.encode import encode
from flowgauge.tasks.registry import load_task
from flowgauge.tasks.toy_counting import CountingTask


@pytest.fixture(scope="module")
def model():
    return ToyCounting()._untrained()


@pytest.fixture(scope="module")
def instances():
    return CountingTask().instances("test")


def show(model, instances, explain) -> ExplainedBatch:
    """A batch whose explanations are made by `explain(truth words, real tokens)`."""
    batch = encode(model, instances)
    made = tuple(
        explain([2 + word for _, word in instance.truth["positions"]], n)
        for instance, n in zip(instances, batch.lengths, strict=True)
    )
    return ExplainedBatch(batch, batch, tuple(instances), made, made)


def scored(model, shown):
    rows = GroundTruthDivergence().score(model, [shown], None).rows
    return rows.pivot(index="instance", columns="variant", values="value").loc[[i.id for i in shown.instances]], rows


def one_hot(at, n) -> Explanation:
    mask = np.zeros((2, n))
    mask[:, at[:1] or [2]] = 1
    return Explanation(mask=mask)


def test_exact_erasure_has_its_closed_form_and_the_published_mean(model, instances) -> None:
    """One digit of k that matter: JS = (ln(2k/(k+1)) + ln(2/(k+1))/k + (k-1)/k ln 2) / 2; KL is infinite for k > 1."""
    table, rows = scored(model, show(model, instances, one_hot))
    counts = np.array([len(i.truth["positions"]) for i in instances])
    k = counts[counts > 0]
    wanted = (np.log(2 * k / (k + 1)) + np.log(2 / (k + 1)) / k + (k - 1) / k * log(2)) / 2
    np.testing.assert_allclose(table["hidden_js"][counts > 0], wanted, atol=1e-12)
    assert table["hidden_js"].mean() == pytest.approx(0.2664, abs=0.01), "De Cao et al. 2020, as their notebook has it"
    assert table["hidden_js"].isna().sum() == (counts == 0).sum() > 0
    infinite = rows[rows["reason"].str.startswith("the divergence is infinite")]
    assert set(infinite["variant"]) == {"hidden_kl", "words_kl"} and len(infinite) == 2 * (counts > 1).sum()
    assert (table["hidden_kl"][counts == 1] == 0).all()


def test_the_truth_itself_is_at_no_distance_and_the_query_does_not_count(model, instances) -> None:
    def explain(at, n):
        mask = np.zeros((2, n))
        mask[1, at], mask[:, :2], mask[0, 2:] = 0.7, 5.0, 1.0
        return Explanation(mask=mask)

    table, _ = scored(model, show(model, instances[:60], explain))
    defined = table["hidden_js"].dropna()
    assert len(defined) > 50 and defined.max() < 1e-15
    share = np.array([len(i.truth["positions"]) / len(i.segments[1].split()) for i in instances[:60]])
    np.testing.assert_allclose(table["words_kl"][share > 0], -np.log(share[share > 0]), atol=1e-12)


def test_nodes_and_tokens_count_by_size(model, instances) -> None:
    rng = np.random.default_rng(0)

    def explain(at, n):
        return Explanation(tokens=rng.normal(size=n), nodes=rng.normal(size=(1, n)))

    shown = show(model, instances[:40], explain)
    table, _ = scored(model, shown)
    for (_, row), instance, one in zip(table.iterrows(), shown.instances, shown.gold, strict=True):
        query, digits = (text.split() for text in instance.segments)
        truth = np.isin(digits, query)
        if not truth.any():
            continue
        for level, view in (("hidden", one.nodes[0]), ("words", one.tokens)):
            sizes = np.abs(view[2:])
            assert row[f"{level}_kl"] == pytest.approx(entropy(truth / truth.sum(), sizes / sizes.sum()), abs=1e-12)
            assert row[f"{level}_js"] == pytest.approx(jensenshannon(truth, sizes) ** 2, abs=1e-12)


def test_padding_does_not_count(model, instances) -> None:
    rng = np.random.default_rng(0)
    shown = show(model, instances[:12], lambda at, n: Explanation(nodes=rng.random((1, n))))
    together, _ = scored(model, shown)
    for row, instance in enumerate(shown.instances):
        batch = shown.batch.rows(torch.tensor([row]))
        batch = batch.only(batch.attention_mask)
        alone, _ = scored(model, ExplainedBatch(batch, batch, (instance,), shown.gold[row : row + 1], shown.gold[row : row + 1]))
        assert alone["hidden_js"].iloc[0] == pytest.approx(together["hidden_js"].iloc[row], nan_ok=True)


def test_what_has_no_value_says_why(model, instances) -> None:
    assert divergences(np.zeros(2), np.array([True, False]))[0][1] == "every score is 0."
    assert divergences(np.ones(2), np.zeros(2, bool))[1][1] == "no position matters."
    _, rows = scored(model, show(model, instances[:3], lambda at, n: Explanation(tokens=np.ones(n))))
    hidden = rows[rows["variant"].str.startswith("hidden")]
    assert hidden["value"].isna().all() and set(hidden["reason"]) == {"the method gives tokens and no scores of hidden states."}
    with pytest.raises(NotApplicable, match="the method gives heads, from which neither words nor"):
        scored(model, show(model, instances[:3], lambda at, n: Explanation(heads=np.ones((1, 1)))))


def test_masks_of_words_at_every_depth_say_nothing_of_hidden_states(model, instances) -> None:
    """All words kept by what is seen at depth 0, those that matter by what is seen at hidden[0]."""

    def explain(at, n):
        mask = np.ones((2, n))
        mask[1] = 0.0
        mask[1, at] = 0.7
        return Explanation(mask=mask, fill=np.zeros((1, 64)))

    table, rows = scored(model, show(model, instances[:40], explain))
    hidden = rows[rows["variant"].str.startswith("hidden")]
    assert hidden["value"].isna().all()
    assert set(hidden["reason"]) == {"the method gives mask of words and no scores of hidden states."}
    assert table["words_js"].notna().any() and table["words_js"].max() < 1e-15


def test_tasks_that_do_not_know_what_matters_are_told(tiny_flow) -> None:
    batch = encode(tiny_flow, (instance := load_task("sva/obj").instances("test", 1, 0)))
    made = (Explanation(tokens=np.ones(batch.lengths[0])),)
    with pytest.raises(NotApplicable, match=r"do not say which words matter .* use toy/counting"):
        GroundTruthDivergence().score(tiny_flow, [ExplainedBatch(batch, batch, instance, made, made)], None)
