"""Runs checks and collects their findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ...core.errors import FlowgaugeError, NotApplicable
from ...core.foreign_code import foreign_code

UNCHANGED = "the model and settings of the process unchanged"


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: The promise that was checked, such as `the same in any order`.
        ok: Whether the promise is kept.
        detail: How it is broken, or why it was not checked.
    """

    check: str
    ok: bool
    detail: str = ""


class BrokenPromise(FlowgaugeError):
    """A promise is broken; the text says how."""


def run_checks(checks: Iterable[tuple[str, Callable[[], str | None]]], changed: list[str] | None = None) -> list[Finding]:
    """Runs checks in their order.

    Args:
        checks: The name of each promise, and a function that checks it. It returns nothing or a note, or raises an error.
        changed: Takes the names of settings of the process that the plug-in left changed.

    Returns:
        One finding a check. A check that raises `NotApplicable` counts as kept, with its reason.

    >>> run_checks([("one is one", lambda: require(1 == 1, "it is not."))])
    [Finding(check='one is one', ok=True, detail='')]
    """
    findings = []
    for name, check in checks:
        try:
            with foreign_code(name, changed=[] if changed is None else changed):
                note = check() or ""
            findings.append(Finding(name, True, note))
        except NotApplicable as reason:
            findings.append(Finding(name, True, f"not applicable: {reason}"))
        except FlowgaugeError as error:  # a plug-in may fail in any way, and its author wants to see each
            findings.append(Finding(name, False, str(error)))
    return findings


def prefixed(prefix: str, findings: Sequence[Finding]) -> list[Finding]:
    """The findings with a prefix before the name of each check.

    >>> prefixed("random", [Finding("declared", True)])
    [Finding(check='random: declared', ok=True, detail='')]
    """
    return [Finding(f"{prefix}: {finding.check}", finding.ok, finding.detail) for finding in findings]


def failed(findings: Sequence[Finding]) -> list[str]:
    """One line for every broken promise, for a test to show.

    >>> failed([Finding("declared", True), Finding("described", False, "it has no docstring.")])
    ['described: it has no docstring.']
    """
    return [f"{finding.check}: {finding.detail}" for finding in findings if not finding.ok]


def require(holds: bool, otherwise: str) -> None:
    """Checks a part of a promise.

    Args:
        holds: Whether it is kept.
        otherwise: How it is broken, if it is.

    Raises:
        BrokenPromise: It is broken.
    """
    if not holds:
        raise BrokenPromise(otherwise)
