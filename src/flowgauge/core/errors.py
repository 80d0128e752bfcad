"""Errors a user can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FlowgaugeError(Exception):
    """Something failed for a reason a user can act on; the command line prints it as one line and exits with `exit_code`."""

    exit_code = 1


class UsageError(FlowgaugeError):
    """The request itself cannot be carried out: an unknown name, a bad file, a setting out of range."""

    exit_code = 2


class NoSplit(UsageError):
    """A task that does not have the split asked for."""


class UnfitSentence(UsageError):
    """A sentence that this model cannot be asked about; a user may leave such sentences out (`--on-split skip`)."""


class TooLong(UnfitSentence):
    """A sentence of more tokens than the model reads, that cannot be cut."""

    def __init__(self, message: str, tokens: int) -> None:
        super().__init__(message)
        self.tokens = tokens


class NotApplicable(FlowgaugeError):
    """A method or metric does not apply to what it was given; the text is the reason shown in tables."""


class UnknownName(UsageError):
    """A name that no plug-in has, with the nearest names that exist."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        guess = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}."
        super().__init__(f"no {kind} is called {name!r}: {guess}{' ' + hint if hint else ''}")


PLUGIN_ERRORS = (Exception, SystemExit, GeneratorExit)
"""All that a plug-in may throw; the user's own interrupt is none of it."""
LONGEST = 500
"""Characters of a foreign message that are shown and stored."""


def printable(text: str) -> str:
    r"""Text of any origin as a terminal may show it: what would move the cursor or start a line is escaped.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def one_line(error: BaseException) -> str:
    """An exception of any origin as one line of bounded length."""
    try:
        text = " ".join(str(error).split())
    except PLUGIN_ERRORS:  # a message may fail too
        text = ""
    text = text if len(text) <= LONGEST else text[:LONGEST] + "..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
