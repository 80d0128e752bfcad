"""Whether our number agrees with a published one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ...benchmark.reproduction.outcome import RunOutcome
from ...benchmark.reproduction.paper import STATEMENT, PaperTableRow
from ..tables.entries import TableEntry

Word = Literal["within", "outside", "holds", "fails", "open", "not comparable", "not run"]
WORDS: dict[Word, str] = {
    "within": "the published number lies in our 95 % interval, or as near to ours as the digits printed",
    "outside": "it does not",
    "holds": "our whole interval agrees with what the paper says",
    "fails": "our whole interval contradicts it",
    "open": "our interval does both, or there is none",
    "not comparable": "the numbers are of different things",
    "not run": "there is no number of ours",
}
"""The verdicts, with what each says."""
DECIDED: tuple[Word, ...] = ("within", "outside", "holds", "fails", "open")


@dataclass(frozen=True)
class Verdict:
    """A verdict on a number.

    Attributes:
        word: One of `WORDS`.
        why: What one has to know of it: how the model differs from the paper's, or why there is no verdict.
    """

    word: Word
    why: str = ""


def judge(row: PaperTableRow, published: float | str, entry: TableEntry, outcomes: Sequence[RunOutcome], digits: int) -> Verdict:
    """The verdict on a number.

    A number is `within` if our interval, or our number where there is no interval, comes as near to it as the tolerance:
    the row's, else half of the last digit printed. A statement `holds` if our whole interval agrees with it. Without an interval
    a statement, and a number that is not near, is `open`.

    Args:
        row: Says how numbers are compared.
        published: The paper's number, or its statement, such as `> 0`.
        entry: Our number.
        outcomes: The runs that it is read from.
        digits: Digits that the paper prints after the point.

    >>> row = PaperTableRow(title="accuracy", published=(0.96,), of=({"method": "x"},))
    >>> judge(row, 0.96, TableEntry(0.93, 0.90, 0.958), (), 2).word, judge(row, 0.96, TableEntry(0.9, 0.8, 0.95), (), 2).word
    ('within', 'outside')
    >>> judge(row, "> 0", TableEntry(0.2, -0.1, 0.5), (), 2).word, judge(row, 0.96, TableEntry(0.9), (), 2).word
    ('open', 'open')
    """
    if not entry.known:
        return Verdict("not run", entry.reason)
    if row.not_comparable:
        return Verdict("not comparable", row.not_comparable)
    if row.same_shape and not all(outcome.same_size for outcome in outcomes):
        return Verdict("not comparable", "it depends on the size of the model, which is another")
    why = "; ".join(dict.fromkeys(outcome.remark for outcome in outcomes if outcome.remark))
    bounded = not math.isnan(entry.low)
    low, high = (entry.low, entry.high) if bounded else (entry.value, entry.value)
    if isinstance(published, str):
        return Verdict(_statement_word(published, low, high) if bounded else "open", why)
    near = 0.5 * 10**-digits if row.tolerance is None else row.tolerance
    rounding = 1e-9 * max(1.0, abs(published))
    inside = low - near - rounding <= published <= high + near + rounding
    return Verdict("within" if inside else "outside" if bounded else "open", why)


def _statement_word(statement: str, low: float, high: float) -> Word:
    matched = STATEMENT.fullmatch(statement)
    assert matched is not None  # the paper's file was checked
    bound = float(matched[2])
    agrees = (low > bound, high > bound) if matched[1] == ">" else (low < bound, high < bound)
    return "holds" if all(agrees) else "open" if any(agrees) else "fails"
