"""Each promise is caught when it is broken, and by the check that states it."""

from __future__ import annotations

from types import ModuleType

import pytest
from tests.benchmark.conformance.conftest import broken

from flowgauge.benchmark.conformance import check_method
from flowgauge.benchmark.conformance.finding import UNCHANGED
from flowgauge.models.flow.flow_model import FlowModel

SHAPED = "one explanation an instance, shaped as declared"
ALONE, ORDER = "the same one instance at a time", "the same in any order"
METHODS = {
    "too_few": SHAPED,
    "other_views": SHAPED,
    "too_long": SHAPED,
    "forgetful": "the same a second time",
    "by_batch": ALONE,
    "by_place": ORDER,
    "by_padding": "the same with more padding",
    "cached": "the same from a batch with work cached on it",
    "overwrites": "batch unchanged",
    "meddles": UNCHANGED,
    "reseeds": UNCHANGED,
    "hooked": UNCHANGED,
    "double": UNCHANGED,
    "secretly_drawn": "the seed matters if and only if it is declared stochastic",
    "not_drawn": "the seed matters if and only if it is declared stochastic",
    "Rounds": "settings can be read back",
    "Computes": "settings can be read back",
    "Silent": "described",
    "unlucky": "explains",
}
TOO = {"forgetful": 7, "by_place": 2, "by_padding": 2, "cached": 1}
"""How many promises break at once, where it is more than one; `forgetful` breaks every repetition."""


def test_a_sound_method_keeps_every_promise(plugins: ModuleType, model: FlowModel) -> None:
    findings = check_method(plugins.sound, model)
    assert broken(findings) == set()
    assert len(findings) == 13


@pytest.mark.parametrize(("name", "check"), METHODS.items(), ids=METHODS)
def test_a_method_that_breaks_a_promise(name: str, check: str, plugins: ModuleType, model: FlowModel) -> None:
    found = broken(check_method(getattr(plugins, name), model))
    assert check in found
    assert len(found) == TOO.get(name, 1), found


@pytest.mark.parametrize(
    ("name", "check", "remedy"),
    [
        ("by_padding", "the same with more padding", "`batch.attention_mask` is False there"),
        ("by_batch", ALONE, "compute nothing across the rows of a batch"),
        ("by_place", ORDER, "compute nothing across the rows of a batch"),
        ("forgetful", "the same a second time", "keep nothing from one call to the next"),
        ("cached", "the same from a batch with work cached on it", "do not change it in place"),
    ],
)
def test_a_repetition_that_differs_comes_with_its_remedy(
    name: str, check: str, remedy: str, plugins: ModuleType, model: FlowModel
) -> None:
    (finding,) = [finding for finding in check_method(getattr(plugins, name), model) if finding.check == check]
    assert not finding.ok and remedy in finding.detail and "\n" not in finding.detail


def test_what_is_not_a_plug_in_is_told_what_it_lacks(model: FlowModel) -> None:
    (finding, *_) = check_method(type("Nothing", (), {"explain": print, "name": "nothing"}), model)
    assert (finding.check, finding.ok) == ("declared", False)
    assert "version" in finding.detail
