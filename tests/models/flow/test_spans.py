"""Span heads: answers in characters to tokens, several right answers, padding at minus infinity, deletion that moves answers."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from flowgauge.core.errors import NotApplicable, UnfitSentence, UsageError
from flowgauge.methods.gradients.attattr import AttAttr
from flowgauge.methods.gradients.integrated_gradients import IntegratedGradients
from flowgauge.methods.masks.information_mask import Entropy, InformationMask
from flowgauge.methods.masks.noise_fitting import pieces
from flowgauge.methods.perturbation.leave_one_out import LeaveOneOut
from flowgauge.metrics.tokens.comprehensiveness_and_sufficiency import removable
from flowgauge.models.batch import Rows
from flowgauge.models.built.training import InMemorySession
from flowgauge.models.inputs.encode import batches as make_batches
from flowgauge.models.inputs.encode import encode, relabel
from flowgauge.models.inputs.tokenise import token_span
from flowgauge.models.interventions.states import blend, clean_states, outputs_from
from flowgauge.models.outputs import correct, divergence, prediction, value
from flowgauge.tasks.instance import Instance, Quantity

CONTEXT = "the guard likes the tall chef"


def asked(name="i", context=CONTEXT, answer=(16, 29), **more):
    return Instance(name, ("the guard likes", context), answer, **more)


@pytest.fixture
def model(tiny_flows):
    return tiny_flows("bert", "span")


def test_a_span_in_characters_becomes_its_first_and_last_token(model):
    batch = encode(model, [asked(), asked("one", answer=(4, 9)), asked("inner", answer=(22, 27))])
    tokens = model.tokenizer.convert_ids_to_tokens(batch.ids[0].tolist())
    assert [tokens[a : b + 1] for a, b in batch.answer.tolist()] == [["the", "tall", "chef"], ["guard"], ["tall", "chef"]]
    assert batch.answer.tolist() == [
        [8, 10],
        [6, 6],
        [9, 10],
    ]  # [CLS], three words, [SEP] before; `guard` of the question is not it
    assert batch.target is None and not batch.pairwise and batch.answer.shape == batch.against.shape


def test_a_span_that_cuts_wordpieces_takes_them_whole():
    offsets, inside = [(0, 0), (0, 4), (0, 2), (2, 4), (4, 5), (6, 9)], [False, False, True, True, True, True]
    assert token_span(offsets, inside, 1, 3) == (2, 3)
    assert token_span(offsets, inside, 4, 5) == (4, 4)
    assert token_span(offsets, inside, 5, 6) is None  # the blank between two tokens


def test_the_strongest_other_position_of_each_head_is_held_against_and_never_padding(model):
    batch = encode(model, [asked(), asked("longer", CONTEXT + " " + CONTEXT)])
    outputs = model.outputs(batch)
    for row, length in enumerate(batch.lengths):
        for head, logits in enumerate(outputs):
            assert (logits[row] == -torch.inf).tolist() == [at >= length for at in range(logits.shape[1])]
            others = [at for at in range(length) if at != batch.answer[row, head]]
            assert batch.against[row, head] == max(others, key=lambda at: float(logits[row, at]))
    expected = sum(lo.gather(1, batch.answer[:, [h]]) - lo.gather(1, batch.against[:, [h]]) for h, lo in enumerate(outputs))
    assert torch.allclose(value(outputs, batch), expected[:, 0])
    guided = relabel(model, batch)
    assert guided.answer.tolist() == [[int(logits[row].argmax()) for logits in outputs] for row in range(2)]
    assert correct(outputs, guided).all() and (value(outputs, guided) > 0).all()


def test_of_several_right_answers_the_models_own_is_explained(model):
    spans = [(0, 3), (4, 9), (16, 29), (20, 29)]
    logits = model.outputs(encode(model, [asked()]))
    by_hand = [
        sum(float(lo[0, at]) for lo, at in zip(logits, encode(model, [asked(answer=s)]).answer[0], strict=True)) for s in spans
    ]
    best = int(np.argmax(by_hand))
    given = asked(answer=spans[0], also=tuple(spans[1:]))
    assert encode(model, [given]).answer.tolist() == encode(model, [asked(answer=spans[best])]).answer.tolist()


def test_a_model_that_gives_any_of_the_right_answers_is_right(models, tiny_flows):
    """Every span of words of a passage counts as right: then the prediction is, if it is a span of the passage at all."""
    seen = set()
    for seed in range(1, 9):
        model = tiny_flows("bert", "span", seed)
        ends = [(word.start(), word.end()) for word in re.finditer(r"\S+", CONTEXT)]
        spans = [(a, d) for a, _ in ends for _, d in ends if a < d]
        batch = encode(model, [asked(answer=spans[0], also=tuple(spans[1:]))])
        back = encode(model, [asked(answer=spans[-1], also=tuple(spans[-2::-1]))])
        assert batch.answer.tolist() == back.answer.tolist()  # the order of the answers does not matter
        outputs = model.outputs(batch)
        first, last = prediction(outputs, batch)[0].tolist()
        right = bool(correct(outputs, batch))
        assert right == (5 <= first <= last <= 10)
        seen.add(right)
    assert seen == {False, True}


def test_what_is_no_span_of_the_passage_is_refused(model):
    for answer in ((5, 5), (9, 4), (0, 30), (-1, 3), (1,), ("the", "chef")):
        with pytest.raises(
            UsageError, match=r"expected the start and the end of a span in characters of its last text, which has 29"
        ):
            encode(model, [asked(answer=answer)])
    with pytest.raises(UnfitSentence, match="the answer ' ' of instance 'i' has no token"):
        encode(model, [asked(answer=(3, 4))])
    with pytest.raises(UsageError, match="further answers need as many parts"):
        asked(also=((1,),))
    with pytest.raises(UsageError, match="nothing held against"):
        asked(also=((0, 3),), against=(4, 9))


def test_passages_too_long_are_never_cut(model):
    long = asked("long", CONTEXT + " the chef" * 20)
    with pytest.raises(UnfitSentence, match=r"'long' has 52 tokens, more than the 40 .* --on-split skip"):
        make_batches(model, [asked(), long])
    skipping = make_batches(model, [asked(), long], on_split="skip")
    assert skipping.skipped[0].startswith("long: instance 'long' has 52 tokens") and not skipping.cut
    assert len(make_batches(model, [asked(), long], max_tokens=20).skipped) == 1  # left out by choice: no error
    with pytest.raises(UnfitSentence):
        make_batches(model, [asked(), long], max_tokens=60)


def test_divergence_and_its_gradient_pass_over_padding(models, batches, single):
    model = models("bert", "span")
    batch = batches(model, [7, 4, 5])
    states = clean_states(model, batch)
    clean = model.outputs(batch)
    assert divergence(clean, clean).tolist() == [0.0] * 3
    keep = torch.full(batch.ids.shape, 0.7, dtype=torch.float64, requires_grad=True)
    masked = outputs_from(model, batch, 2, blend(states[2], keep, torch.zeros(16, dtype=torch.float64)))
    found = divergence(masked, clean)
    (gradient,) = torch.autograd.grad(found.sum(), keep)
    assert (
        torch.isfinite(gradient).all()
        and (gradient[batch.attention_mask] != 0).any()
        and (gradient[~batch.attention_mask] == 0).all()
    )
    for row, length in enumerate(batch.lengths):
        p, q = ([logits[row, :length].log_softmax(0) for logits in outputs] for outputs in (clean, masked))
        by_hand = sum((a.exp() * (a - b)).sum() for a, b in zip(p, q, strict=True))  # KL(start) + KL(end)
        assert torch.allclose(found[row], by_hand, atol=1e-12)
    assert torch.autograd.gradcheck(
        lambda k: divergence(outputs_from(model, batch, 2, blend(states[2], k, torch.zeros(16, dtype=torch.float64))), clean),
        keep,
    )


@pytest.mark.parametrize("form", ["logit_difference", "logit", "probability", "log_probability"])
def test_every_quantity_is_finite_with_its_gradient(models, batches, single, form):
    model = models("distilbert", "span")
    batch = replace(batches(model, [6, 4]), quantity=Quantity(form), cache={})
    words = model.words(batch).clone().requires_grad_(True)
    q = value(model.outputs(replace(batch, words=words, cache={})), batch)
    (gradient,) = torch.autograd.grad(q.sum(), words)
    assert torch.isfinite(gradient).all() and (gradient[1, 4:] == 0).all()
    alone = single(batch, 1)
    assert torch.allclose(value(model.outputs(alone), alone)[0], q[1], atol=1e-12)


def test_a_run_to_the_target_alone_keeps_all_positions(models, batches):
    model = models("bert", "span")
    batch = batches(model, [6, 4])
    whole, cut = (
        model.run(Rows(batch, model.embed(model.words(batch), batch)), target_only=only)[0].site("hidden", 3)
        for only in (False, True)
    )
    assert torch.equal(whole, cut)


def test_deletion_moves_the_span_and_never_takes_its_ends(models, batches):
    model = models("bert", "span")
    batch = batches(model, [7, 5])  # answer (1, 2) against (3, 0)
    shorter = batch.only(torch.arange(7) != torch.tensor([[4], [9]]))
    assert shorter.answer.tolist() == [[1, 2], [1, 2]] and shorter.against.tolist() == [[3, 0], [3, 0]]
    later = replace(batch, answer=torch.tensor([[4, 5], [2, 4]]), against=torch.tensor([[2, 6], [1, 3]]), cache={})
    moved = later.only(torch.arange(7) != torch.tensor([[1], [0]]))
    assert (moved.answer.tolist(), moved.against.tolist()) == ([[3, 4], [1, 3]], [[1, 5], [0, 2]])
    assert torch.equal(moved.ids[0, moved.answer[0]], later.ids[0, later.answer[0]])
    with pytest.raises(ValueError, match="q is read there"):
        batch.only(torch.arange(7).expand(2, -1) != 2)
    tokens = LeaveOneOut("delete").explain(model, later)[0].tokens
    assert [at for at, score in enumerate(tokens) if score == 0] == [2, 4, 5, 6]
    assert removable(later)[0].nonzero()[:, 0].tolist() == [0, 1, 3]
    without = later.rows(torch.tensor([0])).only(torch.arange(7)[None] != 3)
    fall = value(model.outputs(later), later)[0] - value(model.outputs(without), without)[0]
    assert tokens[3] == pytest.approx(float(fall), abs=1e-12)


def test_attention_attribution_and_integrated_gradients_are_complete_over_both_ends(models, batches):
    model = models("bert", "span")
    batch = batches(model, [6, 4])
    start, end = (logits.softmax(1).gather(1, batch.answer[:, [h]])[:, 0] for h, logits in enumerate(model.outputs(batch)))
    p = start * end
    for row, one in enumerate(AttAttr("gauss-legendre", 48).explain(model, batch)):
        assert one.values["completeness_error"] < 1e-6
        assert one.values["probability"] == pytest.approx(float(p[row]), abs=1e-12)
        assert one.edges is not None
        assert (np.abs(one.edges[-1]).sum((0, 2)) > 0).all()  # every position of the last layer asks
    q = value(model.outputs(batch), batch)
    for row, one in enumerate(IntegratedGradients("gauss-legendre", 100).explain(model, batch)):
        change = float(q[row]) - one.values["q_baseline"]
        assert one.tokens is not None and one.nodes is not None
        for scores in (one.tokens, *one.nodes):
            assert scores.sum() == pytest.approx(change, rel=0.02, abs=0.02)


def test_information_masks_of_spans_are_not_divided_by_a_variance_of_positions(model):
    data = [encode(model, [asked(), asked("longer", CONTEXT + " " + CONTEXT)]), encode(model, [asked("short")])]
    with pytest.raises(NotApplicable, match=r"the outputs of a span head are positions, .* use divide=false"):
        InformationMask().fit(model, data, InMemorySession())
    method = InformationMask(divide=False, gamma=5.0, steps=20)
    assert method.fit(model, data, InMemorySession())["variance"].tolist() == [1, 1]
    piece = next(piece for _, piece in pieces(model, data[0]))
    loss = Entropy(piece, torch.ones(2), 5.0).loss(torch.zeros(2, len(piece.depths), piece.batch.ids.shape[1]), piece.clean)
    assert loss.isfinite()  # padding, at minus infinity before and after, does not change
    together = method.trained({"variance": torch.ones(2)}).explain(model, data[0])
    one = data[0].rows(torch.tensor([0]))
    (alone,) = method.trained({"variance": torch.ones(2)}).explain(model, one.only(one.attention_mask))
    np.testing.assert_allclose(together[0].tokens, alone.tokens, rtol=1e-4)
