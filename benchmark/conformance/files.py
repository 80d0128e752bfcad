"""Checks every plug-in of a file, or of a registry under pytest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from ...core.errors import FlowgaugeError, UsageError
from ...core.foreign_code import foreign_code
from ...core.registry import Registry, declared_in, load_file, plugin_name
from ...methods.registry import METHODS
from ...metrics.registry import METRICS
from ...tasks.registry import TASKS
from .finding import Finding, prefixed
from .methods import check_method
from .metrics import check_metric
from .tasks import check_task

Kind = Literal["method", "metric", "task"]
CHECKS: dict[str, Callable[..., list[Finding]]] = {"method": check_method, "metric": check_metric, "task": check_task}
REGISTRIES: dict[str, Registry] = {"method": METHODS, "metric": METRICS, "task": TASKS}


def check_file(path: str | Path) -> list[Finding]:
    """Checks every method, task and metric that a Python file declares; each finding names its plug-in.

    Raises:
        UsageError: No such file, an error in it, or nothing declared in it.
    """
    module = load_file(Path(path))
    findings = []
    for plugin in declared_in(module):
        if plugin.flowgauge_kind in CHECKS:
            findings += prefixed(f"{plugin.flowgauge_kind} {plugin_name(plugin)}", _check(plugin, module.__file__ or ""))
    if not findings:
        raise UsageError(
            f"{path} declares no method, task or metric: decorate one with @flowgauge.method(...), @task or @metric."
        )
    return findings


def _check(plugin: Any, home: str) -> list[Finding]:
    try:
        with foreign_code("check", home, []):
            return CHECKS[plugin.flowgauge_kind](plugin)
    except FlowgaugeError as error:  # it cannot even be built
        return [Finding("built with its defaults", False, str(error))]


def parametrize(kind: Kind) -> Any:
    """A pytest mark that runs a test for every plug-in of a kind that is installed; the test's argument is `plugin`.

    @parametrize("method")
    def test_conforms(plugin):
        assert not failed(check_method(plugin))
    """
    import pytest

    return pytest.mark.parametrize("plugin", sorted(REGISTRIES[kind].entries()))
