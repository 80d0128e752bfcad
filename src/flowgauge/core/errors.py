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


class NotApplicable(FlowgaugeError):
    """A method or metric does not apply to what it was given; the text is the reason shown in tables."""


class UnknownName(UsageError):
    """A name that no plug-in has, with the nearest names that exist."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        guess = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}."
        super().__init__(f"no {kind} is called {name!r}: {guess}{' ' + hint if hint else ''}")
