"""Exact erasure against every subset, on transformers and through the GRU's tree of beginnings."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product
from math import comb

import numpy as np
import pytest
import torch

from flowgauge.benchmark.store.explanation_file import ExplainedSentence, Part, from_bytes, to_bytes
from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.methods.perturbation import exact_erasure
from flowgauge.methods.perturbation.exact_erasure import ExactErasure
from flowgauge.models.baseline import removed_word
from flowgauge.models.outputs import divergence, prediction


def every_subset(model, batch, row, fill, method):
    """Distance of every set of one instance that meets the criterion, one model run over all of them."""
    free = (model.maskable(batch) & batch.attention_mask)[row]
    places = free.nonzero()[:, 0]
    sets = torch.tensor(list(product((False, True), repeat=len(places))))
    keep = torch.zeros(len(sets), len(free), dtype=torch.bool)
    keep[:, places] = sets
    rows = batch.rows(torch.full((len(sets),), row))
    words = model.words(batch)[row] * (keep | ~free)[..., None] + fill * (free & ~keep)[..., None]
    outputs = model.outputs(replace(rows, word_vectors=words))
    clean = model.outputs(batch)
    far = divergence(outputs, tuple(o[row].expand_as(p) for o, p in zip(clean, outputs, strict=True)))
    same = (prediction(outputs, rows) == prediction(clean, batch)[row]).all(1)
    good = same if method.criterion == "prediction" else far <= method.margin
    return {tuple(k.tolist()): float(d) for k, d in zip(keep[good], far[good], strict=True)}


def check(model, batch, method, made):
    fill, sizes = removed_word(model, batch, method.baseline), set()
    for row, (length, explanation) in enumerate(zip(batch.lengths, made, strict=True)):
        able = every_subset(model, batch, row, fill, method)
        least = min(map(sum, able))
        smallest = {one[:length] for one in able if sum(one) == least}
        assert {tuple(one) for one in explanation.sets.tolist()} == smallest and len(explanation.sets) == len(smallest)
        assert explanation.values["size"] == least
        assert explanation.values.get("margin") == (None if method.criterion == "prediction" else method.margin)
        np.testing.assert_allclose(explanation.tokens, np.mean(list(smallest), 0))
        free = model.maskable(batch)[row, :length].numpy()
        assert explanation.mask.shape == (model.n_layers + 2, length) and (explanation.mask == explanation.mask[0]).all()
        chosen = explanation.mask[0].astype(bool) & free
        closest = min((d, one) for one, d in able.items() if sum(one) == least)[0]
        padded = (*chosen.tolist(), *[False] * (batch.ids.shape[1] - length))
        assert able[padded] == pytest.approx(closest, abs=1e-6) and explanation.mask[0][~free].all()
        np.testing.assert_array_equal(explanation.fill, fill[None].numpy())
        tried = sum(comb(int(free.sum()), k) for k in range(least + 1))
        assert explanation.values["tried"] == tried
        sizes.add(least)
    return sizes


@pytest.mark.parametrize("head", ["label", "masked"])
@pytest.mark.parametrize(
    "method",
    [ExactErasure("prediction"), ExactErasure("prediction", baseline="mask"), ExactErasure(margin=0.01)],
    ids=["prediction", "prediction, mask", "0.01 nats"],
)
def test_transformers_against_every_subset(models, batches, head, method, monkeypatch):
    monkeypatch.setattr(exact_erasure, "ROWS", 7)
    model = models("bert", head, num_labels=40)
    if head == "label":
        model.hf.classifier.weight.data.mul_(40)  # so that its output hangs on several words
    batch = replace(batches(model, [8, 7, 8, 6, 5, 8], seed=3), pairwise=False)
    assert max(check(model, batch, method, method.explain(model, batch))) > 1


@pytest.mark.parametrize("method", [ExactErasure("prediction"), ExactErasure(margin=0.05)], ids=["prediction", "0.05 nats"])
def test_the_tree_of_a_gru_against_every_subset(counting, digits, method, monkeypatch):
    monkeypatch.setattr("flowgauge.methods.perturbation.prefix_tree.ROWS", 3)
    assert max(check(counting, digits, method, method.explain(counting, digits))) > 1


def test_a_smaller_margin_needs_as_many_words_or_more(counting, digits):
    sizes = [
        [e.values["size"] for e in ExactErasure(margin=margin).explain(counting, digits)] for margin in (1e-9, 0.01, 0.1, 50.0)
    ]
    assert all(a >= b for wide, narrow in pairwise(sizes) for a, b in zip(wide, narrow, strict=True))
    totals = [sum(size) for size in sizes]
    assert totals == sorted(set(totals), reverse=True) and totals[-1] == 0


def test_sets_are_stored_with_the_explanation(counting, digits):
    made = ExactErasure().explain(counting, digits)
    names = tuple(
        ExplainedSentence(name, "", ("t",) * n, ("s",) * n, ((0, 1),) * n, None, ("a",), ("b",), ("a",), True)
        for name, n in zip(digits.names, digits.lengths, strict=True)
    )
    back = from_bytes(to_bytes(Part(names, tuple(made), tuple(made)))).gold
    for one, stored in zip(made, back, strict=True):
        assert stored.sets.dtype == bool
        np.testing.assert_array_equal(one.sets, stored.sets)


def test_limits_are_named(counting, digits):
    with pytest.raises(NotApplicable, match=r"over 3 positions at most, and 'toy/counting/test/\d+' has \d+: .*--max-tokens 3"):
        ExactErasure(limit=3).explain(counting, digits)
    with pytest.raises(NotApplicable, match=r"tries 5 sets a sentence at most; .* keeps its prediction with no 0 of its \d+"):
        ExactErasure("prediction", masks=5).explain(counting, digits)
    with pytest.raises(NotApplicable, match=r"tries 5 sets .* keeps its output within 0.1 nats with no 0 of its \d+"):
        ExactErasure(masks=5).explain(counting, digits)
    with pytest.raises(UsageError, match="margin must be above 0, got 0"):
        ExactErasure(margin=0.0)
    with pytest.raises(UsageError, match="criterion must be divergence or prediction, got 'class'"):
        ExactErasure("class")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="limit must be above 0, got 0"):
        ExactErasure(limit=0)
    with pytest.raises(UsageError, match="baseline must be zero, mask or pad, got 'mean'"):
        ExactErasure(baseline="mean")  # type: ignore[arg-type]
    with pytest.raises(NotApplicable, match="has no mask token: use baseline=pad or zero"):
        ExactErasure(baseline="mask").explain(counting, digits)
