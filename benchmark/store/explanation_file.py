"""Explanations to bytes and back, exactly: safetensors with flat values and a shape table, since N is ragged. No torch.

A part is one batch of one cell. Every explanation, gold or guided, whole or a draw, is a *piece*; `pieces` lists (instance,
guided, draw or -1). Each array name of each dtype has `values` (flat), `pieces` (which piece) and `shapes` (one row a piece).
Guided explanations are stored only where they differ from the gold one; `fill`, what stands in for masked states, is one row of
`values` and `shapes` where all pieces have the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from ...core.errors import FlowgaugeError
from ...methods.explanation import MASK_COMPANIONS, VIEWS, Explanation
from ...models.flow.graph import Patterns
from .record import SCHEMA

LARGE_EDGES = 1 << 16
"""Edge views with more values are stored as float16 (3 significant digits), times the power of two that puts the largest near
float16's: what is smaller by up to 9 orders of magnitude keeps its digits, where plain float16 loses what is under 6e-5."""

PATTERN_FIELDS = ("source", "total", "influence", "positions", "head_influence", "heads", "gap")


class DamagedPart(FlowgaugeError):
    """An explanations file that is not whole."""


@dataclass(frozen=True)
class ExplainedSentence:
    """One explained instance as figures and tables need it.

    Attributes:
        id: The instance's.
        condition: The group intervals are stratified by.
        tokens: Text of each real token, special ones included.
        slots: The template's name of each token, or the word's number.
        words: (segment, word) of each token; (-1, -1) for special ones.
        target: Position that q reads, or None.
        answer, against, predicted: Outputs as text, one a head; the ends of a span as `token@position`.
        correct: Whether the model predicts the answer.
    """

    id: str
    condition: str
    tokens: tuple[str, ...]
    slots: tuple[str, ...]
    words: tuple[tuple[int, int], ...]
    target: int | None
    answer: tuple[str, ...]
    against: tuple[str, ...]
    predicted: tuple[str, ...]
    correct: bool


@dataclass(frozen=True, eq=False)
class Part:
    """One batch of a cell.

    Attributes:
        sentences: What was explained.
        gold: Explanations of the gold quantity.
        predicted: Explanations of the predicted quantity; the same object as in `gold` where they do not differ.
        cost: own_seconds, charged_seconds, explanations, peak_bytes.
    """

    sentences: tuple[ExplainedSentence, ...]
    gold: tuple[Explanation, ...]
    predicted: tuple[Explanation, ...]
    cost: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not len(self.sentences) == len(self.gold) == len(self.predicted):
            raise ValueError(
                f"{len(self.sentences)} sentences, {len(self.gold)} gold and {len(self.predicted)} guided explanations."
            )


SENTENCES, COST = TypeAdapter(tuple[ExplainedSentence, ...]), TypeAdapter(dict[str, float])
"""What a part's header has to hold; it may have been written by anyone."""


class PartHeader(NamedTuple):
    """What a part says without its explanations."""

    sentences: tuple[ExplainedSentence, ...]
    cost: Mapping[str, float]


def to_bytes(part: Part) -> bytes:
    """A part as a safetensors file."""
    pieces: list[tuple[int, int, int]] = []
    columns: dict[str, list[tuple[int, np.ndarray]]] = {}
    for i, (gold, guided) in enumerate(zip(part.gold, part.predicted, strict=True)):
        _add(pieces, columns, gold, (i, 0))
        if guided is not gold and not same(gold, guided):
            _add(pieces, columns, guided, (i, 1))
    tensors = {"pieces": np.array(pieces, np.int64).reshape(-1, 3)}
    for name, column in columns.items():
        arrays = [array for _, array in column]
        if name.startswith("fill|") and all(np.array_equal(arrays[0], array) for array in arrays[1:]):
            arrays = arrays[:1]
        tensors[f"{name}|values"] = np.concatenate([np.ravel(array) for array in arrays])
        tensors[f"{name}|pieces"] = np.array([piece for piece, _ in column], np.int64)
        if arrays[0].ndim:
            tensors[f"{name}|shapes"] = np.array([array.shape for array in arrays], np.int64)
    header = {"schema": SCHEMA, "sentences": [asdict(s) for s in part.sentences], "cost": dict(part.cost)}
    return safetensors.save(tensors, {"flowgauge": json.dumps(header)})


def from_bytes(data: bytes, where: str = "explanations") -> Part:
    """The part that `to_bytes` wrote.

    Raises:
        DamagedPart: The bytes are no whole part.
        FlowgaugeError: A newer flowgauge wrote it.
    """
    sentences, cost = head(data, where)
    try:
        gold, guided = _pieces(safetensors.load(data), len(sentences))
        return Part(sentences, gold, guided, cost)
    except (SafetensorError, ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
        raise DamagedPart(f"{where} is not a whole explanations file: {error}") from error


def head(data: bytes, where: str = "explanations") -> PartHeader:
    """The sentences and the cost of a part; its explanations are not decoded.

    Raises:
        DamagedPart: The bytes are no whole part.
        FlowgaugeError: A newer flowgauge wrote it.
    """
    try:
        header = _header(data)
        newer = header["schema"] > SCHEMA
        found = PartHeader(() if newer else SENTENCES.validate_python(header["sentences"]), COST.validate_python(header["cost"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedPart(f"{where} is not a whole explanations file: {error}") from error
    if newer:
        raise FlowgaugeError(
            f"{where} has schema {header['schema']}, this flowgauge reads up to {SCHEMA}: install a newer flowgauge."
        )
    return found


def same(one: Explanation, other: Explanation) -> bool:
    """Whether two explanations hold exactly the same values."""
    left, right = _arrays(one), _arrays(other)
    alike = left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)
    return alike and len(one.draws) == len(other.draws) and all(same(a, b) for a, b in zip(one.draws, other.draws, strict=True))


def _header(data: bytes) -> dict[str, Any]:
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = json.loads(data[8:start])
    found: dict[str, Any] = json.loads(tensors.pop("__metadata__")["flowgauge"])
    whole = start + max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0)
    if len(data) != whole:
        raise ValueError(f"it has {len(data)} bytes of {whole}")
    return found


def _add(
    pieces: list[tuple[int, int, int]],
    columns: dict[str, list[tuple[int, np.ndarray]]],
    explanation: Explanation,
    at: tuple[int, int],
) -> None:
    for draw, one in enumerate((explanation, *explanation.draws), start=-1):
        if draw >= 0 and one.draws:
            raise ValueError("a draw cannot have draws of its own.")
        for name, array in _arrays(one).items():
            column = f"{name}|{array.dtype.str}|{array.ndim}"
            columns.setdefault(column, []).append((len(pieces), array))
        pieces.append((*at, draw))


def _arrays(explanation: Explanation) -> dict[str, np.ndarray]:
    """Every array of an explanation but its draws, by name."""
    found = {f"value.{name}": np.asarray(number, np.float64) for name, number in explanation.values.items()}
    for name in (*VIEWS, *MASK_COMPANIONS):
        view = getattr(explanation, name)
        if name == "patterns" and view is not None:
            fields = {f"patterns.{f}": getattr(view, f) for f in PATTERN_FIELDS}
            found |= {f: np.ascontiguousarray(array) for f, array in fields.items() if array is not None}
        elif view is not None:
            found |= _edges(view) if name == "edges" else {name: np.ascontiguousarray(view)}
    return found


def _edges(edges: np.ndarray) -> dict[str, np.ndarray]:
    """Edges as they are stored: as they are, or narrow with their exponent."""
    if edges.size <= LARGE_EDGES:
        return {"edges": np.ascontiguousarray(edges)}
    exponent = int(np.frexp(np.abs(edges).max())[1]) - 15
    return {"edges": np.ldexp(edges, -exponent).astype(np.float16), "edges.exponent": np.asarray(exponent)}


def _pieces(tensors: Mapping[str, np.ndarray], count: int) -> tuple[tuple[Explanation, ...], tuple[Explanation, ...]]:
    table = tensors["pieces"]
    arrays: list[dict[str, np.ndarray]] = [{} for _ in table]
    for key in tensors:
        name, _, kind = key.rpartition("|")
        if kind == "values":
            _split(tensors, name, arrays)
    whole: dict[tuple[int, int], dict[str, np.ndarray]] = {}
    draws: dict[tuple[int, int], list[Explanation]] = {}
    for (instance, guided, draw), found in zip(table.tolist(), arrays, strict=True):
        if draw < 0:
            whole[instance, guided] = found
        else:
            draws.setdefault((instance, guided), []).append(_explanation(found, ()))
    made = {at: _explanation(found, draws.get(at, ())) for at, found in whole.items()}
    gold = tuple(made[i, 0] for i in range(count))
    return gold, tuple(made.get((i, 1), gold[i]) for i in range(count))


def _split(tensors: Mapping[str, np.ndarray], column: str, arrays: list[dict[str, np.ndarray]]) -> None:
    name, values, start = column.split("|")[0], tensors[f"{column}|values"], 0
    owners = tensors[f"{column}|pieces"]
    shapes = tensors.get(f"{column}|shapes", np.zeros((len(owners), 0), np.int64))
    if len(shapes) == 1:  # the same in every piece, and stored once
        for owner in owners.tolist():
            arrays[owner][name] = values.reshape(shapes[0])
        return
    for owner, shape in zip(owners.tolist(), shapes.tolist(), strict=True):
        size = int(np.prod(shape, dtype=np.int64))
        arrays[owner][name] = values[start : start + size].reshape(shape)
        start += size
    if start != len(values):
        raise ValueError(f"{column} has {len(values)} values for shapes of {start}.")


def _explanation(found: Mapping[str, np.ndarray], draws: Sequence[Explanation]) -> Explanation:
    fields: dict[str, Any] = {name: found[name] for name in (*VIEWS, *MASK_COMPANIONS) if name in found}
    if "edges" in fields and fields["edges"].size > LARGE_EDGES:
        fields["edges"] = np.ldexp(fields["edges"].astype(np.float64), found.get("edges.exponent", 0))
    if "patterns.source" in found:
        fields["patterns"] = Patterns(**{f: found.get(f"patterns.{f}") for f in PATTERN_FIELDS})  # type: ignore[arg-type]
    values = {name.removeprefix("value."): float(number) for name, number in found.items() if name.startswith("value.")}
    return Explanation(**fields, values=values, draws=tuple(draws))
