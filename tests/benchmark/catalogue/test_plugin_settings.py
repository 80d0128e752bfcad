"""Settings that are read from source files: the same names and defaults as an import gives, and a text for each."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flowgauge.benchmark.catalogue.plugin_settings import (
    NO_DEFAULT,
    PluginSetting,
    declared_settings,
    documented,
    imported_settings,
)
from flowgauge.core.plugin_docs import target_parts
from flowgauge.core.registry import Registry, parameters
from flowgauge.methods.registry import METHODS
from flowgauge.metrics.registry import METRICS
from flowgauge.models.registry import MODELS
from flowgauge.tasks.registry import TASKS

CONSTANTS = "MOST = 2**10\n"
MODULE = '''
from read_constants import MOST as LARGEST


class Base:
    """A base.

    Attributes:
        size: How many,
            at least one.
        kind: Which.
    """

    size: int
    kind: str = "a"
    shared: ClassVar[int] = 3
    version: int = field(init=False, default=1)


class Child(Base):
    """A child.

    Attributes:
        most: The largest.
    """

    kind: str = "b"
    most: int = LARGEST


class Built:
    """Built.

    Attributes:
        folder: Where.
    """

    def __init__(self, folder, deep=len("no literal")):
        """Builds it.

        Args:
            deep: How deep.
        """


@metric("named", reads="tokens")
def named(model, explained, reference, base=0.5, *, only: int = 1):
    """Named.

    Args:
        base, only: Both.

    Returns:
        only: Not a setting.
    """


def builder(folder=None) -> Built:
    """Builds one."""
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "read_settings.py").write_text(MODULE)
    (tmp_path / "read_constants.py").write_text(CONSTANTS)
    monkeypatch.syspath_prepend(tmp_path)
    return "read_settings"


def test_fields_of_bases_come_first_and_constants_are_followed(module: str) -> None:
    assert declared_settings(module, "Child") == (
        PluginSetting("size", NO_DEFAULT, "How many, at least one."),
        PluginSetting("kind", "b", "Which."),
        PluginSetting("most", 1024, "The largest."),
    )
    assert module not in sys.modules and "read_constants" not in sys.modules


def test_arguments_of_functions_and_constructors_are_settings(module: str) -> None:
    assert declared_settings(module, "named") == (PluginSetting("base", 0.5, "Both."), PluginSetting("only", 1, "Both."))
    assert declared_settings(module, "Built") == (
        PluginSetting("folder", NO_DEFAULT, "Where."),
        PluginSetting("deep", "len('no literal')", "How deep."),
    )
    assert declared_settings(module, "builder") == (PluginSetting("folder", None, "Where."),)


@pytest.mark.parametrize("name", ["Nothing", "module"])
def test_what_is_not_there_has_no_settings(name: str, module: str) -> None:
    assert declared_settings(module, name) == declared_settings("no_such.module", name) == ()


def test_sections_end_where_the_next_paragraph_begins() -> None:
    assert documented("Text.\n\nAttributes:\n    a: One.\n\nNote: b\n    c: Not an attribute.") == {"a": "One."}
    assert documented("") == {} and repr(NO_DEFAULT) == "no default"


@pytest.mark.parametrize("registry", [METHODS, METRICS, TASKS, MODELS], ids=lambda registry: registry.kind)
def test_settings_of_builtin_plugins_are_those_of_an_import_and_documented(registry: Registry) -> None:
    for name, target in registry.builtin.items():
        read = declared_settings(*target_parts(target))
        imported = parameters(registry.factory(name)).values()
        assert {s.name: s.default for s in read} == {
            p.name: NO_DEFAULT if p.default is p.empty else p.default for p in imported
        }, name
        assert all(setting.text for setting in read), name
        if registry.kind == "method" and registry.factory(name).__name__ != "factory":
            own = {s.name: s.text for s in imported_settings(registry.factory(name)) if s.text}
            assert own.items() <= {s.name: s.text for s in read}.items(), name
