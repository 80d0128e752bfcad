"""The gap of a minimal pair: from a sentence with [MASK], from the number of a word, or from two whole sentences."""

from __future__ import annotations

from typing import NamedTuple

from .instance import GAP
from .table import BrokenRowError, FileRow


class Gapped(NamedTuple):
    """A sentence with one gap, and the two words for it."""

    text: str
    good: str
    bad: str


def filled(row: FileRow, name: str) -> str:
    """The text of a cell that must not be empty.

    Raises:
        BrokenRowError: The cell is empty, or holds something else than text.
    """
    text = row.text(name)
    if not text:
        raise BrokenRowError(f"the cell {name} is empty.")
    return text


def gapped(row: FileRow, good: str, bad: str) -> Gapped:
    """The sentence of a row with one gap, and its two words.

    Where `target_idx` names a word, that word becomes the gap; punctuation that both words end in stays in the sentence.

    Args:
        row: With the cell `sentence`, and `target_idx` if the sentence has no gap.
        good: The right word.
        bad: The wrong word.

    Raises:
        BrokenRowError: Several gaps, no gap and no usable `target_idx`, or a word there that is neither of the two.

    >>> gapped(FileRow(1, 2, {"sentence": "Ann hurt herself.", "target_idx": "2"}), "herself.", "himself.")
    Gapped(text='Ann hurt [MASK].', good='herself', bad='himself')
    """
    text = filled(row, "sentence")
    gaps = text.count(GAP)
    if gaps > 1:
        raise BrokenRowError(f"{GAP} is there {gaps} times, expected once: {text!r}.")
    if gaps == 1:
        return Gapped(text, good, bad)
    words = text.split()
    index = target(row, words)
    if words[index].casefold() not in (good.casefold(), bad.casefold()):
        raise BrokenRowError(f"word {index} (target_idx) is {words[index]!r}, neither {good!r} nor {bad!r}.")
    return _with_gap(words, index, good, bad)


def gap_between(good: str, bad: str) -> Gapped:
    """The gap at the one word in which two sentences differ.

    Args:
        good: The right sentence.
        bad: The wrong sentence.

    Raises:
        BrokenRowError: The sentences are the same, or differ in more than one word.

    >>> gap_between("Ann hurt herself.", "Ann hurt himself.")
    Gapped(text='Ann hurt [MASK].', good='herself', bad='himself')
    """
    if good == bad:
        raise BrokenRowError(f"good and bad are both {good!r}.")
    words, others = good.split(), bad.split()
    different = [i for i, (word, other) in enumerate(zip(words, others, strict=False)) if word != other]
    if len(words) != len(others) or len(words) < 2 or len(different) != 1:
        raise BrokenRowError(f"two sentences of a pair must differ in one word, got {good!r} and {bad!r}.")
    return _with_gap(words, different[0], words[different[0]], others[different[0]])


def target(row: FileRow, words: list[str]) -> int:
    """The index of the word that is to be masked, from the cell `target_idx`.

    Raises:
        BrokenRowError: The cell is empty, is no number, or is no index of a word.
    """
    given = row.text("target_idx").removesuffix(".0")
    if not given:
        raise BrokenRowError(f"there is no {GAP} in the sentence and no target_idx to put one at.")
    if not given.isdecimal() or len(given) > len(str(len(words))) + 9:
        raise BrokenRowError(f"target_idx must be the number of a word, counted from 0, got {given[:20]!r}.")
    if int(given) >= len(words):
        raise BrokenRowError(f"target_idx is {given}, but the sentence has {len(words)} words (0 to {len(words) - 1}).")
    return int(given)


def shared_ending(good: str, bad: str) -> str:
    """The punctuation that both words end in, or the empty text.

    >>> shared_ending("himself.", "herself.")
    '.'
    """
    endings = {word[len(word.rstrip(".,;:!?")) :] for word in (good, bad)}
    return endings.pop() if len(endings) == 1 else ""


def _with_gap(words: list[str], index: int, good: str, bad: str) -> Gapped:
    ending = shared_ending(good, bad)
    cut = len(ending)
    text = " ".join([*words[:index], GAP + ending, *words[index + 1 :]])
    return Gapped(text, good[: len(good) - cut], bad[: len(bad) - cut])
