"""Discretized integrated gradients against the literal sum, and where it comes to the change of q."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from tests.methods.averaged_gradients.conftest import FAMILIES, assert_same, gradient_of, q_of, words_of
from tests.methods.averaged_gradients.test_word_paths import literal

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.methods.averaged_gradients import word_gradients
from flowgauge.methods.averaged_gradients.discretized_ig import DiscretizedIntegratedGradients
from flowgauge.models.baseline import baseline_words
from flowgauge.models.inputs.encode import encode
from flowgauge.models.outputs import value
from flowgauge.tasks.toy_counting import CountingTask


def literal_scores(model, batch, table, steps, neighbours, baseline="mask"):
    """Scores of every sentence, a gradient at a time."""
    x_b, scores = baseline_words(model, batch, baseline), []
    for row in range(len(batch)):
        x, start = words_of(model, batch, row), words_of(model, batch, row, x_b)
        still = [word.expand(steps + 2, -1) for word in x]
        paths = [
            held if torch.equal(word, begin) else literal(table, word, begin, steps, neighbours)
            for held, word, begin in zip(still, x, start, strict=True)
        ]
        path = torch.stack(paths, 1)
        scores.append(sum((gradient_of(model, batch, row, a) * (b - a)).sum(-1) for a, b in pairwise(path)))
    return scores


@pytest.mark.parametrize("family", [*FAMILIES, "gemma3_text"])
def test_it_is_the_literal_sum(models, batches, family):
    model = models(family)
    batch = batches(model, [5, 3])
    table = model.word_embedding(torch.arange(60)).detach()
    expected = literal_scores(model, batch, table, 3, 8)
    assert_same(DiscretizedIntegratedGradients(3, 8).explain(model, batch), expected)
    if family == "gemma3_text":
        assert not torch.equal(table, model.word_embedding.weight)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_it_is_complete_where_steps_are_small(models, batches, family):
    model = models(family)
    batch = batches(model, [5, 3])
    change = value(model.outputs(batch), batch)
    errors = []
    for halvings in (0, 5):
        explained = DiscretizedIntegratedGradients(4, 8, halvings).explain(model, batch)
        for row, one in enumerate(explained):
            start = words_of(model, batch, row, baseline_words(model, batch, "mask"))
            assert one.values["q_baseline"] == pytest.approx(float(q_of(model, batch, row, start)), rel=1e-9)
        errors.append(
            [abs(one.tokens.sum() - float(q) + one.values["q_baseline"]) for one, q in zip(explained, change, strict=True)]
        )
    for coarse, fine in zip(*errors, strict=True):
        assert fine < coarse / 4 and fine < 0.1


def test_of_a_linear_function_any_path_is_exact(model, batches, monkeypatch):
    weight = torch.linspace(-1, 2, 16, dtype=torch.float64)
    monkeypatch.setattr(word_gradients, "forward_of_words", lambda *_: lambda words, row: (words @ weight).sum(1))
    batch = batches(model, [6, 4])
    x_b = baseline_words(model, batch, "mask")
    exact = [(words_of(model, batch, row) - words_of(model, batch, row, x_b)) @ weight for row in range(2)]
    assert_same(DiscretizedIntegratedGradients(5, 10).explain(model, batch), exact)


def test_words_that_equal_the_baseline_stay_and_special_ones_if_asked(model, batches):
    batch = batches(model, [6])
    batch.word_ids[0, 0] = -1
    for baseline in ("mask", "mask-words"):
        (one,) = DiscretizedIntegratedGradients(3, 8, baseline=baseline).explain(model, batch)
        assert one.tokens[2] == 0 and (one.tokens[0] == 0) == (baseline == "mask-words") and one.tokens[1] != 0


def test_moved_words_are_what_is_explained(model, batches):
    batch, other = batches(model, [5]), batches(model, [5], seed=5)
    moved = replace(batch, word_vectors=model.words(other).detach(), cache={})
    method = DiscretizedIntegratedGradients(3, 8)
    assert_same(method.explain(model, moved), [one.tokens for one in method.explain(model, other)])


def test_it_needs_a_table_of_words(counting):
    batch = encode(counting, CountingTask().instances("test", 2, 0))
    with pytest.raises(NotApplicable, match="has no table of words in which"):
        DiscretizedIntegratedGradients(baseline="zero").explain(counting, batch)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"steps": 0}, "steps must be above 0"), ({"neighbours": 0}, "neighbours must be"), ({"halvings": -1}, "halvings must be")],
)
def test_refused_settings(settings, said):
    with pytest.raises(UsageError, match=said):
        DiscretizedIntegratedGradients(**settings)
