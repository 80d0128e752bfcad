"""How a method is declared: the `Method` protocol, the `@method` decorator, and `explanations`, which cuts off padding."""

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
from .explanation import AXES, VIEWS, Explanation
from .registry import OUTSIDE


@runtime_checkable
class Method(Protocol):
    """An attribution method: it explains the quantity q of a batch's answers by scores of tokens, states, heads or paths.

    Attributes:
        name: The name on the command line.
        version: A number that any change of the explanations raises.
        needs: Words of `core.needs.NEEDS`: `transformer`, `target` (q reads one position), `path_samples`, `training` (see
            `Amortised`). Empty: the method applies to any model, and to tasks whose answer is read at several positions.
        gives: The views that it returns.
        stochastic: Whether its explanations depend on the seed.

    `@method` adds `source`: who published the method. A method may have `loads`: names of modules that `explain` imports at its
    first call, which runs import before they time it; and `later`: settings that were added after cells had been stored and whose
    default changes nothing, so that it is no part of a key.

    A Boolean setting with the name of a view decides whether that view is computed; `gives` is then a property. Runs turn it off
    where none of their metrics reads what is lost, unless a user sets it.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    needs: ClassVar[frozenset[str]]
    gives: ClassVar[frozenset[str]]
    stochastic: ClassVar[bool]

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Explains every instance of the batch, in order."""
        ...


class Amortised:
    """Base class of methods that are trained once for a model and a task, and then explain any instance.

    A subclass adds `fit`. The benchmark calls it on the task's train split, stores the returned weights apart from the cells, and
    explains with `trained(weights)`.
    """

    weights: ClassVar[Mapping[str, Tensor]] = MappingProxyType({})
    """The weights that `fit` returned; empty before the training."""

    def fit(self, model: Layered, data: Sequence[Batch], training: TrainingSession) -> Mapping[str, Tensor]:
        """Trains the method on batches of the train split.

        Args:
            model: The model to be explained; its own weights are not changed.
            data: Batches of the task's train split.
            training: Gives the seed, takes the rows of the training curve and whether it has converged (`conclude`), and keeps
                checkpoints of trainings that take longer than seconds.

        Returns:
            The weights that `explain` needs, by name.

        Raises:
            FlowgaugeError: The training did not converge; the text says which setting to change.
        """
        raise NotImplementedError

    def trained(self, weights: Mapping[str, Tensor]) -> Self:
        """Returns a copy of the method with the weights that `fit` returned."""
        method = copy.copy(self)
        object.__setattr__(method, "weights", MappingProxyType(dict(weights)))  # methods are frozen dataclasses
        return method

    def demand_weights(self) -> Mapping[str, Tensor]:
        """Returns the weights of a trained method.

        Raises:
            UsageError: The method has not been trained.
        """
        if not self.weights:
            name = getattr(self, "name", type(self).__name__)
            raise UsageError(f"method {name!r} has not been trained: use flowgauge.run, or method.trained(method.fit(...)).")
        return self.weights


class FunctionMethod(FunctionPlugin):
    """A method from a plain function, whose keyword arguments after `model, batch` are the settings."""

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Calls the function with the settings."""
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
    control_of: str = "",
    misleads: str = "",
) -> Callable[[Any], Any]:
    """Declares a class or a function `(model, batch, **settings) -> list[Explanation]` as a method.

    Args:
        name: The name on the command line.
        gives: The views that it returns, of `VIEWS`.
        needs: Conditions on the model and the task, words of `core.needs.NEEDS`.
        version: A number that any change of the explanations raises.
        stochastic: Whether its explanations depend on the seed.
        source: Who published the method: authors, year, title, and the section or equation where that helps.
        control_of: Name of the method that this one is a control of. Tables show a control beside that method, without a rank.
        misleads: When its explanations mislead, in a sentence or two, with the source of what was found elsewhere.

    Returns:
        A decorator: a class comes back itself, a function as a factory that takes its settings by keyword.

    Raises:
        UsageError: The name cannot stand in a command, or a view or need does not exist.
    """
    check_name("method", name)
    if name.startswith(OUTSIDE):
        raise UsageError(
            f"a method cannot be called {name!r}: {OUTSIDE!r} marks explanations that were computed elsewhere; "
            "choose another name."
        )
    gives = {gives} if isinstance(gives, str) else gives
    unknown = sorted(set(gives) - set(VIEWS))
    if unknown:
        raise UsageError(f"method {name!r} names the view {unknown[0]!r}; there are {', '.join(VIEWS)}.")
    metadata = {
        "name": name, "version": version, "gives": frozenset(gives), "needs": check_needs("method", name, needs),
        "stochastic": stochastic, "source": source, "control_of": control_of,
        "misleads": misleads,
    }  # fmt: skip
    return decorator("method", metadata, FunctionMethod, leading=2)


def explanations(
    batch: Batch,
    *,
    patterns: Sequence[Patterns] | None = None,
    values: Sequence[Mapping[str, float]] | None = None,
    **views: Tensor,
) -> list[Explanation]:
    """Builds the explanations of a batch from padded tensors, and cuts every token axis to the real tokens.

    Args:
        batch: The explained batch of B instances, padded to N tokens.
        patterns: The patterns of each instance, if the method finds patterns.
        values: Numbers about each explanation, such as a completeness error.
        views: Tensors by view name, each with one row for every instance: `tokens=(B, N)`, `nodes=(B, L+1, N)` and so on.

    Returns:
        One explanation for each instance, in float64 on the CPU.

    Raises:
        ValueError: A view does not exist, or the shape of its tensor does not belong to the batch.
    """
    for name, view in views.items():
        if name not in AXES:
            raise ValueError(f"no view is called {name!r}; views are {', '.join(VIEWS)}.")
        wrong = [axis for axis in _token_axes(name) if view.ndim <= axis + 1 or view.shape[axis + 1] != batch.ids.shape[1]]
        if len(view) != len(batch) or wrong:
            raise ValueError(
                f"the view {name!r} has shape {tuple(view.shape)}; expected one row for each of {len(batch)} instances "
                f"with {batch.ids.shape[1]} tokens."
            )
    explained = []
    for row, length in enumerate(batch.lengths):
        trimmed: dict[str, Any] = {}
        for name, view in views.items():
            array = view[row]
            for axis in _token_axes(name):
                array = array.narrow(axis, 0, length)
            trimmed[name] = array.detach().to("cpu", torch.float64).numpy()
        explained.append(
            Explanation(**trimmed, patterns=patterns[row] if patterns else None, values=values[row] if values else {})
        )
    return explained


def _token_axes(view: str) -> list[int]:
    """Which axes of one instance's view count tokens, and so carry padding."""
    return [axis for axis, name in enumerate(AXES[view]) if name == "tokens"]
