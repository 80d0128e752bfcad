"""Writes explanations as bytes and reads them back exactly: safetensors with flat values and a table of shapes.

A part is one batch of one cell. Sentences differ in length, so arrays of a view cannot be stacked. Every explanation, of the gold
or the predicted answer, whole or a draw, is a *piece*; `pieces` lists (instance, predicted, draw or -1). Each view of each dtype
has `values` (flat), `pieces` (which piece) and `shapes` (one row a piece). Explanations of the predicted answer are stored only
where they differ from the gold one. Where `fill`, what masked states are replaced by, is the same in all pieces, it is stored
once: its `values` and `shapes` have one row.
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

from ...methods.explanation import MASK_COMPANIONS, VIEWS, Explanation
from ...models.flow.graph import Patterns
from .record import SCHEMA, check_schema
from .sums import BLANK, DamagedFile, seal

LARGE_EDGES = 1 << 16
"""Edge views with more values are stored as float16 (3 significant digits), times the power of two that puts the largest near
float16's: what is smaller by up to 9 orders of magnitude keeps its digits, where plain float16 loses what is under 6e-5."""

PATTERN_FIELDS = ("source", "total", "influence", "positions", "head_influence", "heads", "gap")


@dataclass(frozen=True)
class ExplainedSentence:
    """One explained instance as figures and tables need it.

    Attributes:
        id: The instance's id.
        condition: The group intervals are stratified by.
        tokens: Text of each real token, special ones included.
        slots: The template's name of each token, or the index of its word.
        words: (segment, word) of each token; (-1, -1) for special ones.
        target: Position that q is read at; None where it is read at several or at none.
        answer, against, predicted: Outputs as text, one a head; the ends of a span as `token@position`.
        correct: Whether the model predicts the answer; None where it gives a score.
        place: The index of the instance among those of its task; None in files of version 0.1.
        cluster: The source that the instance shares with others; empty, and absent from the file, where it is in none.
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
    correct: bool | None
    place: int | None = None
    cluster: str = ""

    @property
    def verdict(self) -> str:
        """Whether the model is right, and else what it predicts, as the end of a sentence; empty where it gives a score."""
        if self.correct is None:
            return ""
        return f"; the model is {'right' if self.correct else 'wrong: ' + ' '.join(self.predicted)}"


@dataclass(frozen=True, eq=False)
class Part:
    """One batch of a cell.

    Attributes:
        sentences: The explained instances.
        gold: Explanations of the gold quantity.
        predicted: Explanations of the predicted quantity; the same object as in `gold` where they do not differ.
        cost: own_seconds, charged_seconds, explanations and peak_bytes, as in a record's cost, and its passes and processor
            time in all.
    """

    sentences: tuple[ExplainedSentence, ...]
    gold: tuple[Explanation, ...]
    predicted: tuple[Explanation, ...]
    cost: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not len(self.sentences) == len(self.gold) == len(self.predicted):
            raise ValueError(
                f"{len(self.sentences)} sentences, {len(self.gold)} gold and {len(self.predicted)} predicted explanations."
            )

    def rows(self, rows: Sequence[int]) -> Part:
        """Some of its instances, at the cost of all."""
        sentences = tuple(self.sentences[row] for row in rows)
        return Part(sentences, tuple(self.gold[row] for row in rows), tuple(self.predicted[row] for row in rows), self.cost)


SENTENCES, COST = TypeAdapter(tuple[ExplainedSentence, ...]), TypeAdapter(dict[str, float])
"""What the header of a part has to hold; it is checked, since anyone may have written the file."""


class PartHeader(NamedTuple):
    """The header of a part, without its explanations.

    Attributes:
        sentences: The explained instances.
        cost: What explaining them took.
    """

    sentences: tuple[ExplainedSentence, ...]
    cost: Mapping[str, float]


def to_bytes(part: Part) -> bytes:
    """A part as a safetensors file."""
    pieces: list[tuple[int, int, int]] = []
    columns: dict[str, list[tuple[int, np.ndarray]]] = {}
    for index, (gold, predicted) in enumerate(zip(part.gold, part.predicted, strict=True)):
        _add(pieces, columns, gold, (index, 0))
        if predicted is not gold and not same(gold, predicted):
            _add(pieces, columns, predicted, (index, 1))
    tensors = {"pieces": np.array(pieces, np.int64).reshape(-1, 3)}
    for name, column in columns.items():
        arrays = [array for _, array in column]
        if name.startswith("fill|") and all(np.array_equal(arrays[0], array) for array in arrays[1:]):
            arrays = arrays[:1]
        tensors[f"{name}|values"] = np.concatenate([np.ravel(array) for array in arrays])
        tensors[f"{name}|pieces"] = np.array([piece for piece, _ in column], np.int64)
        if arrays[0].ndim:
            tensors[f"{name}|shapes"] = np.array([array.shape for array in arrays], np.int64)
    sentences = [{name: value for name, value in asdict(s).items() if name != "cluster" or value} for s in part.sentences]
    header = {"schema": SCHEMA, "sentences": sentences, "cost": dict(part.cost), "seal": BLANK}
    return seal(safetensors.save(tensors, {"flowgauge": json.dumps(header)}))


def from_bytes(data: bytes, where: str = "explanations") -> Part:
    """The part that `to_bytes` wrote.

    Args:
        data: The file's bytes.
        where: The file's name, for messages.

    Raises:
        DamagedFile: The bytes are not those of a whole part.
        FlowgaugeError: A newer flowgauge wrote it.
    """
    sentences, cost = head(data, where)
    try:
        gold, predicted = _explanations(safetensors.load(data), len(sentences))
        return Part(sentences, gold, predicted, cost)
    except (SafetensorError, ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
        raise DamagedFile(f"{where} is damaged: it is not a whole explanations file.") from error


def head(data: bytes, where: str = "explanations") -> PartHeader:
    """The sentences and the cost of a part; its explanations are not decoded.

    Args:
        data: The file's bytes.
        where: The file's name, for messages.

    Raises:
        DamagedFile: The bytes are not those of a whole part.
        FlowgaugeError: A newer flowgauge wrote it.
    """
    try:
        header = read_metadata(data)
        check_schema(header["schema"], SCHEMA, where)
        return PartHeader(SENTENCES.validate_python(header["sentences"]), COST.validate_python(header["cost"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedFile(f"{where} is damaged: it is not a whole explanations file.") from error


def same(first: Explanation, second: Explanation) -> bool:
    """Whether two explanations hold exactly the same values, draws included.

    >>> same(Explanation(tokens=np.array([1.0])), Explanation(tokens=np.array([2.0])))
    False
    """
    left, right = _arrays(first), _arrays(second)
    if left.keys() != right.keys() or len(first.draws) != len(second.draws):
        return False
    equal = all(np.array_equal(left[name], right[name]) for name in left)
    return equal and all(same(a, b) for a, b in zip(first.draws, second.draws, strict=True))


def read_metadata(data: bytes) -> dict[str, Any]:
    """What flowgauge wrote into the metadata of a safetensors file.

    Args:
        data: The whole file.

    Raises:
        ValueError: The file is no JSON there, or has another length than the offsets of its tensors say.
        KeyError: Its metadata has nothing of flowgauge.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = json.loads(data[8:start])
    header: dict[str, Any] = json.loads(tensors.pop("__metadata__")["flowgauge"])
    length = start + max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0)
    if len(data) != length:
        raise ValueError(f"it has {len(data)} bytes of {length}")
    return header


def _add(
    pieces: list[tuple[int, int, int]],
    columns: dict[str, list[tuple[int, np.ndarray]]],
    explanation: Explanation,
    owner: tuple[int, int],
) -> None:
    """Adds an explanation and its draws as pieces of their owner: the instance's index, and 1 for the predicted answer."""
    for draw, piece in enumerate((explanation, *explanation.draws), start=-1):
        if draw >= 0 and piece.draws:
            raise ValueError("a draw cannot have draws of its own.")
        for name, array in _arrays(piece).items():
            column = f"{name}|{array.dtype.str}|{array.ndim}"
            columns.setdefault(column, []).append((len(pieces), array))
        pieces.append((*owner, draw))


def _arrays(explanation: Explanation) -> dict[str, np.ndarray]:
    """Every array of an explanation but its draws, by name."""
    arrays = {f"value.{name}": np.asarray(value, np.float64) for name, value in explanation.values.items()}
    for name in (*VIEWS, *MASK_COMPANIONS):
        view = getattr(explanation, name)
        if name == "patterns" and view is not None:
            fields = {f"patterns.{f}": getattr(view, f) for f in PATTERN_FIELDS}
            arrays |= {f: np.ascontiguousarray(array) for f, array in fields.items() if array is not None}
        elif view is not None:
            arrays |= _edges(view) if name == "edges" else {name: np.ascontiguousarray(view)}
    return arrays


def _edges(edges: np.ndarray) -> dict[str, np.ndarray]:
    """Edges as they are stored: small arrays exactly, large ones in half precision with a common exponent."""
    if edges.size <= LARGE_EDGES:
        return {"edges": np.ascontiguousarray(edges)}
    exponent = int(np.frexp(np.abs(edges).max())[1]) - 15
    return {"edges": np.ldexp(edges, -exponent).astype(np.float16), "edges.exponent": np.asarray(exponent)}


def _explanations(tensors: Mapping[str, np.ndarray], count: int) -> tuple[tuple[Explanation, ...], tuple[Explanation, ...]]:
    """Gold and predicted explanations of `count` instances from the tensors of a file."""
    table = tensors["pieces"]
    arrays: list[dict[str, np.ndarray]] = [{} for _ in table]
    for key in tensors:
        name, _, kind = key.rpartition("|")
        if kind == "values":
            _split(tensors, name, arrays)
    whole: dict[tuple[int, int], dict[str, np.ndarray]] = {}
    draws: dict[tuple[int, int], list[Explanation]] = {}
    for (instance, is_predicted, draw), piece in zip(table.tolist(), arrays, strict=True):
        if draw < 0:
            whole[instance, is_predicted] = piece
        else:
            draws.setdefault((instance, is_predicted), []).append(_explanation(piece, ()))
    explanations = {owner: _explanation(piece, draws.get(owner, ())) for owner, piece in whole.items()}
    gold = tuple(explanations[index, 0] for index in range(count))
    return gold, tuple(explanations.get((index, 1), gold[index]) for index in range(count))


def _split(tensors: Mapping[str, np.ndarray], column: str, arrays: list[dict[str, np.ndarray]]) -> None:
    """Cuts a column's flat values into one array a piece, each into the arrays of its piece."""
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


def _explanation(piece: Mapping[str, np.ndarray], draws: Sequence[Explanation]) -> Explanation:
    fields: dict[str, Any] = {name: piece[name] for name in (*VIEWS, *MASK_COMPANIONS) if name in piece}
    if "edges" in fields and fields["edges"].size > LARGE_EDGES:
        fields["edges"] = np.ldexp(fields["edges"].astype(np.float64), piece.get("edges.exponent", 0))
    if "patterns.source" in piece:
        fields["patterns"] = Patterns(**{f: piece.get(f"patterns.{f}") for f in PATTERN_FIELDS})  # type: ignore[arg-type]
    values = {name.removeprefix("value."): float(array) for name, array in sorted(piece.items()) if name.startswith("value.")}
    return Explanation(**fields, values=values, draws=tuple(draws))
