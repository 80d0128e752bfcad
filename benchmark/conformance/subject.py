"""The model and the sentences that methods and metrics are checked on, and comparisons of explanations."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any

import numpy as np
import torch

from ...methods.explanation import Explanation
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ...models.flow.graph import Patterns
from ...models.inputs.encode import encode
from ...models.load import load_model
from ...models.shared_model import SharedModel
from ...tasks.instance import Instance, Quantity
from ...tasks.registry import load_task
from .finding import require

SAMPLE = (("sva/wsc", 2), ("sva/obj", 2), ("ra/ga", 2))
"""Tasks of 10, 11 and 13 tokens, so that a batch of them is padded."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A model and the sentences that it is explained on.

    Attributes:
        model: The model.
        instances: The sentences, of different lengths.
        shared: The model as it was before the plug-in ran.
    """

    model: FlowModel
    instances: tuple[Instance, ...]
    shared: SharedModel = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shared", SharedModel(self.model))
        self.shared.keep()

    def batch(self, instances: Sequence[Instance] | None = None, seed: int = 0) -> Batch:
        """A new batch with an empty cache, of all instances or of some."""
        return encode(self.model, instances or self.instances, Quantity(), seed)

    @property
    def tolerance(self) -> float:
        """The largest relative difference that rounding explains: the square root of the dtype's epsilon."""
        return float(torch.finfo(self.model.dtype).eps ** 0.5)

    def require_unchanged(self, settings: Sequence[str]) -> None:
        """Checks that a plug-in has left what all cells share as it was.

        Args:
            settings: Names of the settings of the process that it left changed.

        Raises:
            BrokenPromise: With what changed: the model, then settings.
        """
        changed = list(dict.fromkeys(filter(None, [self.shared.changed(), *settings])))
        if self.shared.changed():
            default_model.cache_clear()  # nothing else may be checked on it
        advice = "work on copies, draw from batch.generators(), set back what you change."
        require(not changed, f"{' and '.join(changed)} changed: {advice}")


@cache
def default_model() -> FlowModel:
    """The embedded model in float64, so that differences are not due to rounding."""
    return load_model("agreement-bert", dtype="float64")


def subject(model: FlowModel | None = None, instances: Sequence[Instance] | None = None) -> Subject:
    """What a plug-in is checked on.

    Args:
        model: The model; None: the embedded one in float64.
        instances: The sentences; None: a few agreement sentences of different lengths.
    """
    chosen = instances or [i for name, limit in SAMPLE for i in load_task(name).instances("test", limit, 0)]
    return Subject(model or default_model(), tuple(chosen))


def padded(batch: Batch, extra: int, pad: int) -> Batch:
    """A batch with further padding.

    Args:
        batch: The batch.
        extra: Number of positions to add.
        pad: The token id of padding.
    """
    widths = {"ids": pad, "attention_mask": False, "token_type_ids": 0}
    wider: dict[str, Any] = {
        name: torch.nn.functional.pad(getattr(batch, name), (0, extra), value=fill) for name, fill in widths.items()
    }
    if batch.counterpart is not None:
        wider["counterpart"] = torch.nn.functional.pad(batch.counterpart, (0, extra), value=pad)
    return replace(batch, **wider, word_ids=torch.nn.functional.pad(batch.word_ids, (0, 0, 0, extra), value=-1), cache={})


def flat(explanation: Explanation) -> dict[str, np.ndarray]:
    """Every array of an explanation by name, draws and patterns included.

    >>> flat(Explanation(tokens=np.ones(2), values={"q": 3.0}))
    {'0/tokens': array([1., 1.]), 'values.q': array(3.)}
    """
    flattened: dict[str, np.ndarray] = {}
    for draw, whole in enumerate(explanation.each()):
        for part in fields(whole):
            view = getattr(whole, part.name)
            if isinstance(view, np.ndarray):
                flattened[f"{draw}/{part.name}"] = view
            elif isinstance(view, Patterns):
                arrays = {p.name: getattr(view, p.name) for p in fields(view)}
                flattened |= {f"{draw}/patterns.{name}": value for name, value in arrays.items() if value is not None}
    return flattened | {f"values.{name}": np.asarray(value) for name, value in explanation.values.items()}


def require_equal(first: Sequence[Explanation], second: Sequence[Explanation], names: Sequence[str], tolerance: float) -> None:
    """Checks that explanations of the same instances are equal: integers exactly, numbers up to a share of the largest.

    Numbers about an explanation (a completeness error, a gap) are differences of scores, so they are compared with the largest
    score.

    Args:
        first: One explanation an instance.
        second: Further explanations of the same instances.
        names: Ids of the instances.
        tolerance: The largest difference, as a share of the largest value of a view.

    Raises:
        BrokenPromise: With the instance, the view and the difference.
    """
    for name, left_explanation, right_explanation in zip(names, first, second, strict=True):
        left, right = flat(left_explanation), flat(right_explanation)
        require(left.keys() == right.keys(), f"instance {name!r} has the views {sorted(left)} and then {sorted(right)}.")
        scale = max((float(np.abs(a).max()) for a in left.values() if a.size and a.dtype.kind == "f"), default=0.0)
        for view, a in left.items():
            b = right[view]
            require(a.shape == b.shape, f"instance {name!r}: {view} has shape {a.shape} and then {b.shape}.")
            if not a.size:
                continue
            size = scale if view.startswith("values.") or view.endswith("gap") else float(np.abs(a).max())
            allowed = tolerance * size if a.dtype.kind == "f" else 0.0
            difference = float(np.abs(a.astype(float) - b.astype(float)).max())
            require(
                difference <= allowed, f"instance {name!r}: {_named(view)} differs by {difference:.3g}, allowed {allowed:.3g}."
            )


def _named(array: str) -> str:
    """An array of `flat` in words.

    >>> _named("0/tokens"), _named("2/heads"), _named("values.gap")
    ('tokens', 'heads of draw 2', 'values.gap')
    """
    draw, _, view = array.rpartition("/")
    return view if draw in ("", "0") else f"{view} of draw {draw}"


def digest(explanations: Sequence[Explanation]) -> str:
    """Sha256 of every array of explanations."""
    total = hashlib.sha256()
    for explanation in explanations:
        for name, array in flat(explanation).items():
            total.update(f"{name}{array.shape}{array.dtype}".encode() + np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def tensors(batch: Batch) -> dict[str, torch.Tensor]:
    """Copies of a batch's tensors by name."""
    return {part.name: value.clone() for part in fields(batch) if isinstance(value := getattr(batch, part.name), torch.Tensor)}


def require_unchanged(before: dict[str, torch.Tensor], batch: Batch) -> None:
    """Checks that a batch's tensors are what they were `before`.

    Raises:
        BrokenPromise: With the name of the tensor that changed.
    """
    after = tensors(batch)
    for name, value in before.items():
        require(torch.equal(value, after[name]), f"the batch's {name} were changed in place.")
