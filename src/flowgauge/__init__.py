"""Benchmarks explanations of information flow in transformers.

    import flowgauge
    results = flowgauge.run(tasks="sva/obj", methods=["influence-patterns", "attention"], limit=40)
    results.to_pandas()

Every public name is imported when it is first used, so that `import flowgauge` loads no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .core.version import VERSION

if TYPE_CHECKING:
    from .benchmark.engine.plan import Plan as Plan
    from .benchmark.external.folder_format import write_explanations as write_explanations
    from .benchmark.external.importer import questions as questions
    from .benchmark.fine_tuning.fine_tune import train as train
    from .benchmark.loading.load import load_model as load_model
    from .benchmark.store.record import Record as Record
    from .benchmark.store.store import Store as Store
    from .core.errors import FlowgaugeError as FlowgaugeError
    from .core.errors import NotApplicable as NotApplicable
    from .core.errors import UsageError as UsageError
    from .display.explain import explain as explain
    from .display.explained_text import ExplainedText as ExplainedText
    from .display.results import Results as Results
    from .display.runs import import_explanations as import_explanations
    from .display.runs import rescore as rescore
    from .display.runs import run as run
    from .methods.base import Amortised as Amortised
    from .methods.base import explanations as explanations
    from .methods.base import method as method
    from .methods.explanation import Explanation as Explanation
    from .metrics.base import ExplainedBatch as ExplainedBatch
    from .metrics.registry import metric as metric
    from .metrics.scores import Scores as Scores
    from .models.batch import Batch as Batch
    from .models.batch import Rows as Rows
    from .models.built.builder import model as model
    from .models.flow.flow_model import FlowModel as FlowModel
    from .models.flow.graph import Patterns as Patterns
    from .models.flow.trace import path_trace as path_trace
    from .models.inputs.encode import encode as encode
    from .models.layered import Layered as Layered
    from .tasks.declare import task as task
    from .tasks.instance import Instance as Instance
    from .tasks.instance import Quantity as Quantity
    from .tasks.registry import load_task as load_task

_PUBLIC = {
    "benchmark.engine.plan": ("Plan",),
    "benchmark.external.folder_format": ("write_explanations",),
    "benchmark.external.importer": ("questions",),
    "benchmark.fine_tuning.fine_tune": ("train",),
    "benchmark.loading.load": ("load_model",),
    "benchmark.store.record": ("Record",),
    "benchmark.store.store": ("Store",),
    "core.errors": ("FlowgaugeError", "NotApplicable", "UsageError"),
    "display.explain": ("explain",),
    "display.explained_text": ("ExplainedText",),
    "display.results": ("Results",),
    "display.runs": ("import_explanations", "rescore", "run"),
    "methods.base": ("Amortised", "explanations", "method"),
    "methods.explanation": ("Explanation",),
    "metrics.base": ("ExplainedBatch",),
    "metrics.registry": ("metric",),
    "metrics.scores": ("Scores",),
    "models.batch": ("Batch", "Rows"),
    "models.built.builder": ("model",),
    "models.flow.flow_model": ("FlowModel",),
    "models.flow.graph": ("Patterns",),
    "models.flow.trace": ("path_trace",),
    "models.inputs.encode": ("encode",),
    "models.layered": ("Layered",),
    "tasks.declare": ("task",),
    "tasks.instance": ("Instance", "Quantity"),
    "tasks.registry": ("load_task",),
}
"""The public names of each module."""
_HOME = {name: module for module, names in _PUBLIC.items() for name in names}
"""Public name to the module it lives in."""

__all__ = sorted(_HOME)
__version__ = VERSION


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"flowgauge has no {name!r}; it has {', '.join(sorted(_HOME))}.")
    value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*_HOME, *globals()])
