"""Share of paths, by hand."""

from __future__ import annotations

from tests.metrics.conftest import aggregate
from tests.metrics.patterns.conftest import T

from flowgauge.metrics.patterns.path_share import PathShare


def test_path_share(model, shown, value_of):
    scores = PathShare().score(model, [shown], None)
    # first: hidden[1] = {0}, hidden[2] = {0, 2}: 2 sources x 2 ways.
    # Its heads: (0,0) skip and head 0, (1,0) skip, (1,2) head 1, (2,2) head 3 and skip. So hidden[1][0]: 1 (skip from 0) + 2
    # (head 0 from 0 or 1) = 3; hidden[2]: 3 (by skip) and 3 (by head 1); the target: 6 (head 3 from both) + 3 (skip from 2) = 9.
    assert value_of(scores, "embedding", shown.batch.names[0]) == 4 / 5**3
    assert value_of(scores, "attention", shown.batch.names[0]) == 9 / 21**3
    assert value_of(scores, "embedding", shown.batch.names[1]) == 1 / 4**3
    assert value_of(scores, "attention", shown.batch.names[1]) == 1 / 17**3


def test_path_share_of_no_words_and_of_no_heads(make, model, value_of):
    batch = make.batch(model, [5, 5])
    negative = make.explained(5, make.paths([-1.0], [[0, 0, 0, T]]))
    everything = make.explained(5, make.paths([1.0] * 5, [[i, i, i, T] for i in range(5)]))
    scores = PathShare().score(model, [make.by_hand(model, batch, [negative, everything])], None)
    assert [value_of(scores, "embedding", name) for name in batch.names] == [0.0, 1.0]
    assert aggregate(scores, "attention").reason == "the patterns have no attention level."


def test_on_a_decoder_only_paths_that_do_not_go_back_count(models, batches, make, value_of):
    model = models("gpt2")
    batch = batches(model, [4])
    found = make.explained(4, make.paths([1.0, 1.0], [[0, 0, 2, 3], [1, 1, 3, 3]]))
    scores = PathShare().score(model, [make.by_hand(model, batch, [found])], None)
    # from 0: (0 or, of the other's nodes, 1), then 2 or 3; from 1: 1 alone, then 2 or 3. All paths: walks that never fall, 20.
    assert value_of(scores, "embedding", batch.names[0]) == (2 * 2 + 1 * 2) / 20
