"""Whether a bundle would make its verifier fetch a model of the submitter's choice."""

from __future__ import annotations

from typing import Any

from ...core.errors import FlowgaugeError
from ...core.registry import Spec, parameters
from ...models.registry import MODELS, is_built
from ...models.zoo import ZOO
from ...tasks.registry import TASKS
from ..store.record import Record


def refuse_fetching(record: Record, model: str | None) -> None:
    """Refuses a record whose model would be fetched, although it is the submitter alone who names it.

    Args:
        record: The record.
        model: Where the verifier says that the model is; None: nowhere.

    Raises:
        FlowgaugeError: The model neither comes with flowgauge nor is built by it, or it is built from another that does not.
    """
    if model is not None:
        return
    spec = Spec.parse(record.asked.get("model", ""))
    named = _settings_that_name(spec) if is_built(spec.name) else [spec.name]
    for name in named:
        if name not in ZOO:
            raise FlowgaugeError(
                f"its model {name[:100]!r} is not fetched, because the submitter alone names it: "
                "if you trust it, name it or your copy of it with --model."
            )


def _settings_that_name(spec: Spec) -> list[str]:
    """Texts among the settings of a built model that are neither its defaults nor names of tasks: they may name models."""
    defaults: dict[str, Any] = {name: p.default for name, p in parameters(MODELS.factory(spec.name)).items()}
    texts = [(name, value) for name, value in spec.settings.items() if isinstance(value, str)]
    return [value for name, value in texts if value != defaults.get(name) and value not in TASKS.entries()]
