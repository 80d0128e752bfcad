"""What the model does under a mask, how much a mask drops, and for which tokens."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.masks.depth_kept import DepthKept
from flowgauge.metrics.masks.masked_predictions import MaskedAccuracy, MaskedDivergence, MaskedF1, ShareMasked
from flowgauge.metrics.masks.token_classes import parts_of_speech
from flowgauge.metrics.scores import ExplainedCell
from flowgauge.metrics.tokens.stability import Stability
from flowgauge.models.interventions.states import blend, clean_states, outputs_from
from flowgauge.models.outputs import divergence, prediction
from flowgauge.tasks.instance import Instance

DEPTHS = 5


@pytest.fixture
def shown(make):
    """A classifier's batch with random masks, gates and vectors that stand in; of words, or of each depth."""

    def build(at_words: bool = False, **changes):
        model = make.model("label")
        batch = make.batch(model, [6, 6, 5, 4, 6, 3], pairwise=False)
        rng = np.random.default_rng(0)
        fill = rng.normal(size=(1 if at_words else DEPTHS, 16))
        masks = [rng.random((DEPTHS, n)) for n in batch.lengths]
        made = [Explanation(**{"mask": m, "gate": m**2, "fill": fill, **changes}) for m in masks]
        return model, make.by_hand(model, batch, made)

    return build


@pytest.mark.parametrize("at_words", [True, False])
def test_divergence_is_that_of_the_states_masked_by_hand(shown, value_of, at_words) -> None:
    model, one = shown(at_words)
    scores, batch = MaskedDivergence().score(model, [one], None), one.batch
    states, clean = clean_states(model, batch), model.outputs(batch)
    for row, (name, made) in enumerate(zip(batch.names, one.gold, strict=True)):
        for depth in range(DEPTHS):
            site = 0 if at_words else depth
            for form, gate in (("hard", made.mask > 0.5), ("expected", made.gate)):
                keep = torch.ones(batch.ids.shape, dtype=torch.float64)
                keep[row, : gate.shape[1]] = torch.from_numpy(gate[depth].astype(float))
                fill = torch.from_numpy(made.fill[site])
                under = outputs_from(model, batch, site, blend(states[site], keep, fill))
                expected = divergence(under, clean)[row].item()
                assert value_of(scores, f"{form}/{depth}", name) == pytest.approx(expected)
        mean = np.mean([value_of(scores, f"hard/{depth}", name) for depth in range(DEPTHS)])
        assert value_of(scores, "hard", name) == pytest.approx(mean)


@pytest.mark.parametrize("operator", ["zero", "mask"])
def test_what_else_may_stand_in(shown, value_of, operator) -> None:
    model, one = shown(True)
    one = replace(one, gold=(bare := tuple(Explanation(mask=e.mask) for e in one.gold)), predicted=bare)
    scores, batch = MaskedDivergence(operator).score(model, [one], None), one.batch
    blank = replace(batch, ids=torch.where(batch.attention_mask, 4, batch.ids), cache={})
    states, masked = clean_states(model, batch), clean_states(model, blank)
    for depth in range(DEPTHS):
        keep = torch.ones(batch.ids.shape, dtype=torch.float64)
        for row, made in enumerate(one.gold):
            keep[row, : made.mask.shape[1]] = torch.from_numpy(made.mask[depth])
        fill = masked[depth] if operator == "mask" else torch.zeros_like(states[depth])
        under = outputs_from(model, batch, depth, blend(states[depth], keep, fill))
        expected = divergence(under, model.outputs(batch)).mean().item()
        assert value_of(scores, f"expected/{depth}") == pytest.approx(expected)


def test_a_mask_that_keeps_all_changes_nothing(make, value_of) -> None:
    model = make.model("label")
    batch = make.batch(model, [6, 5, 4], pairwise=False)
    one = make.by_hand(model, batch, [Explanation(mask=np.ones((DEPTHS, n)), fill=np.ones((DEPTHS, 16))) for n in batch.lengths])
    assert value_of(MaskedDivergence().score(model, [one], None), "hard") == 0
    accuracy = MaskedAccuracy().score(model, [one], None)
    assert value_of(accuracy, "agreement") == 1
    assert value_of(accuracy, "accuracy") == value_of(accuracy, "clean")
    assert value_of(ShareMasked().score(model, [one], None), "hard") == 0


def test_accuracy_and_f1_are_of_the_masked_predictions(shown, value_of) -> None:
    model, one = shown()
    batch, gold = one.batch, one.batch.answer[:, 0].numpy()
    states = clean_states(model, batch)
    told = []
    for depth in range(DEPTHS):
        keep = torch.ones(batch.ids.shape, dtype=torch.float64)
        for row, made in enumerate(one.gold):
            keep[row, : made.mask.shape[1]] = torch.from_numpy((made.mask[depth] > 0.5).astype(float))
        under = outputs_from(model, batch, depth, blend(states[depth], keep, torch.from_numpy(made.fill[depth])))
        told.append(prediction(under, batch)[:, 0].numpy())
    clean = prediction(model.outputs(batch), batch)[:, 0].numpy()
    scores = MaskedAccuracy().score(model, [one], None)
    assert value_of(scores, "accuracy") == pytest.approx(np.mean([t == gold for t in told]))
    assert value_of(scores, "agreement/2") == pytest.approx(np.mean(told[2] == clean))
    found = {a.variant: a for a in MaskedF1().score(model, [one], None).aggregates}
    each = [f1_score(gold, t, average="macro", zero_division=0) for t in told]
    assert [found[f"f1/{d}"].value for d in range(DEPTHS)] == pytest.approx(each)
    assert found["f1"].value == pytest.approx(np.mean(each))
    assert found["clean"].value == pytest.approx(f1_score(gold, clean, average="macro", zero_division=0))
    assert found["f1"].low <= found["f1"].value <= found["f1"].high and found["f1"].count == len(batch)


def test_share_masked(shown, value_of) -> None:
    model, one = shown()
    scores = ShareMasked().score(model, [one], None)
    made, name = one.gold[2].mask, one.batch.names[2]
    assert value_of(scores, "hard", name) == pytest.approx((made <= 0.5).mean())
    assert value_of(scores, "expected", name) == pytest.approx(1 - made.mean())
    assert value_of(scores, "words/hard", name) == pytest.approx((made[0] <= 0.5).mean())
    assert value_of(scores, "hidden/expected", name) == pytest.approx(1 - made[1:].mean())


def test_masks_of_words_at_every_depth_drop_words_and_no_hidden_states(shown, value_of) -> None:
    model, one = shown(at_words=True)
    scores = ShareMasked().score(model, [one], None)
    made, name = one.gold[2].mask, one.batch.names[2]
    assert value_of(scores, "hard", name) == pytest.approx((made <= 0.5).mean())
    assert value_of(scores, "words/expected", name) == pytest.approx(1 - made[-1].mean())
    hidden = scores.rows[scores.rows["variant"].str.startswith("hidden/")]
    assert hidden["value"].isna().all() and set(hidden["reason"]) == {"the mask acts on the words at every depth."}


def test_positions_that_stay_do_not_count(shown, value_of, monkeypatch) -> None:
    model, one = shown()
    monkeypatch.setattr(model, "maskable", lambda batch: batch.attention_mask & (torch.arange(batch.ids.shape[1]) != 1))
    made, name = np.delete(one.gold[0].mask, 1, 1), one.batch.names[0]
    assert value_of(ShareMasked().score(model, [one], None), "expected", name) == pytest.approx(1 - made.mean())


def test_metrics_of_a_cell_share_their_runs(shown, monkeypatch) -> None:
    model, one = shown()
    MaskedDivergence().score(model, [one], None)
    monkeypatch.setattr(model, "run", None)
    MaskedAccuracy().score(model, [one], None)
    with pytest.raises(TypeError):
        MaskedAccuracy("zero").score(model, [one], None)


def test_when_masks_do_not_apply(shown) -> None:
    model, one = shown()
    bare = tuple(Explanation(mask=e.mask) for e in one.gold)
    with pytest.raises(NotApplicable, match="use operator=zero or mask"):
        MaskedDivergence().score(model, [replace(one, gold=bare, predicted=bare)], None)
    few = tuple(Explanation(mask=e.mask[:2]) for e in one.gold)
    with pytest.raises(NotApplicable, match="the mask has 2 depths, and the model has 5"):
        ShareMasked().score(model, [replace(one, gold=few, predicted=few)], None)
    none = tuple(Explanation(tokens=e.mask[0]) for e in one.gold)
    with pytest.raises(NotApplicable, match="the method gives tokens"):
        ShareMasked().score(model, [replace(one, gold=none, predicted=none)], None)
    with pytest.raises(UsageError, match="operator must be one of own, zero, mask"):
        MaskedF1("blank")  # type: ignore[arg-type]


@pytest.fixture
def labelled(make):
    """Two sentences of three and two words with [CLS] and [SEP], the labels of their words, and masks."""
    model = make.model("label")
    model.tokenizer = SimpleNamespace(
        mask_token_id=4, pad_token_id=0, convert_ids_to_tokens=lambda n: {5: "[CLS]", 6: "[SEP]"}.get(n, "w")
    )
    batch = make.batch(model, [5, 4], pairwise=False)
    batch.ids[:, 0], batch.ids[0, 4], batch.ids[1, 3] = 5, 6, 6
    labels = ((4, 2, 4), (0, 2))
    instances = tuple(
        Instance(name, (" ".join(["a", "fast", "movie"][: len(each)]),), ("yes",), condition="c", truth={"token_labels": each})
        for name, each in zip(batch.names, labels, strict=True)
    )
    made = [Explanation(mask=np.tile(np.linspace(0.1, 0.2 * n, n), (DEPTHS, 1))) for n in batch.lengths]
    return model, replace(make.by_hand(model, batch, made), instances=instances)


def test_depth_kept_by_label(labelled, value_of) -> None:
    model, one = labelled
    scores = DepthKept().score(model, [one], None)
    found = {a.variant: (a.value, a.count) for a in scores.aggregates}
    first, second = (e.mask.sum(0) for e in one.gold)
    expected = {
        "all": (np.mean([*first[1:4], *second[1:3]]), 2),
        "class/very positive": (first[[1, 3]].mean(), 1),
        "class/neutral": (np.mean([first[2], second[2]]), 2),
        "class/very negative": (second[1], 1),
        "special/[CLS]": (np.mean([first[0], second[0]]), 2),
        "special/[SEP]": (np.mean([first[4], second[3]]), 2),
    }
    assert found.keys() == expected.keys()
    for name, (value, count) in expected.items():
        assert found[name][0] == pytest.approx(value) and found[name][1] == count
    assert value_of(scores, "all", one.batch.names[0]) == pytest.approx(first[1:4].mean())


def test_depth_kept_by_slot_and_without_classes(labelled) -> None:
    model, one = labelled
    with pytest.raises(NotApplicable, match="have no slots"):
        DepthKept("slot").score(model, [one], None)
    slots = [("SUBJ", "VERB", "ADJ")[: len(i.segments[0].split())] for i in one.instances]
    named = tuple(replace(i, slots=s, truth={}) for i, s in zip(one.instances, slots, strict=True))
    scores = DepthKept("slot").score(model, [replace(one, instances=named)], None)
    found = {a.variant for a in scores.aggregates}
    assert {"class/SUBJ", "class/VERB", "class/ADJ"} < found
    with pytest.raises(NotApplicable, match="have no word labels"):
        DepthKept().score(model, [replace(one, instances=named)], None)
    with pytest.raises(UsageError, match="by must be one of label, slot, part_of_speech"):
        DepthKept("tag")  # type: ignore[arg-type]


def test_parts_of_speech() -> None:
    if importlib.util.find_spec("HanTa") is None:
        with pytest.raises(NotApplicable, match=r"pip install 'flowgauge\[pos\]'"):
            parts_of_speech(("fast",))
        pytest.skip("HanTa is not installed: pip install 'flowgauge[pos]'")
    found = parts_of_speech(tuple(["a", "fast", ",", "highly", "enjoyable", "movie", "that", "he", "saw", "."]))
    assert found == ["DET", "ADJ", "PUNCT", "ADV", "ADJ", "NOUN", "SCONJ", "PRON", "VERB", "PUNCT"]


def cell(names: str, *scores: list[float], view: str = "mask") -> ExplainedCell:
    shape = (lambda s: np.array([s])) if view == "mask" else np.array
    return ExplainedCell(tuple(names), ("c",) * len(names), [Explanation(**{view: shape(s)}) for s in scores])


def test_stability_is_the_mean_standard_deviation_over_seeds() -> None:
    cells = [
        cell("ab", [0.0, 1.0], [0.5, 0.2, 0.2]),
        cell("ba", [0.5, 0.4, 0.2], [0.0, 0.5]),
        cell("ab", [0.3, 0.0], [0.5, 0.0, 0.2]),
    ]
    a = np.array([[0.0, 1.0], [0.0, 0.5], [0.3, 0.0]])
    b = np.array([[0.5, 0.2, 0.2], [0.5, 0.4, 0.2], [0.5, 0.0, 0.2]])
    sd, relative = Stability().compare(*cells)
    spreads = [x.std(0, ddof=1).mean() for x in (a, b)]
    assert sd.value == pytest.approx(np.mean(spreads))
    assert relative.value == pytest.approx(np.mean([s / x.mean(0).std() for s, x in zip(spreads, (a, b), strict=True)]))
    assert (sd.variant, sd.count, relative.variant) == ("sd", 2, "relative")


def test_stability_of_what_has_no_spread_and_of_other_instances() -> None:
    same = [cell("ab", [0.5, 0.5], [0.1] * 7) for _ in range(3)]  # numpy has 1e-17 for the sd of seven times .1
    sd, relative = Stability().compare(*same)
    assert sd.value < 1e-16 and np.isnan(relative.value) and relative.undefined == 2 and "are the same" in relative.reason
    with pytest.raises(NotApplicable, match="other instances"):
        Stability().compare(same[0], cell("ac", [0.5, 0.5], [0.1] * 7))
    tokens = [cell("a", [0.0, 1.0], view="tokens"), cell("a", [1.0, 1.0], view="tokens")]
    assert Stability().compare(*tokens)[0].value == pytest.approx(np.std([0, 1], ddof=1) / 2)
