"""Letters that say which methods cannot be separated: methods that share one are a tie."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool


def letters(separated: Bool[np.ndarray, "methods methods"]) -> list[str]:
    """The letters of each method, with a space between them: two methods share one if and only if they are not separated.

    A compact letter display (Piepho 2004, "An algorithm for a letter-based representation of all-pairwise comparisons"). A
    method that is separated from all others has no letter.

    Args:
        separated: Symmetric, methods in the order of rank; the diagonal does not count.

    >>> letters(np.array([[0, 0, 1, 1], [0, 0, 0, 1], [1, 0, 0, 1], [1, 1, 1, 0]], bool))
    ['a', 'a b', 'b', '']
    """
    groups = tie_groups(separated)
    return [" ".join(letter(index) for index, group in enumerate(groups) if method in group) for method in range(len(separated))]


def letter(index: int) -> str:
    """The letter of a group of ties: a to z, then a2, b2, ...

    >>> letter(0), letter(25), letter(26), letter(53)
    ('a', 'z', 'a2', 'b3')
    """
    return chr(ord("a") + index % 26) + (str(index // 26 + 1) if index >= 26 else "")


def tie_groups(separated: Bool[np.ndarray, "methods methods"]) -> list[tuple[int, ...]]:
    """Groups of two or more methods of which no two are separated, so that every pair that is not separated is in one.

    Each is as large as it can be. Where ties are runs in the order of rank, these are the longest runs. Piepho's insertion gives
    every such group, whose number may grow exponentially; one for each pair that no group has so far suffices. It takes in first
    what is tied with most of its members in no other group (Kellerman 1973).

    Args:
        separated: Symmetric, methods in the order of rank; the diagonal does not count.

    Returns:
        Methods by index, ascending; the group of the best method first.

    >>> tie_groups(np.array([[0, 0, 1, 1], [0, 0, 0, 1], [1, 0, 0, 1], [1, 1, 1, 0]], bool))
    [(0, 1), (1, 2)]
    """
    tied = ~separated
    np.fill_diagonal(tied, False)
    shared = ~tied  # pairs that need no further group
    groups: list[tuple[int, ...]] = []
    for first in range(len(tied)):
        for last in range(len(tied) - 1, first, -1):
            if not shared[first, last]:
                members, fits = [first, last], tied[first] & tied[last]
                while fits.any():
                    members.append(int(np.where(fits, (~shared[members]).sum(0), -1).argmax()))
                    fits = fits & tied[members[-1]]
                shared[np.ix_(members, members)] = True
                groups.append(tuple(sorted(members)))
    return sorted(groups)
