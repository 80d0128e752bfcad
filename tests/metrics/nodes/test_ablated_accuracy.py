"""Ablated accuracy: every variant from the reduced model itself, the guides, the controls, and what is not applicable."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.base import ExplainedBatch
from flowgauge.metrics.nodes.ablated_accuracy import RANKED, AblatedAccuracy
from flowgauge.metrics.nodes.node_budgets import every_later_node, kept_nodes, kept_units, reference_budget
from flowgauge.metrics.reduced_models.nodes import ablated_predictions
from flowgauge.metrics.summary import summarise
from flowgauge.models.flow.graph import Subgraph

IP = "influence-patterns:samples=4"


@pytest.fixture(scope="module")
def model(make):
    """A model whose predictions differ between guides and levels."""
    return make.model(seed=1)


@pytest.fixture(scope="module")
def many(make, model):
    return make.by_method(model, make.batch(model, [6] * 8 + [5] * 4, seed=2), IP)


@pytest.fixture(scope="module")
def scores(model, many):
    return AblatedAccuracy().score(model, [many], [many])


def reduced(model, shown, guide, choose) -> list[tuple[float, float]]:
    """Right, and the same as the whole model, for what `choose` keeps of each instance."""
    found = []
    clean = shown.predicted_batch.answer[:, 0].tolist()
    for row, n in enumerate(shown.batch.lengths):
        explanation = (shown.gold if guide == "gold" else shown.predicted)[row]
        kept = choose(explanation, reference_budget(explanation, n, 4, 2))
        answer = ablated_predictions(model, shown.batch, [row], [kept])[0, 0]
        found.append((float(answer == int(shown.batch.answer[row, 0])), float(answer == clean[row])))
    return found


CHOICES = {
    "embedding/matched/{}": lambda e, by: kept_nodes(e, by, "matched", by.words),
    "embedding/own/{}/all-words": lambda e, by: kept_nodes(e, by, "own", by.all_words),
    "attention/own/{}": lambda e, by: kept_units(e, by, "own"),
    "control/positive-words/{}": lambda e, by: every_later_node(by),
}


@pytest.mark.parametrize("guide", ["gold", "predicted"])
@pytest.mark.parametrize("variant", list(CHOICES))
def test_variants_are_the_reduced_model(model, many, scores, guide, variant):
    expected = reduced(model, many, guide, CHOICES[variant])
    name = variant.format(guide)
    for column, wanted in ((name, 0), (f"{name}/agreement", 1)):
        rows = scores.rows[scores.rows["variant"] == column]
        assert rows["value"].tolist() == [pair[wanted] for pair in expected]
        assert rows["instance"].tolist() == list(many.batch.names)


def test_the_instances_can_tell_variants_apart(many, scores, value_of):
    """Otherwise the tests above could not fail."""
    right = (many.predicted_batch.answer == many.batch.answer).all(1)
    assert 0 < right.sum() < len(right)
    assert value_of(scores, "original") == right.double().mean().item()
    assert 0 < value_of(scores, "embedding/matched/gold") < 1
    wide = scores.rows.pivot(index="instance", columns="variant", values="value")
    for level in ("embedding", "attention"):
        assert (wide[f"{level}/matched/gold"] != wide[f"{level}/matched/predicted"]).any()
        assert (wide[f"{level}/matched/gold"] != wide[f"{level}/matched/gold/agreement"]).any()
    assert (wide["embedding/matched/gold"] != wide["attention/matched/gold"]).any()
    assert value_of(scores, "chance") == 0.5


def test_the_reference_is_matched_to_itself(scores):
    wide = scores.rows.pivot(index="instance", columns="variant", values="value")
    for level in ("embedding", "attention"):
        for guide in ("gold", "predicted"):
            assert (wide[f"{level}/matched/{guide}"] == wide[f"{level}/own/{guide}"]).all()
        assert (wide[f"nodes/{level}/matched"] == wide[f"nodes/{level}/own"]).all()


def test_guides_differ_only_where_the_prediction_is_wrong(many, scores):
    wide = scores.rows.pivot(index="instance", columns="variant", values="value")
    right = [name for name, a, b in zip(many.batch.names, many.gold, many.predicted, strict=True) if a is b]
    assert 0 < len(right) < len(many.gold)
    for variant in ("embedding/matched/{}", "attention/own/{}", "empty/{}", "embedding/own/{}/all-words"):
        assert (wide.loc[right, variant.format("gold")] == wide.loc[right, variant.format("predicted")]).all()


def test_every_variant_of_the_table_is_there(scores):
    found = set(scores.rows["variant"])
    both = {
        f"{level}/{budget}/{guide}"
        for level in ("embedding", "attention")
        for budget in ("matched", "own")
        for guide in ("gold", "predicted")
    }
    both |= {f"embedding/{budget}/{guide}/all-words" for budget in ("matched", "own") for guide in ("gold", "predicted")}
    both |= {f"control/positive-words/{guide}" for guide in ("gold", "predicted")}
    expected = both | {f"{name}/agreement" for name in both} | {"original", "chance", "empty/gold", "empty/predicted"}
    expected |= {f"nodes/{level}/{budget}" for level in ("embedding", "attention") for budget in ("matched", "own")}
    assert found == expected and RANKED in found
    assert {a.variant for a in summarise(scores.rows)} == expected


def test_nodes_are_counted(many, scores, value_of):
    for row, name in enumerate(many.batch.names):
        by = reference_budget(many.predicted[row], many.batch.lengths[row], 4, 2)
        assert value_of(scores, "nodes/embedding/matched", name) == by.node_counts[1:-1].mean()
        assert value_of(scores, "nodes/attention/matched", name) == by.unit_counts.mean()


def test_an_empty_pi_plus_is_the_all_zero_model(make, model, value_of):
    batch = make.batch(model, [5])
    negative = make.explained(5, make.paths([-1.0], [[0, 0, 0, 2]], heads=[[-1, -1, 0]], head_influence=[-1.0]))
    shown = make.by_hand(model, batch, [negative])
    scores = AblatedAccuracy().score(model, [shown], [shown])
    (answer,) = ablated_predictions(model, batch, [0], [Subgraph(np.zeros((4, 5), bool))])
    assert value_of(scores, "empty/gold") == 1.0
    for variant in ("embedding/matched/gold", "embedding/own/predicted", "attention/matched/gold"):
        assert value_of(scores, variant) == float(answer[0] == int(batch.answer[0, 0]))
    assert value_of(scores, "nodes/embedding/matched") == 0.0


def test_keep_target_keeps_it(make, model, many):
    plain, kept = (AblatedAccuracy(keep_target=k).score(model, [many], [many]).rows for k in (False, True))
    mean = lambda rows: rows[rows["variant"] == "nodes/embedding/matched"]["value"].mean()  # noqa: E731
    assert mean(plain) < mean(kept) <= mean(plain) + 1
    controls = ["control/positive-words/gold", "original"]
    assert plain[plain["variant"].isin(controls)]["value"].tolist() == kept[kept["variant"].isin(controls)]["value"].tolist()


def test_draws_are_rows_of_their_own(make, model, many, value_of):
    shown = make.by_method(model, many.batch, "random:draws=3")
    scores = AblatedAccuracy().score(model, [shown], [many])
    rows = scores.rows[scores.rows["variant"] == "attention/matched/predicted"]
    assert rows["draw"].tolist() == [0, 1, 2] * 12
    sizes = scores.rows[scores.rows["variant"] == "nodes/embedding/matched"].groupby("instance")["value"].nunique()
    assert (sizes == 1).all()  # every draw has the reference's budget
    assert (scores.rows[scores.rows["variant"] == "original"]["draw"] == 0).all()
    found = {a.variant: a for a in summarise(scores.rows)}
    assert found["original"].sd_draws is None
    assert found["attention/matched/predicted"].count == 12 and found["attention/matched/predicted"].sd_draws > 0


def test_a_method_without_attention_level_says_why(make, model, many):
    shown = make.by_method(model, many.batch, "attention")
    scores = AblatedAccuracy().score(model, [shown], [many])
    found = next(a for a in summarise(scores.rows) if a.variant == "attention/matched/predicted")
    assert (found.count, found.undefined) == (0, 12) and found.reason.startswith("the method gives patterns without heads")
    assert next(a for a in summarise(scores.rows) if a.variant == RANKED).count == 12


def test_chance_and_argmax_of_classes(make, value_of):
    model = make.model("label")
    batch = make.batch(model, [6, 5], pairwise=False)
    shown = make.by_method(model, batch, IP)
    scores = AblatedAccuracy().score(model, [shown], [shown])
    assert value_of(scores, "chance") == pytest.approx(1 / 3)
    clean = model.outputs(batch)[0].argmax(1)
    assert value_of(scores, "original") == (clean == batch.answer[:, 0]).double().mean().item()


def test_one_layer_has_no_layers_between(make):
    model = make.model(num_hidden_layers=1)
    shown = make.by_method(model, make.batch(model, [5]), IP)
    rows = AblatedAccuracy().score(model, [shown], [shown]).rows
    assert rows[rows["variant"] == "nodes/embedding/own"]["reason"].tolist() == [
        "a model of one layer has no layers between the ends."
    ]


def test_what_cannot_be_scored_is_not_applicable(make, model, many):
    with pytest.raises(NotApplicable, match="needs the explanations of influence-patterns"):
        AblatedAccuracy().score(model, [many], None)
    tokens = make.by_hand(model, many.batch, [Explanation(tokens=np.ones(n)) for n in many.batch.lengths])
    with pytest.raises(NotApplicable, match="from which nodes cannot be ranked"):
        AblatedAccuracy().score(model, [tokens], [many])
    several = replace(many.batch, target=None)
    with pytest.raises(NotApplicable, match="q reads several positions"):
        AblatedAccuracy().score(model, [ExplainedBatch(several, several, many.instances, many.gold, many.gold)], [many])
    other = make.by_method(model, make.batch(model, [5] * 12, seed=3), IP)
    with pytest.raises(ValueError, match="explained different instances"):
        AblatedAccuracy().score(model, [many], [other])
