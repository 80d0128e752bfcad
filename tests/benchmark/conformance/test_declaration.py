"""Plug-ins by name, class or object; and the promises of declarations and settings."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from flowgauge.benchmark.conformance.declaration import (
    PluginUnderTest,
    require_declared,
    require_described,
    require_settings,
    under_test,
)
from flowgauge.benchmark.conformance.finding import BrokenPromise
from flowgauge.core.errors import UnknownName
from flowgauge.core.registry import settings
from flowgauge.methods.base import method
from flowgauge.methods.registry import METHODS


@dataclass(frozen=True)
class Mine:
    """Scales."""

    scale: float = 2.0
    name = "mine"

    def explain(self) -> None: ...


class Doubles:
    """Stores twice the setting."""

    def __init__(self, scale: float = 2.0) -> None:
        self.scale = 2 * scale


class Undescribed:
    pass


@pytest.mark.parametrize("plugin", ["attention:residual=0.3", {"name": "attention", "residual": 0.3}])
def test_a_name_with_settings_is_built_and_can_be_built_again(plugin) -> None:
    tested = under_test(METHODS, plugin, "explain")
    assert settings(tested.plugin)["residual"] == 0.3
    assert settings(tested.factory())["residual"] == 0.5


def test_classes_and_objects_are_taken() -> None:
    assert under_test(METHODS, Mine, "explain").plugin == Mine()
    tested = under_test(METHODS, Mine(3.0), "explain")
    assert tested.plugin.scale == 3.0 and tested.factory(scale=4.0) == Mine(4.0)
    with pytest.raises(UnknownName, match="attention"):
        under_test(METHODS, "atention", "explain")


def test_settings_that_cannot_be_read_back_are_named() -> None:
    require_settings(PluginUnderTest(Mine(), Mine))
    with pytest.raises(BrokenPromise, match=r"built again from its settings .*4.0\}, it has the settings .*8.0\}"):
        require_settings(PluginUnderTest(Doubles(), Doubles))


def test_a_setting_without_default_is_named() -> None:
    @method(name="scaled", gives=("tokens",))
    def scaled(model, batch, *, scale: float):
        """Scales."""

    with pytest.raises(BrokenPromise, match="the setting 'scale' has no default: give it one"):
        require_settings(PluginUnderTest(scaled(scale=1.0), scaled))


def test_what_is_not_declared_or_not_allowed_is_named() -> None:
    require_declared(Mine(), name=lambda value: value == "mine", explain=callable)
    with pytest.raises(BrokenPromise, match="it has no 'version'"):
        require_declared(Mine(), version=callable)
    with pytest.raises(BrokenPromise, match=r"scale is 2.0, which is not allowed"):
        require_declared(Mine(), scale=lambda value: value < 1)


def test_a_docstring_is_required() -> None:
    require_described(PluginUnderTest(Mine(), Mine))
    with pytest.raises(BrokenPromise, match="it has no docstring"):
        require_described(PluginUnderTest(Undescribed(), Undescribed))
