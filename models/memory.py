"""The memory budget of explaining, and how many rows of work fit into a part of it.

The budget is what a process may take at once above its loaded model. It decides only how work is split (rows, samples of a path,
words, layers), so that numbers do not depend on it beyond rounding.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from ..core.errors import FlowgaugeError, UsageError

if TYPE_CHECKING:
    from .layered import Layered

DEFAULT = "4GiB"
"""The budget where none is given."""
UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
LEAST = 2**26
"""The smallest budget: 64 MiB, below which Python's own objects are no longer small beside it."""
NO_MEMORY = "DefaultCPUAllocator: can't allocate memory"
"""What torch says where a tensor does not fit into the memory of the machine."""
_BUDGET: ContextVar[int] = ContextVar("memory budget", default=4 * 2**30)


class OutOfMemory(FlowgaugeError):
    """There is not enough memory for so many instances at once; fewer may do."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that it comes from, says that memory has run out: that of the process or of a GPU."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or type(cause).__name__ == "OutOfMemoryError" or NO_MEMORY in str(cause):
            return True
        cause = cause.__cause__
    return False


def memory_bytes(text: str | int) -> int:
    """The bytes of a size.

    Args:
        text: A number with a unit, such as 4GiB, 500 MB or 2g; a number alone is in bytes.

    Raises:
        UsageError: No size, or one below `LEAST`.

    >>> memory_bytes("4GiB"), memory_bytes("500 MB"), memory_bytes("1.5g")
    (4294967296, 500000000, 1500000000)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *([kmgt]?i?)b?", str(text).strip().lower())
    if match is None or match[2] not in UNITS:
        raise UsageError(f"a memory budget is a size such as 4GiB or 500MB, got {str(text)!r}.")
    size = int(float(match[1]) * UNITS[match[2]])
    if size < LEAST:
        raise UsageError(f"a memory budget of {size:,} bytes is too small: give at least {LEAST // 2**20}MiB.")
    return size


def memory_budget() -> int:
    """The budget that holds now (bytes)."""
    return _BUDGET.get()


@contextmanager
def within_memory(size: int) -> Iterator[None]:
    """Sets the budget inside the block.

    Args:
        size: Bytes.

    >>> with within_memory(2**30):
    ...     memory_budget()
    1073741824
    """
    token = _BUDGET.set(size)
    try:
        yield
    finally:
        _BUDGET.reset(token)


def affordable(each: int, share: float, most: int | None = None) -> int:
    """How many pieces of work fit into a share of the budget; 1 at least.

    Args:
        each: Bytes of one piece.
        share: Of the budget.
        most: No more than so many; None: any number.

    >>> with within_memory(2**30):
    ...     affordable(2**20, 0.5), affordable(2**31, 0.5), affordable(2**20, 0.5, most=256)
    (512, 1, 256)
    """
    count = max(1, int(share * memory_budget()) // max(1, each))
    return count if most is None else min(count, most)


def run_bytes(model: Layered, tokens: int) -> int:
    """An estimate of the bytes that one row takes in a run without gradients: those of the largest layer, and the logits."""
    inner = getattr(model, "inner_width", 4 * model.width)
    return _bytes(model, tokens * (12 * model.width + 3 * inner) + _scores(model, tokens) + 4 * _outputs(model))


def gradient_bytes(model: Layered, tokens: int) -> int:
    """An estimate of the bytes that one row takes while autograd keeps the graph of all layers, with fused attention."""
    inner = getattr(model, "inner_width", 4 * model.width)
    layer = tokens * (14 * model.width + 3 * inner) + _scores(model, tokens)
    return _bytes(model, (model.n_layers + 1) * layer + 6 * _outputs(model))


def layer_bytes(model: Layered, tokens: int) -> int:
    """An estimate of the bytes that one row takes in one layer whose sites, weights and gradients are all kept at once."""
    inner = getattr(model, "inner_width", 4 * model.width)
    return _bytes(model, tokens * (30 * model.width + 4 * inner) + 12 * getattr(model, "n_heads", 0) * tokens**2)


def rows_at_once(model: Layered, tokens: int, most: int | None = None, gradients: bool = False) -> int:
    """How many rows run at once in a half of the budget, which leaves the other half to what a batch keeps.

    Args:
        model: Any model.
        tokens: Tokens of a row.
        most: No more than so many; None: any number.
        gradients: Whether autograd keeps the graph of every layer.

    Returns:
        At least 1.
    """
    return affordable(gradient_bytes(model, tokens) if gradients else run_bytes(model, tokens), 1 / 2, most)


def _scores(model: Layered, tokens: int) -> int:
    """Numbers of the scores and weights of one layer, where no fused kernel leaves them out."""
    rules = [getattr(layer, "attention", None) for layer in getattr(model, "layers", ())]
    fused = all(getattr(rule, "cap", None) is None and getattr(rule, "relative", None) is None for rule in rules)
    return 0 if fused else 5 * getattr(model, "n_heads", 0) * tokens**2


def _outputs(model: Layered) -> int:
    """Logits of one row: as many as there are words in a model that predicts words."""
    table = getattr(getattr(model, "word_embedding", None), "weight", None)
    return len(table) if table is not None and model.head in ("masked", "next") else 0


def _bytes(model: Layered, numbers: int) -> int:
    return numbers * model.dtype.itemsize
