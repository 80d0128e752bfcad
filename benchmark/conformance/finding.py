"""What a check found, and how checks are run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ...core.errors import PLUGIN_ERRORS, NotApplicable, one_line


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: The promise, such as `the same in any order`.
        ok: Whether it is kept.
        detail: What broke it, or what was left out and why.
    """

    check: str
    ok: bool
    detail: str = ""


class BrokenPromise(Exception):
    """A promise that is not kept; the text says how."""


def run_checks(checks: Iterable[tuple[str, Callable[[], str | None]]]) -> list[Finding]:
    """Runs checks in order. A check returns nothing or a note, or raises; `NotApplicable` counts as kept, with its reason."""
    found = []
    for name, check in checks:
        try:
            found.append(Finding(name, True, check() or ""))
        except BrokenPromise as fault:
            found.append(Finding(name, False, str(fault)))
        except NotApplicable as reason:
            found.append(Finding(name, True, f"not applicable: {reason}"))
        except PLUGIN_ERRORS as error:  # a plug-in may fail in any way; each is its author's to see
            found.append(Finding(name, False, one_line(error)))
    return found


def failed(findings: Sequence[Finding]) -> list[str]:
    """One line for every promise that is not kept: what a test shows."""
    return [f"{f.check}: {f.detail}" for f in findings if not f.ok]


def require(holds: bool, otherwise: str) -> None:
    """Raises `BrokenPromise` with the text unless it holds."""
    if not holds:
        raise BrokenPromise(otherwise)
