"""Agreement with people's sentiment labels, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.metrics.tokens.conftest import tokens

from flowgauge.core.errors import NotApplicable
from flowgauge.metrics.tokens.plausibility import Plausibility, agreement, direction, word_scores
from flowgauge.tasks.instance import Instance


def test_plausibility(model, make, value_of):
    batch = make.batch(model, [6])
    shown = make.by_hand(model, batch, tokens([9, -5, 0.5, 3, 0.1, 9]))
    labelled = Instance("i0-0", ("bad it good is",), ("negative",), truth={"token_labels": (0, 2, 4, 2)})
    scores = Plausibility().score(model, [replace(shown, instances=(labelled,))], None)
    assert value_of(scores, "auroc") == 1.0 and value_of(scores, "average_precision") == 1.0
    assert direction(labelled) == -1 and direction(replace(labelled, answer=("very positive",))) == 1
    with pytest.raises(NotApplicable, match="no word labels"):
        Plausibility().score(model, [shown], None)


@pytest.mark.parametrize(("answer", "tau"), [("negative", -1.0), ("very positive", 1.0), ("neutral", np.nan)])
def test_signed_agreement_turns_scores_towards_positive_sentiment(model, make, value_of, answer, tau):
    shown = make.by_hand(model, make.batch(model, [5]), tokens([9, -1, 0, 2, 9]))
    labelled = Instance("i0-0", ("bad it good",), (answer,), truth={"token_labels": (0, 2, 4)})
    scores = Plausibility().score(model, [replace(shown, instances=(labelled,))], None)
    assert value_of(scores, "signed") == pytest.approx(tau, nan_ok=True)
    assert value_of(scores, "auroc") == 1.0


def test_words_are_sums_of_their_tokens_and_cut_ones_are_left_out():
    words = np.array([[-1, -1], [0, 0], [0, 0], [0, 1], [-1, -1]])
    scores, seen = word_scores(np.array([7.0, 1.0, 2.0, 4.0, 7.0]), words, 3)
    assert scores.tolist() == [3.0, 4.0] and seen.tolist() == [0, 1]


def test_agreement_is_undefined_without_both_kinds_of_words():
    found = agreement(np.array([1.0, 2.0]), np.array([2, 2]), 0)
    assert all(np.isnan(value) and reason for value, reason in found.values())
    assert agreement(np.array([1.0, -2.0, 0.0]), np.array([4, 0, 2]), 1)["signed"][0] == pytest.approx(1.0)
