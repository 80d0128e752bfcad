"""The factory behind the decorators: classes and functions become plug-ins with settings and metadata."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from flowgauge.core.declare import FunctionPlugin, decorator
from flowgauge.core.plugin_source import source_hash
from flowgauge.core.registry import parameters, settings
from flowgauge.methods.base import method
from flowgauge.metrics.registry import metric
from flowgauge.tasks.declare import task


class Wrapped(FunctionPlugin):
    """A plug-in that adds its settings to a number."""

    def run(self, number: int) -> Any:
        return self.function(number, **self.options)


def test_a_function_becomes_a_factory_of_plugins_with_its_settings() -> None:
    @decorator("example", {"name": "sum", "version": 3}, Wrapped, leading=1)
    def total(number, first=1, second=10):
        """Adds."""
        return number + first + second

    assert (total.name, total.version, total.flowgauge_kind) == ("sum", 3, "example")
    assert (total.__doc__, total.__name__, total.__module__) == ("Adds.", "total", __name__)
    assert list(parameters(total)) == ["first", "second"]
    assert {p.kind for p in parameters(total).values()} == {inspect.Parameter.KEYWORD_ONLY}
    plugin = total(second=100)
    assert issubclass(type(plugin), Wrapped) and type(plugin).__name__ == "total"
    assert plugin.run(0) == 101 and settings(plugin) == {"first": 1, "second": 100}
    assert (plugin.name, plugin.version, plugin.__doc__) == ("sum", 3, "Adds.")
    assert len(source_hash(plugin)) == 64


def test_a_class_keeps_its_type_and_gets_the_metadata() -> None:
    class Plain:
        """Plain."""

        def __init__(self, size: int = 2) -> None:
            self.size = size

    decorated: Any = decorator("example", {"name": "plain", "unit": "words"}, Wrapped, leading=1)(Plain)
    assert (decorated.name, decorated.unit, decorated.flowgauge_kind) == ("plain", "words", "example")
    assert decorated is Plain and Plain(5).size == 5


def test_metadata_that_a_class_derives_from_a_setting_stays_its_own() -> None:
    class Choosing:
        """Choosing."""

        def __init__(self, higher: bool = True) -> None:
            self.higher = higher

        @property
        def higher_is_better(self) -> bool:
            return self.higher

    decorated = decorator("example", {"higher_is_better": None})(Choosing)
    assert decorated(False).higher_is_better is False and decorated(True).higher_is_better is True


@pytest.mark.parametrize(
    "declared",
    [
        method("mine", gives={"tokens"}, source="Doe 2020, A method"),
        metric("mine", reads="tokens", higher_is_better=True, unit="none", source="Doe 2020, A method"),
        task("mine", source="Doe 2020, A method"),
    ],
    ids=["method", "metric", "task"],
)
def test_every_decorator_takes_the_published_source(declared: Any) -> None:
    @declared
    def function(model, batch, reference):
        """A function."""

    assert function.source == function(**dict.fromkeys(parameters(function))).source == "Doe 2020, A method"


def test_without_a_source_methods_and_metrics_have_an_empty_one_and_tasks_keep_what_records_say() -> None:
    def function(model, batch, reference):
        """A function."""

    assert method("mine", gives={"tokens"})(function).source == ""
    assert metric("mine", reads="tokens", higher_is_better=True, unit="none")(function).source == ""
    assert task("mine")(function).source == "plug-in"
