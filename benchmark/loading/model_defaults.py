"""Settings that depend on the model where nobody chooses them: the word that a removed word becomes (ADR 23)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...core.errors import UsageError
from ...core.registry import settings

if TYPE_CHECKING:
    from ...models.baseline import Baseline

SETTING, DEFAULT = "baseline", "mask"
"""The setting, and its default in methods and metrics, which encoders have."""


def for_model(plugin: Any, baseline: Baseline) -> Any:
    """A method or metric with the model's own default for the setting `baseline`, so that its key says what was used.

    Only the default `mask` gives way, and only where the plug-in was named without this setting: what a user chooses stays, also
    where it is `mask`, and so does a method that was built in Python.

    Args:
        plugin: A method or a metric.
        baseline: The model's default (`FlowModel.default_baseline`).
    """
    given = getattr(plugin, "flowgauge_given", None)
    if baseline == DEFAULT or given is None or SETTING in given or settings(plugin).get(SETTING) != DEFAULT:
        return plugin
    return rebuilt(plugin, {SETTING: baseline})


def rebuilt(plugin: Any, changed: Mapping[str, Any]) -> Any:
    """The plug-in with some settings changed, as if nobody had given them; a user's own that refuses them stays as it is."""
    build, chosen = getattr(plugin, "function", None), {**settings(plugin), **changed}
    try:
        new = type(plugin)(build, chosen) if build is not None else type(plugin)(**chosen)
    except UsageError:
        return plugin
    object.__setattr__(new, "flowgauge_given", plugin.flowgauge_given)
    return new
