"""Checks that are kept, broken, not applicable, or fail."""

from __future__ import annotations

import pytest

from flowgauge.benchmark.conformance.finding import BrokenPromise, Finding, failed, prefixed, require, run_checks
from flowgauge.core.errors import NotApplicable


def test_every_outcome_of_a_check_is_a_finding() -> None:
    def inapplicable() -> None:
        raise NotApplicable("it has no heads")

    def crash() -> None:
        raise ZeroDivisionError("on\ntwo lines")

    checks = [
        ("kept", lambda: None),
        ("noted", lambda: "there are only 3"),
        ("broken", lambda: require(False, "2 is not 1.")),
        ("inapplicable", inapplicable),
        ("crash", crash),
    ]
    findings = run_checks(checks)
    assert findings == [
        Finding("kept", True),
        Finding("noted", True, "there are only 3"),
        Finding("broken", False, "2 is not 1."),
        Finding("inapplicable", True, "not applicable: it has no heads"),
        Finding("crash", False, "on two lines (test_finding.py, line 16)"),
    ]
    assert failed(prefixed("mine", findings)) == [
        "mine: broken: 2 is not 1.",
        "mine: crash: on two lines (test_finding.py, line 16)",
    ]


def test_a_requirement_raises_only_where_it_does_not_hold() -> None:
    require(True, "never said")
    with pytest.raises(BrokenPromise, match=r"^said\.$"):
        require(False, "said.")
