"""A group's instances as batches, with the questions asked about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ...models.inputs.encode import TRACE_SAMPLES, EncodedInstances, batches
from ...models.layered import Layered
from .explain import PreparedBatch, prepare
from .head_check import check_head
from .jobs import JobGroup

BATCH_SIZE = 32
"""Most instances a batch; `batches` takes fewer where their path samples would not fit its budget."""


@dataclass(eq=False)
class PreparedBatches:
    """A group's batches, predicted when first needed and then kept, but without the work that methods share on them."""

    model: Layered
    encoded: EncodedInstances
    labels: Mapping[str, int] = field(default_factory=dict)
    _asked: dict[int, PreparedBatch] = field(default_factory=dict)
    _current: int = -1

    def __len__(self) -> int:
        return len(self.encoded.batches)

    def __call__(self, number: int) -> PreparedBatch:
        """A batch by number; going on to another drops the work shared on the one before."""
        if number != self._current and self._current in self._asked:
            self._asked[self._current].free()
        if number not in self._asked:
            self._asked[number] = prepare(self.model, self.encoded.batches[number], self.encoded.instances[number])
        self._current = number
        return self._asked[number]

    def free(self) -> None:
        """Drops all shared work."""
        for asked in self._asked.values():
            asked.free()


def encode_group(
    group: JobGroup,
    metrics: Sequence[Any],
    batch_size: int | None = None,
    max_tokens: int | None = None,
    on_split: Literal["error", "skip"] = "error",
) -> PreparedBatches:
    """The group's batches.

    Raises:
        UsageError: The model has not the head or the classes that the task needs, or there is a sentence that it cannot take.
    """
    model: Layered = group.model.load()
    labels = check_head(model, group.task)
    size = batch_size or BATCH_SIZE
    encoded = batches(
        model, group.instances, group.key.quantity,
        batch_size=size, max_tokens=max_tokens, on_split=on_split, labels=labels or None,
        samples=TRACE_SAMPLES if _takes_paths(group, metrics) else 1,
    )  # fmt: skip
    return PreparedBatches(model, encoded, labels)


def _takes_paths(group: JobGroup, metrics: Sequence[Any]) -> bool:
    """Whether a method of the group or a metric declares that it needs path samples."""
    plugins = [*(job.method for job in group.jobs), *metrics]
    return any("path_samples" in getattr(plugin, "needs", ()) for plugin in plugins)
