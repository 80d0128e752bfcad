"""A group's instances as batches, encoded for its model and with the model's predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...core.errors import NoneLeft
from ...models.inputs.encode import TRACE_SAMPLES, EncodedInstances, batches
from ...models.layered import Layered
from ...models.shared_model import SharedModel
from ..loading.head_check import check_head
from .explain import PreparedBatch, prepare
from .jobs import JobGroup

BATCH_SIZE = 32
"""Most instances a batch; `batches` takes fewer where their path samples would not fit its budget."""


@dataclass(eq=False)
class PreparedBatches:
    """A group's batches. Predictions are computed when first needed and kept; work that methods share on a batch is not kept.

    Attributes:
        model: The model that is explained.
        encoded: The instances as batches, and which were skipped or cut.
        labels: The model's output of each class of the task; empty for a task without classes.
        refusal: Why none of the instances can be asked of the model; empty where there are batches.
        shared: The model as it is lent to plug-ins.
    """

    model: Layered
    encoded: EncodedInstances
    labels: Mapping[str, int] = field(default_factory=dict)
    refusal: str = ""
    shared: SharedModel = field(init=False)
    _prepared: dict[int, PreparedBatch] = field(default_factory=dict)
    _current: int = -1
    _part: tuple[int, tuple[int, ...], PreparedBatch] | None = None

    def __post_init__(self) -> None:
        self.shared = SharedModel(self.model)

    def __len__(self) -> int:
        return len(self.encoded.batches)

    def __call__(self, index: int, rows: tuple[int, ...] = ()) -> PreparedBatch:
        """The batch at an index, or some of its rows; going on to another drops the work shared on the one before."""
        if index != self._current and self._current in self._prepared:
            self._prepared[self._current].free()
        if index not in self._prepared:
            self._prepared[index] = prepare(
                self.model, self.encoded.batches[index], self.encoded.instances[index], self.encoded.places
            )
        self._current, whole = index, self._prepared[index]
        if not rows or len(rows) == len(whole.batch):
            return whole
        if self._part is None or self._part[:2] != (index, rows):  # kept, so that methods share work on it too
            self._part = (index, rows, whole.rows(rows))
        return self._part[2]

    def free(self) -> None:
        """Drops the work that methods share on any batch."""
        self._part = None
        for prepared in self._prepared.values():
            prepared.free()


def encode_group(group: JobGroup, metrics: Sequence[Any] = (), batch_size: int | None = None) -> PreparedBatches:
    """The group's instances as batches of its model.

    Args:
        group: The model and the instances.
        metrics: What they are scored by: metrics of patterns take path samples, for which batches are smaller.
        batch_size: Most instances a batch; None: 32.

    Raises:
        UsageError: The model lacks the head or the classes that the task needs, or cannot take a sentence.
        NoneLeft: None of the sentences fits the model.
    """
    model: Layered = group.model.load()
    labels = check_head(model, group.task)
    encoded = batches(
        model, group.instances, group.key.quantity,
        batch_size=batch_size or BATCH_SIZE, max_tokens=group.max_tokens, on_split=group.on_split, labels=labels or None,
        samples=TRACE_SAMPLES if _takes_paths(group, metrics) else 1,
    )  # fmt: skip
    left_out = getattr(group.task, "left_out", None)
    if callable(left_out) and (reason := left_out(group.key.split)):  # rows that are no instances, in one line
        encoded = replace(encoded, skipped=(reason, *encoded.skipped))
    return PreparedBatches(model, encoded, labels)


def encode_or_refuse(group: JobGroup, metrics: Sequence[Any], batch_size: int | None) -> PreparedBatches:
    """The same; where none of the sentences fits the model, no batches and the reason, which becomes that of every cell."""
    try:
        return encode_group(group, metrics, batch_size)
    except NoneLeft as reason:
        return PreparedBatches(group.model.load(), EncodedInstances((), (), ()), refusal=str(reason))


def _takes_paths(group: JobGroup, metrics: Sequence[Any]) -> bool:
    """Whether a method of the group or a metric declares that it needs path samples."""
    plugins = [*(job.method for job in group.jobs), *metrics]
    return any("path_samples" in getattr(plugin, "needs", ()) for plugin in plugins)
