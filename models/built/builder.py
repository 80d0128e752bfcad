"""How a model that flowgauge makes is declared: the `ModelBuilder` protocol and the `@model` decorator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Protocol, TypeVar, runtime_checkable

from torch import Tensor

from ...core.declare import decorator
from ...core.registry import check_name
from ..layered import Layered
from .training import TrainingSession

BuilderClass = TypeVar("BuilderClass")


@runtime_checkable
class ModelBuilder(Protocol):
    """Makes a model from its settings. With a method `fit(training) -> tensors` it is trained first, once a store.

    Settings identify what was trained. Where they do not (they name data or another model), a method `identity() -> mapping` has
    what does, such as fingerprints. A setting `data_dir` is filled in from the plan's.

    Attributes:
        name: As on the command line.
        version: Raised by any change that moves the model.
    """

    name: ClassVar[str]
    version: ClassVar[int]

    def build(self, weights: Mapping[str, Tensor]) -> Layered:
        """The model in float32 on the CPU, from what `fit` returned (nothing where there is no `fit`)."""
        ...


class TrainedModelBuilder(ModelBuilder, Protocol):
    """A maker whose model is trained."""

    def fit(self, training: TrainingSession) -> Mapping[str, Tensor]:
        """Trains it and returns its weights.

        Raises:
            FlowgaugeError: It did not become good enough, with what to do.
        """
        ...


def model(name: str, *, version: int = 1) -> Callable[[type[BuilderClass]], type[BuilderClass]]:
    """Declares a class whose constructor arguments are the settings as a `ModelBuilder`.

    Raises:
        UsageError: A name that cannot be one.
    """
    check_name("model", name)
    return decorator("model", {"name": name, "version": version})
