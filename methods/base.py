"""How a method is declared: the `Method` protocol, the `@method` decorator and `explanations`, which trims padding."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from ..core.declare import FunctionPlugin, decorator
from ..core.errors import UsageError
from ..core.needs import check_needs
from ..core.registry import check_name
from ..models.batch import Batch
from ..models.built.training import TrainingSession
from ..models.flow.flow_model import FlowModel
from ..models.flow.graph import Patterns
from ..models.layered import Layered
from .explanation import VIEWS, Explanation
from .registry import OUTSIDE


@runtime_checkable
class Method(Protocol):
    """A way to explain q.

    Attributes:
        name: As on the command line.
        version: Raised by any change that moves explanations.
        needs: Words of `core.needs.NEEDS`: `transformer`, `target` (q reads one position), `path_samples`, `training` (see
            `Amortised`). Empty: it applies to any model, and to tasks whose answer is read at several positions.
        gives: The views it returns.
        stochastic: Whether its explanations depend on the seed.

    `@method` adds `source`: who published it.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    needs: ClassVar[frozenset[str]]
    gives: ClassVar[frozenset[str]]
    stochastic: ClassVar[bool]

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """One explanation an instance, in order."""
        ...


class Amortised:
    """A base for methods that are trained once for a model and a task, and then explain any instance.

    A subclass adds `fit`. The benchmark calls it on the task's train split, stores what it returns apart from the cells, and
    explains with `trained(weights)`.
    """

    weights: ClassVar[Mapping[str, Tensor]] = MappingProxyType({})
    """What `fit` returned; empty before."""

    def fit(self, model: Layered, data: Sequence[Batch], training: TrainingSession) -> Mapping[str, Tensor]:
        """Trains on batches of the train split and returns what `explain` needs.

        Logs its curve to `training`, and keeps checkpoints there if it takes more than seconds.

        Raises:
            FlowgaugeError: It did not converge; the text says what to change.
        """
        raise NotImplementedError

    def trained(self, weights: Mapping[str, Tensor]) -> Self:
        """The same method with what `fit` returned."""
        made = copy.copy(self)
        object.__setattr__(made, "weights", MappingProxyType(dict(weights)))
        return made

    def demand_weights(self) -> Mapping[str, Tensor]:
        """The weights.

        Raises:
            UsageError: It was not trained.
        """
        if not self.weights:
            name = getattr(self, "name", type(self).__name__)
            raise UsageError(f"method {name!r} has not been trained: use flowgauge.run, or method.trained(method.fit(...)).")
        return self.weights


class FunctionMethod(FunctionPlugin):
    """A plain function as a method; its keyword arguments after `model, batch` are the settings."""

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Calls the function with its settings."""
        explained: list[Explanation] = self.function(model, batch, **self.options)
        return explained


def method(
    name: str,
    *,
    gives: Collection[str],
    needs: Collection[str] = (),
    version: int = 1,
    stochastic: bool = False,
    source: str = "",
) -> Callable[[Any], Any]:
    """Declares a class or a function `(model, batch, **settings) -> list[Explanation]` as a method.

    Args:
        name: As on the command line.
        gives: The views it returns.
        needs: What it asks of the model and the task, of `core.needs.NEEDS`.
        version: Raised by any change that moves explanations.
        stochastic: Whether its explanations depend on the seed.
        source: Who published it: authors, year, title, and the section or equation if useful.

    Raises:
        UsageError: A view or need that does not exist, a name that cannot be one.
    """
    check_name("method", name)
    if name.startswith(OUTSIDE):
        raise UsageError(f"a method cannot be called {name!r}: {OUTSIDE!r} marks explanations that were computed elsewhere.")
    gives = {gives} if isinstance(gives, str) else gives
    unknown = sorted(set(gives) - set(VIEWS))
    if unknown:
        raise UsageError(f"method {name!r} names the view {unknown[0]!r}; there are {', '.join(VIEWS)}.")
    metadata = {
        "name": name, "version": version, "gives": frozenset(gives), "needs": check_needs("method", name, needs),
        "stochastic": stochastic, "source": source,
    }  # fmt: skip
    return decorator("method", metadata, FunctionMethod, leading=2)


_TOKEN_AXES = {
    "tokens": (0,),
    "nodes": (1,),
    "flows": (0, 2),
    "units": (1,),
    "heads": (),
    "edges": (2, 3),
    "mask": (1,),
    "gate": (1,),
    "fill": (),
}


def explanations(
    batch: Batch,
    *,
    patterns: Sequence[Patterns] | None = None,
    values: Sequence[Mapping[str, float]] | None = None,
    **views: Tensor,
) -> list[Explanation]:
    """Explanations of a batch from padded tensors, one row an instance; cuts every token axis to the real tokens.

    Args:
        batch: The batch explained.
        patterns: One an instance, if the method finds patterns.
        values: Numbers about each explanation.
        views: Tensors by view name (`tokens=(B, N)`, `nodes=(B, L+1, N)`, ...).

    Raises:
        ValueError: A tensor whose shape does not fit the batch.
    """
    made = []
    for name, view in views.items():
        if name not in _TOKEN_AXES:
            raise ValueError(f"no view is called {name!r}; views are {', '.join(VIEWS)}.")
        wrong = [axis for axis in _TOKEN_AXES[name] if view.ndim <= axis + 1 or view.shape[axis + 1] != batch.ids.shape[1]]
        if len(view) != len(batch) or wrong:
            raise ValueError(
                f"the view {name!r} has shape {tuple(view.shape)}; expected one row for each of {len(batch)} instances "
                f"with {batch.ids.shape[1]} tokens."
            )
    for i, length in enumerate(batch.lengths):
        cut: dict[str, Any] = {}
        for name, view in views.items():
            row = view[i]
            for axis in _TOKEN_AXES[name]:
                row = row.narrow(axis, 0, length)
            cut[name] = row.detach().to("cpu", torch.float64).numpy()
        made.append(Explanation(**cut, patterns=patterns[i] if patterns else None, values=values[i] if values else {}))
    return made
