"""A group's instances as batches, with the questions asked about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..core.errors import UsageError
from ..models.encode import Encoded, batches
from ..models.model import FlowModel
from ..models.trace import trace_bytes
from .explain import Asked, ask
from .jobs import Group

BATCH_SIZE = 32
TRACE_BUDGET = 3 << 30
"""Bytes that the path samples of one batch may take; longer sentences get smaller batches."""
SAMPLES = 50
"""Path samples that the budget reckons with."""


@dataclass(eq=False)
class Encodings:
    """A group's batches, predicted when first needed and then kept, but without the work that methods share on them."""

    model: FlowModel
    encoded: Encoded
    _asked: dict[int, Asked] = field(default_factory=dict)
    _current: int = -1

    def __len__(self) -> int:
        return len(self.encoded.batches)

    def __call__(self, number: int) -> Asked:
        """A batch by number; going on to another drops the work shared on the one before."""
        if number != self._current and self._current in self._asked:
            self._asked[self._current].free()
        if number not in self._asked:
            self._asked[number] = ask(self.model, self.encoded.batches[number], self.encoded.instances[number])
        self._current = number
        return self._asked[number]

    def free(self) -> None:
        """Drops all shared work."""
        for asked in self._asked.values():
            asked.free()


def encode_group(
    model: FlowModel, group: Group, batch_size: int | None = None, max_tokens: int | None = None, on_split: Literal["error", "skip"] = "error"
) -> Encodings:
    """The group's batches, small enough for the path samples of their longest sentence unless `batch_size` says otherwise.

    Raises:
        UsageError: The model has not the head that the task needs, or there is a sentence that it cannot take.
    """
    if group.task.head != model.head:
        raise UsageError(f"task {group.task.name!r} needs a model with a {group.task.head!r} head, but model {model.name!r} has a {model.head!r} head.")

    def encode(size: int) -> Encoded:
        return batches(model, group.instances, group.key.quantity, batch_size=size, max_tokens=max_tokens, on_split=on_split)

    encoded = encode(batch_size or BATCH_SIZE)
    if batch_size is None:
        longest = max(batch.ids.shape[1] for batch in encoded.batches)
        fits = max(1, TRACE_BUDGET // trace_bytes(model, longest, SAMPLES))
        encoded = encode(fits) if fits < BATCH_SIZE else encoded
    return Encodings(model, encoded)
