"""Each promise of a task is caught when it is broken, and by the check that states it."""

from __future__ import annotations

from types import ModuleType

import pytest
from tests.benchmark.conformance.conftest import broken

from flowgauge.benchmark.conformance import check_task

TASKS = {
    "gapless": {"a gap in every masked instance and no other"},
    "restless": {"the same instances a second time", "ids mean the same with and without a limit"},
    "undecided": {"all instances name what stands against the answer, or none"},
    "Lopsided": {"the limit is kept and balanced over conditions", "the sample's seed matters"},
    "Seedless": {"the sample's seed matters"},
    "Unlimited": {"the limit is kept and balanced over conditions", "the sample's seed matters"},
    "Renumbered": {"ids mean the same with and without a limit", "the sample's seed matters"},
    "Twins": {"ids are unique", "the sample's seed matters"},
    "Listed": {"gives frozen instances", "the sample's seed matters"},
    "Agreeable": {"an unknown split is refused", "the sample's seed matters"},
}


def test_a_sound_task_keeps_every_promise(plugins: ModuleType) -> None:
    findings = check_task(plugins.sound_task)
    assert broken(findings) == set()
    assert len(findings) == 11


@pytest.mark.parametrize(("name", "checks"), TASKS.items(), ids=TASKS)
def test_a_task_that_breaks_a_promise(name: str, checks: set[str], plugins: ModuleType) -> None:
    assert broken(check_task(getattr(plugins, name))) == checks
