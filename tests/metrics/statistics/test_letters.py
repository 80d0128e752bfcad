"""Letters of ties: what they must say of any matrix, and the runs of an order without gaps."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flowgauge.metrics.statistics.letters import letter, letters, tie_groups

MATRICES = st.integers(0, 9).flatmap(lambda size: hnp.arrays(bool, (size, size))).map(lambda m: np.triu(m, 1) | np.triu(m, 1).T)


@given(MATRICES)
def test_two_methods_share_a_letter_if_and_only_if_they_are_not_separated(separated) -> None:
    groups = tie_groups(separated)
    count = len(separated)
    shared = np.zeros((count, count), bool)
    for members in groups:
        assert len(members) > 1
        assert not separated[np.ix_(members, members)].any()
        others = np.setdiff1d(np.arange(count), members)
        assert separated[np.ix_(others, members)].any(1).all(), "a group that another method fits in"
        shared[np.ix_(members, members)] = True
    np.fill_diagonal(shared, False)
    assert (shared == ~(separated | np.eye(count, dtype=bool))).all()
    assert [text == "" for text in letters(separated)] == (~shared.any(0)).tolist()
    assert groups == sorted(set(groups))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_ties_without_gaps_are_the_longest_runs(reaches) -> None:
    """Method i is tied with all up to `ends[i]`, as intervals of one width would have it."""
    count = len(reaches)
    ends = np.minimum(np.maximum.accumulate(np.arange(count) + reaches), count - 1)
    separated = np.arange(count)[None] > ends[:, None]
    runs = [(i, ends[i]) for i in range(count) if i < ends[i] and (i == 0 or ends[i] > ends[i - 1])]
    assert tie_groups(separated | separated.T) == [tuple(range(first, last + 1)) for first, last in runs]


def test_a_tie_across_a_method_between_has_a_letter_too() -> None:
    separated = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], bool)
    assert letters(separated) == ["a", "", "a"]


def test_letters_do_not_repeat_after_the_alphabet_and_their_number_is_bounded() -> None:
    assert len({letter(index) for index in range(60)}) == 60 and letter(26) == "a2"
    # Each method is separated from its partner alone: of the 2 ** 15 largest groups a few hold every other pair.
    separated = np.kron(np.eye(15, dtype=bool), np.ones((2, 2), bool))
    assert 1 < len(tie_groups(separated)) < 30
