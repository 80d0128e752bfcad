"""Explanations with re-drawn weights, against a plain loop over stages, and methods whose dependence on weights is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.methods.registry import METHODS
from flowgauge.metrics.base import ExplainedBatch
from flowgauge.metrics.sanity.parameter_randomisation import ParameterRandomisation, compared, rank_correlation
from flowgauge.metrics.tokens.word_removal import removable
from flowgauge.models.interventions.random_weights import cascade

STAGES = ["head", "layer/3", "layer/2", "layer/1", "embeddings"]


def shown(make, model, batch, spec="gradient-x-input", method=None) -> ExplainedBatch:
    method = method or METHODS.create(spec)
    gold = tuple(method.explain(model, batch))
    again = lambda asked, other=model: method.explain(other, asked)  # noqa: E731
    return ExplainedBatch(batch, batch, make.instances(batch), gold, gold, again)


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_it_is_the_mean_correlation_over_the_stages(models, batches, make, value_of, family):
    model = models(family)
    batch = batches(model, [8, 6])
    scores = ParameterRandomisation().score(model, [shown(make, model, batch)], None)
    method = METHODS.create("gradient-x-input")
    for row, name in enumerate(batch.names):
        single = batch.rows(torch.tensor([row]))
        single = single.only(single.attention_mask)
        words = removable(single)[0].numpy()
        clean = method.explain(model, single)[0].tokens[words]
        signed, absolute = [], []
        for stage, randomised in cascade(model, single, 0):
            other = method.explain(randomised, single)[0].tokens[words]
            signed.append(spearmanr(clean, other).statistic)
            absolute.append(spearmanr(abs(clean), abs(other)).statistic)
            assert value_of(scores, f"absolute/{stage}", name) == pytest.approx(absolute[-1], abs=1e-12)
        for variant, values in (("absolute", absolute), ("signed", signed)):
            assert value_of(scores, variant, name) == pytest.approx(np.mean(values), abs=1e-12)
            assert value_of(scores, f"{variant}/last", name) == pytest.approx(values[-1], abs=1e-12)
        assert len({round(v, 6) for v in signed}) > 1


def test_scores_that_ignore_the_weights_have_1_and_random_ones_too(models, batches, make):
    """Random scores are drawn from the instance's seed again: they are no merit."""
    model = models("bert")
    rows = ParameterRandomisation().score(model, [shown(make, model, batches(model, [8, 6]), "random:draws=2")], None).rows
    assert set(rows["value"]) == {1.0} and set(rows["draw"]) == {0, 1}


def test_attention_of_a_layer_does_not_depend_on_what_is_above(models, batches, make, value_of):
    """Raw attention of layer 1 of three changes when layer 1 is re-drawn, and not before."""
    model = models("bert")

    class FirstLayer:
        def explain(self, model, batch):
            from flowgauge.models.batch import Rows

            (trace,) = model.run(Rows(batch, model.embed(model.words(batch), batch)), keep={"attention"})
            weights = trace.site("attention", 0).mean(1)[torch.arange(len(batch)), batch.target]
            return [Explanation(tokens=row[:n].numpy()) for row, n in zip(weights, batch.lengths, strict=True)]

    scores = ParameterRandomisation().score(model, [shown(make, model, batches(model, [10] * 4), method=FirstLayer())], None)
    assert [value_of(scores, f"absolute/{stage}") for stage in STAGES[:3]] == [1.0, 1.0, 1.0]
    assert value_of(scores, "absolute/layer/1") < 0.9 and value_of(scores, "absolute/embeddings") < 0.9


def test_the_correlation_of_a_gradient_is_near_0_on_fully_random_weights(models, batches, make, value_of):
    """40 sentences of 11 words that are ranked have a standard error of 0.05."""
    model = models("bert")
    scores = ParameterRandomisation().score(model, [shown(make, model, batches(model, [12] * 40))], None)
    assert abs(value_of(scores, "signed/last")) < 0.2


def test_the_model_in_use_stays_as_it_is(tiny_flow, make):
    from flowgauge.models.inputs.encode import batches as encoded
    from flowgauge.tasks.agreement import AgreementTask

    instances = AgreementTask("sva/obj", 1).instances("test", 2)
    (batch,) = encoded(tiny_flow, instances).batches
    before = tiny_flow.fingerprint()
    explained = replace(shown(make, tiny_flow, batch, "saliency"), instances=tuple(instances))
    rows = ParameterRandomisation().score(tiny_flow, [explained], None).rows
    assert tiny_flow.fingerprint() == before
    assert rows[rows["variant"] == "absolute"]["value"].notna().all()


def test_batches_and_their_order_do_not_matter_and_the_seed_does(models, batches, make):
    model = models("gpt2")
    batch = batches(model, [9, 7, 5])
    together = ParameterRandomisation().score(model, [shown(make, model, batch)], None).rows
    parts = [batch.rows(torch.tensor([row])) for row in (2, 0, 1)]
    parts = [part.only(part.attention_mask) for part in parts]
    apart = ParameterRandomisation().score(model, [shown(make, model, part) for part in parts], None).rows
    keys = ["instance", "variant", "draw"]
    assert np.allclose(together.set_index(keys)["value"].sort_index(), apart.set_index(keys)["value"].sort_index(), atol=1e-9)
    other = ParameterRandomisation(seed=1).score(model, [shown(make, model, batch)], None).rows
    assert not np.allclose(together["value"], other["value"], atol=0.01)


def test_methods_of_heads_alone_are_compared_by_heads(models, batches, make, value_of):
    model = models("bert")
    batch = batches(model, [8, 6])
    scores = ParameterRandomisation().score(model, [shown(make, model, batch, "head-taylor")], None)
    rows = scores.rows[scores.rows["variant"] == "absolute"]
    assert rows["value"].isna().all() and set(rows["reason"]) == {"the method scores no words: see heads/absolute."}
    method, single = METHODS.create("head-taylor"), batch.rows(torch.tensor([0]))
    clean = method.explain(model, single)[0].heads.ravel()
    values = [spearmanr(clean, method.explain(m, single)[0].heads.ravel()).statistic for _, m in cascade(model, single, 0)]
    assert value_of(scores, "heads/signed", "i0") == pytest.approx(np.mean(values), abs=1e-12)


def test_what_cannot_be_compared_says_why(models, batches, make):
    model = models("bert")
    batch = batches(model, [6])
    stored = replace(shown(make, model, batch), explain=None)
    with pytest.raises(NotApplicable, match="flowgauge run"):
        ParameterRandomisation().score(model, [stored], None)
    with pytest.raises(NotApplicable, match="no scores of words, states or heads"):
        compared(Explanation(patterns=make.paths([1.0], [[0, 1]])), np.ones(3, bool))

    class Constant:
        def explain(self, model, batch):
            return [Explanation(tokens=np.ones(n)) for n in batch.lengths]

    rows = ParameterRandomisation().score(model, [shown(make, model, batch, method=Constant())], None).rows
    assert rows["value"].isna().all() and rows["reason"].str.contains("of the model itself are all the same").all()


def test_rounding_has_no_rank():
    value, _ = rank_correlation(np.array([1.0, 0.0, 1e-9, 2e-9]), np.array([1.0, 2e-9, 0.0, 1e-9]))
    assert value == 1.0
    assert rank_correlation(np.ones(1), np.ones(1))[1] == "there are fewer than two scores to rank."
