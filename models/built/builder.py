"""How a model that flowgauge builds is declared: the `ModelBuilder` protocol and the `@model` decorator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Protocol, TypeVar, runtime_checkable

from torch import Tensor

from ...core.declare import decorator
from ...core.registry import check_name
from ..layered import Layered

BuilderClass = TypeVar("BuilderClass")


@runtime_checkable
class ModelBuilder(Protocol):
    """Builds a model from its settings. One with a method `fit(training) -> tensors` is trained first, once for each store.

    `fit` takes a `TrainingSession`, which gives the seed and the last checkpoint, and returns the weights by name; it raises a
    `FlowgaugeError` if the model did not become good enough.

    The settings identify what was trained. Where they do not suffice, because they name data or another model, a method
    `identity() -> mapping` returns what does, such as fingerprints. A setting `data_dir` is filled in from the plan.

    Attributes:
        name: The name on the command line.
        version: A number that is raised by any change to the model.
    """

    name: ClassVar[str]
    version: ClassVar[int]

    def build(self, weights: Mapping[str, Tensor]) -> Layered:
        """Builds the model in float32 on the CPU.

        Args:
            weights: What `fit` returned; empty for a builder without `fit`.
        """
        ...


def model(name: str, *, version: int = 1) -> Callable[[type[BuilderClass]], type[BuilderClass]]:
    """Declares a class whose constructor arguments are the settings as a `ModelBuilder`.

    Raises:
        UsageError: A name that cannot be one.
    """
    check_name("model", name)
    return decorator("model", {"name": name, "version": version})
