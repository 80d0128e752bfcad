"""Occlusion against captum's own, leave-one-out, and positions that stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from captum.attr import Occlusion as Captum
from tests.methods.perturbation.conftest import hf_q

from flowgauge.core.errors import UsageError
from flowgauge.methods.perturbation.leave_one_out import LeaveOneOut
from flowgauge.methods.perturbation.occlusion import Occlusion
from flowgauge.models.baseline import baseline_words
from flowgauge.models.memory import within_memory
from flowgauge.models.outputs import value


@pytest.mark.parametrize("window", [1, 2, 3, 4])
@pytest.mark.parametrize(("family", "head"), [("bert", "masked"), ("bert", "label"), ("gpt2", "label")])
def test_occlusion_is_captums_own(models, batches, family, head, window):
    model = models(family, head)
    batch = batches(model, [7, 4])
    x, x_b = model.words(batch), baseline_words(model, batch, "mask")
    for row, one in enumerate(Occlusion(window).explain(model, batch)):
        n = batch.lengths[row]
        with torch.no_grad():
            expected = Captum(hf_q(model, batch, row)).attribute(
                x[row : row + 1, :n], sliding_window_shapes=(window, x.shape[2]), baselines=x_b[row : row + 1, :n].clone()
            )[0, :, 0]
        assert np.abs(one.tokens - expected.numpy()).max() < 1e-6 * np.abs(one.tokens).max()


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
@pytest.mark.parametrize("baseline", ["mask", "pad", "mean"])
def test_with_a_window_of_one_it_is_exactly_leave_one_out(models, batches, family, baseline):
    model = models(family)
    batch = batches(model, [6, 4])
    pairs = zip(Occlusion(1, baseline).explain(model, batch), LeaveOneOut(baseline).explain(model, batch), strict=True)
    for one, other in pairs:
        assert (one.tokens == other.tokens).all() and abs(one.tokens).max() > 1e-3


def test_a_text_shorter_than_the_window_is_one_window(model, batches):
    short, padded = (Occlusion(5).explain(model, batches(model, lengths)) for lengths in ([3], [3, 6]))
    assert np.ptp(short[0].tokens) == 0 != short[0].tokens[0]
    assert padded[0].tokens.tolist() != [0, 0, 0] and np.ptp(padded[0].tokens) == 0 and np.ptp(padded[1].tokens) > 0


def test_the_question_of_a_recurrent_model_stays(counting, digits):
    """The first two positions cannot be masked: they score 0, and the windows with them replace what else they have."""
    explained, singles = Occlusion(3, "zero").explain(counting, digits), Occlusion(1, "zero").explain(counting, digits)
    for one, single, left_out in zip(explained, singles, LeaveOneOut("zero").explain(counting, digits), strict=True):
        assert (single.tokens == left_out.tokens).all()
        assert not one.tokens[:2].any() and one.tokens[2:].all()
    row = 0
    x, n = counting.words(digits)[row : row + 1], digits.lengths[row]

    def without(first):
        words = x.clone()
        words[0, max(first, 2) : first + 3] = 0
        one = replace(digits.rows(torch.tensor([row])), word_vectors=words)
        return float(value(counting.outputs(one), one)[0])

    clean = value(counting.outputs(digits), digits)[row]
    windows = [float(clean) - without(first) for first in range(n - 2)]
    assert explained[row].tokens[2] == pytest.approx(np.mean(windows[: min(3, len(windows))]), abs=1e-12)


def test_occlusion_in_many_passes(model, batches):
    batch = batches(model, [6, 5, 4])
    whole = Occlusion().explain(model, batch)
    with within_memory(1):
        for one, two in zip(whole, Occlusion().explain(model, batch), strict=True):
            assert one.tokens == pytest.approx(two.tokens, abs=1e-12)


def test_an_empty_window_is_refused():
    with pytest.raises(UsageError, match="window must be above 0"):
        Occlusion(0)
