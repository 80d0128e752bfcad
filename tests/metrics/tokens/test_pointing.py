"""The pointing game and the reciprocal rank, by hand and against every order of equal scores."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from tests.metrics.tokens.conftest import tokens

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.tokens.pointing import Pointing, deciding_tokens, pointing
from flowgauge.models.inputs.encode import batches
from flowgauge.tasks.agreement import AgreementTask
from flowgauge.tasks.instance import Instance


@pytest.mark.parametrize("seed", range(8))
def test_equal_scores_share_the_expectation_over_their_orders(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, deciding = rng.integers(0, 3, 6).astype(float), rng.random(6) < 0.4
    deciding[0] = True
    orders = [order for order in permutations(range(6)) if all(scores[a] >= scores[b] for a, b in zip(order, order[1:]))]  # noqa: RUF007, B905
    ranks = [min(place for place, word in enumerate(order, start=1) if deciding[word]) for order in orders]
    expected = np.mean([rank == 1 for rank in ranks]), np.mean([1 / rank for rank in ranks])
    assert pointing(scores, deciding) == pytest.approx(expected)


def test_the_subject_is_a_hit_and_special_tokens_do_not_compete(model, make, value_of):
    batch = make.batch(model, [6])
    shown = make.by_hand(model, batch, tokens([9, 1, 9, -5, 0.1, 9]))
    words = batch.word_ids[0].tolist()
    asked = Instance("i0-0", ("the author is good",), ("tall",), slots=("DET", "ADJ", "SUBJ", "COP"))
    scores = Pointing().score(model, [replace(shown, instances=(asked,))], None)
    assert deciding_tokens(asked, np.array(words)).tolist() == [False, False, False, True, False, False]
    assert value_of(scores, "hit") == value_of(scores, "reciprocal_rank") == value_of(scores, "hit/oracle") == 1.0
    assert value_of(scores, "relevance_mass") == pytest.approx(5 / (1 + 5 + 0.1))  # neither special tokens nor the gap
    free = [row for row, (segment, _) in enumerate(words) if segment >= 0 and row != int(batch.target[0])]
    assert value_of(scores, "hit/chance") == pytest.approx(1 / len(free))


def test_the_last_word_that_a_decoder_reads_competes_like_the_others(agreement_decoder, make, value_of):
    """In `the bankers said the author`, it is the subject."""
    instance = AgreementTask("sva/wsc", 1).instances("test", 1)[0]
    (batch,) = batches(agreement_decoder, [instance]).batches
    last = int(batch.target[0])
    shown = make.by_hand(agreement_decoder, batch, tokens(np.arange(last + 1) == last))
    scores = Pointing().score(agreement_decoder, [replace(shown, instances=(instance,))], None)
    assert last == 5 and value_of(scores, "hit") == 1.0
    assert value_of(scores, "hit/chance") == pytest.approx(1 / 5)


def test_words_are_known_by_their_places_too():
    words = np.array([[-1, -1], [0, 0], [1, 0], [1, 1], [-1, -1]])
    by_place = Instance("a", ("x", "y z"), ("w",), truth={"positions": ((1, 1),)})
    assert deciding_tokens(by_place, words).tolist() == [False, False, False, True, False]
    by_path = Instance("a", ("x", "y z"), ("w",), truth={"path": (2, 0)})
    assert deciding_tokens(by_path, words).tolist() == [False, False, True, False, False]
    by_slot = Instance("a", ("x", "y z"), ("w",), slots=("DET", "VERB", "SUBJ"))
    assert deciding_tokens(by_slot, words).tolist() == [False, False, False, True, False]
    with pytest.raises(NotApplicable, match="agreement task"):
        deciding_tokens(Instance("a", ("x",), ("w",)), words)


def test_a_sentence_of_deciding_words_alone_is_undefined(model, make):
    shown = make.by_hand(model, make.batch(model, [5]), tokens([9, 1, 5, 3, 9]))
    asked = Instance("i0-0", ("a b c",), ("w",), truth={"positions": ((0, 0), (0, 1), (0, 2))})
    rows = Pointing().score(model, [replace(shown, instances=(asked,))], None).rows
    assert rows["value"].isna().all() and rows["reason"].str.startswith("every word").all()


def test_the_last_word_that_a_decoder_reads_competes(models, batches, make, value_of):
    model = models("gpt2")
    batch = batches(model, [3])
    asked = Instance("i0", ("the old author [MASK]",), ("is",), slots=("DET", "ADJ", "SUBJ", "COP"))
    shown = replace(make.by_hand(model, batch, tokens([1, 2, 3])), instances=(asked,))
    scores = Pointing().score(model, [shown], None)
    assert value_of(scores, "hit") == 1.0 and value_of(scores, "hit/chance") == pytest.approx(1 / 3)


def test_the_mass_of_a_random_order_is_the_share_of_deciding_words(model, make, value_of):
    """Two of five words decide: .4 in 2000 draws, four standard errors; and nothing is a share of nothing."""
    batch = make.batch(model, [8])
    asked = Instance("i0-0", ("a b c d e f",), ("w",), truth={"positions": ((0, 0), (0, 4))})
    scores = np.random.default_rng(0).random((2000, 8))
    drawn = Explanation(draws=tuple(tokens(*scores)))
    rows = Pointing().score(model, [replace(make.by_hand(model, batch, [drawn]), instances=(asked,))], None)
    free = scores[:, [1, 3, 4, 5, 6]]
    assert value_of(rows, "relevance_mass") == pytest.approx((free[:, [0, 3]].sum(1) / free.sum(1)).mean(), abs=1e-12)
    assert value_of(rows, "relevance_mass") == pytest.approx(0.4, abs=4 * 0.2 / 2000**0.5)
    nothing = replace(make.by_hand(model, batch, tokens([9, 0, 9, 0, 0, 0, 0, 9])), instances=(asked,))
    row = Pointing().score(model, [nothing], None).rows.set_index("variant").loc["relevance_mass"]
    assert np.isnan(row["value"]) and row["reason"] == "the scores of all words are 0."
