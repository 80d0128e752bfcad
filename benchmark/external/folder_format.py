"""The folder in which explanations that were computed elsewhere are handed in, and the marks of cells imported from one.

<folder>/
    manifest.json               or manifest.yaml: `ExternalManifest`, what was explained and by which method
    explanations.safetensors    one tensor an instance and view

A tensor is called `<instance id>/<view>`: `sva/obj/SP/author-guard-like-tall/tokens` holds the scores of that instance's tokens.
Views are those of `methods.explanation.Explanation`, with its shapes, where N counts the tokens of the sentence, [CLS] and [SEP]
included, L the layers and H the heads:

    tokens (N,)           nodes (L+1, N)    flows (N, L+1, N)    units (L, N, H+1)
    heads  (L, H)         edges (L, 1 or H, N to, N from)        mask and gate (L+2, N)

They explain q for the right answer. Metrics also ask about the answer that the model gives. Where that is another, its
explanation is `<instance id>/predicted/<view>`; a method that asks for no answer (raw attention) says `same_for_predicted` in the
manifest instead. `<instance id>/input_ids` may hold the token ids that were explained: they are then compared with the model's.
`flowgauge questions` lists the instances, their token ids, the position and the outputs of q.

Numbers about an explanation itself (`values`), paths and draws are not imported, since they could not be checked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from ...core.errors import UsageError, in_words
from ...core.registry import check_name
from ...core.text_files import parse_json, parse_yaml, read_text
from ...methods.explanation import MASK_COMPANIONS, VIEWS, Explanation
from ...methods.registry import METHODS, OUTSIDE
from ..store.atomic_files import write_file
from ..store.explanation_file import Part
from ..store.record import Record, check_schema
from .look_alikes import look_alike

SCHEMA: Literal[1] = 1
"""Raised by any change of folder or manifest that older readers would misread."""
TENSORS = "explanations.safetensors"
MANIFESTS = ("manifest.json", "manifest.yaml", "manifest.yml")
TAKEN = ("tokens", "nodes", "flows", "units", "heads", "edges", "mask", "gate")
"""Views that can be imported."""
IDS, PREDICTED = "input_ids", "/predicted"
SOURCE = "outside"
"""The `source` of the method in the key of an imported cell; of a user's own plug-in it is the hash of its file."""


class ExternalManifest(BaseModel):
    """What was explained, and by which method.

    Attributes:
        method: The method's name, which is none of flowgauge's methods; boards show it with `outside.` before it.
        producer: The program that computed the scores, such as captum.
        producer_version: The program's version.
        task: The task, named as for `flowgauge run --task` or in a plan.
        model: The model, named as for `flowgauge run --model`; None: the one that comes with the task, or agreement-bert.
        version: The method's version.
        settings: The method's settings, for tables.
        seed: The seed that the scores depend on, if they do; explanations of another seed go into another folder.
        citation: The publication to cite: authors, year, title.
        same_for_predicted: Whether the method's explanations do not depend on the answer, so that those of the predicted answer
            are those of the right one.
        revision, split, limit, sample_seed, dtype, max_tokens, on_split, columns, where: The fields of a plan.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    schema_version: Literal[1] = SCHEMA
    kind: Literal["flowgauge-explanations"] = "flowgauge-explanations"
    method: str = Field(min_length=1, max_length=80)
    producer: str = Field(min_length=1, max_length=100)
    producer_version: str = Field(min_length=1, max_length=100)
    task: str | dict[str, JsonValue]
    model: str | None = None
    version: str = Field(default="1", max_length=100)
    settings: dict[str, JsonValue] = {}
    seed: int | None = Field(default=None, ge=0)
    citation: str = Field(default="", max_length=2000)
    same_for_predicted: bool = False
    revision: str | None = None
    split: str = "test"
    limit: int | None = Field(default=None, ge=1)
    sample_seed: int = Field(default=0, ge=0)
    dtype: Literal["float32", "float64", "bfloat16", "float16"] = "float32"
    max_tokens: int | None = Field(default=None, ge=1)
    on_split: Literal["error", "skip"] = "error"
    columns: dict[str, str] = {}
    where: dict[str, str] = {}

    @property
    def name(self) -> str:
        """The method's name in cells and on boards."""
        return OUTSIDE + self.method

    def identity(self) -> dict[str, JsonValue]:
        """The method's part of a cell's key; `source` and `producer` say that flowgauge did not run it."""
        producer = f"{self.producer} {self.producer_version}"
        return {"name": self.name, "version": self.version, "settings": self.settings, "source": SOURCE, "producer": producer}


@dataclass(frozen=True, eq=False)
class ExternalExplanations:
    """The contents of a folder of explanations.

    Attributes:
        manifest: What was explained, and by which method.
        arrays: Tensors by their names in the file.
    """

    manifest: ExternalManifest
    arrays: Mapping[str, np.ndarray]
    _views: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, array in self.arrays.items():
            instance, _, view = name.rpartition("/")
            if view not in (*TAKEN, IDS):
                raise UsageError(
                    f"{TENSORS} has a tensor {name[:200]!r}: expected <instance id>/<view>, with a view of {', '.join(TAKEN)}."
                )
            self._views.setdefault(instance, {})[view] = array

    @property
    def views(self) -> set[str]:
        """The views that an instance or more has."""
        return {view for arrays in self._views.values() for view in arrays} - {IDS}

    def unknown_instances(self, known: Iterable[str]) -> list[str]:
        """Explained instances that are not among the `known` ids."""
        known = set(known)
        return [name for name in self._views if name not in known and name.removesuffix(PREDICTED) not in known]

    def ids(self, instance: str) -> np.ndarray | None:
        """The token ids that were explained; None where they were not handed in."""
        return self._views.get(instance, {}).get(IDS)

    def explanation(self, instance: str, predicted: bool = False) -> Explanation | None:
        """The explanation of one instance; None where there is none.

        Args:
            instance: The instance's id.
            predicted: Whether to take that of the predicted answer instead of that of the right one.

        Raises:
            UsageError: Its arrays are not views of an explanation.
        """
        name = instance + PREDICTED if predicted else instance
        views = {view: array for view, array in self._views.get(name, {}).items() if view != IDS}
        if any(np.iscomplexobj(array) for array in views.values()):
            raise UsageError(f"instance {name!r}: its numbers are complex; scores are real.")
        try:
            fields: dict[str, Any] = {view: np.asarray(array, np.float64) for view, array in views.items()}
            return Explanation(**fields) if fields else None
        except ValueError as error:
            raise UsageError(f"instance {name!r}: {error}") from error


def write_explanations(
    folder: str | Path,
    explanations: Mapping[str, Any],
    *,
    predicted: Mapping[str, Any] | None = None,
    **manifest: Any,
) -> ExternalManifest:
    """Writes a folder that `flowgauge import` reads.

        flowgauge.write_explanations("mine", {q.id: scores_of(q) for q in flowgauge.questions("sva/obj", limit=8)},
            method="my-lrp", producer="my notebook", producer_version="1", task="sva/obj", limit=8, same_for_predicted=True)

    Args:
        folder: The folder, created where there is none; its manifest and its tensors are replaced.
        explanations: By instance id the token scores, or a mapping from views to arrays: lists, NumPy arrays or tensors.
        predicted: Explanations of the answer that the model gives, for instances where that is not the right one.
        manifest: The fields of `ExternalManifest`.

    Returns:
        The manifest.

    Raises:
        UsageError: A field that is missing, unknown or out of range; a view that does not exist; nothing to write.
    """
    checked = _manifest(manifest, "the manifest")
    every = {**explanations, **{f"{name}{PREDICTED}": scores for name, scores in (predicted or {}).items()}}
    arrays = {f"{name}/{view}": array for name, scores in every.items() for view, array in _arrays(scores)}
    if not arrays:
        raise UsageError("there are no explanations to write: give at least one, by the id of its instance.")
    ExternalExplanations(checked, arrays)  # refuses views that do not exist
    folder = Path(folder)
    for name in MANIFESTS:  # the manifest is written last, so that it never describes other tensors
        (folder / name).unlink(missing_ok=True)
    write_file(folder / TENSORS, safetensors.save(arrays))
    write_file(folder / MANIFESTS[0], checked.model_dump_json(indent=1))
    return checked


def read_explanations(folder: str | Path) -> ExternalExplanations:
    """Reads a folder that `write_explanations` or another program wrote.

    Raises:
        UsageError: A file is missing or cannot be read, the manifest breaks its schema, or the name of a tensor is not that of an
            instance and a view.
    """
    folder = Path(folder)
    path = next((folder / name for name in MANIFESTS if (folder / name).is_file()), None)
    if path is None or not (folder / TENSORS).is_file():
        raise UsageError(f"{folder} needs {TENSORS} and {MANIFESTS[0]} (or {MANIFESTS[1]}); `flowgauge import --help` says more.")
    text = read_text(path, "manifest")
    try:
        stored = parse_json(text) if path.suffix == ".json" else parse_yaml(text, str(path))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {in_words(error)}.") from error
    if not isinstance(stored, dict):
        raise UsageError(f"{path} must be a mapping with method, producer, task and so on, got {type(stored).__name__}.")
    manifest = _manifest(stored, str(path))
    try:
        arrays = safetensors.load((folder / TENSORS).read_bytes())
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        hint = "bfloat16 is not read: store float32." if "BF16" in str(error) else "write it again with safetensors."
        raise UsageError(f"{folder / TENSORS} cannot be read: {error or type(error).__name__}; {hint}") from error
    return ExternalExplanations(manifest, arrays)


def check_free(method: str) -> None:
    """Checks that a name cannot be mistaken for that of a method of flowgauge or of an installed plug-in.

    Raises:
        UsageError: It can; with what to do.

    >>> check_free("captum-integrated-gradients")
    """
    check_name("method", method)
    if method.startswith(OUTSIDE):
        raise UsageError(f"a method cannot be called {method!r}: leave {OUTSIDE!r} out, boards put it there themselves.")
    if not method.isascii():
        raise UsageError(
            f"a method cannot be called {method!r}: use letters without accents, since others may be mistaken for them."
        )
    known = METHODS.entries()
    taken = method if method in known else look_alike(method, known)
    if taken is not None:
        raise UsageError(
            f"{method!r} is taken by a method that flowgauge runs itself ({taken}): name yours after what computed it, "
            f"such as captum-{taken}."
        )


def check_external_marks(record: Record) -> Iterator[str]:
    """Checks that a record has all marks of imported explanations or none.

    Yields:
        What is wrong with the marks; nothing for a record that is in order.
    """
    method = record.key.get("method", {})
    marks = (
        record.method.startswith(OUTSIDE),
        method.get("source") == SOURCE,
        "producer" in method,
        "explanations" in record.key,
    )
    if any(marks) and not all(marks):
        yield "it is half marked as explanations from outside flowgauge: name, source, producer and their sum belong together."
    elif any(marks):
        try:
            check_free(record.method.removeprefix(OUTSIDE))
        except UsageError as error:
            yield str(error)


def is_outside(record: Record) -> bool:
    """Whether a cell's explanations were computed elsewhere."""
    return record.method.startswith(OUTSIDE)


def content_sum(parts: Iterable[Part]) -> str:
    """Sha256 of every view of every explanation as stored, which identifies an imported cell in its key."""
    lines = []
    for part in parts:
        for sentence, gold, predicted in zip(part.sentences, part.gold, part.predicted, strict=True):
            for question, explanation in (("gold", gold), *((("predicted", predicted),) if predicted is not gold else ())):
                for view in (*VIEWS, *MASK_COMPANIONS):
                    array = getattr(explanation, view)
                    if isinstance(array, np.ndarray):
                        data = np.ascontiguousarray(array, np.float64)
                        head = [sentence.id, question, view, list(data.shape)]
                        lines.append((json.dumps(head), hashlib.sha256(data.tobytes()).hexdigest()))
    return hashlib.sha256(json.dumps(sorted(lines)).encode()).hexdigest()


def _arrays(scores: Any) -> Iterator[tuple[str, np.ndarray]]:
    """The views of one instance as arrays; scores that are no mapping are those of its tokens."""
    for view, array in (scores if isinstance(scores, Mapping) else {"tokens": scores}).items():
        if hasattr(array, "detach"):
            array = array.detach().cpu()
            array = array if array.is_complex() else array.double()
        if np.iscomplexobj(array):
            raise UsageError(
                f"the view {view!r} of an instance has complex numbers; scores are real: take the part that you mean."
            )
        dtype = np.int64 if view == IDS else np.float64
        yield view, np.ascontiguousarray(np.asarray(array, dtype))


def _manifest(stored: Mapping[str, Any], where: str) -> ExternalManifest:
    if isinstance(stored.get("schema_version"), int):
        check_schema(stored["schema_version"], SCHEMA, where, UsageError)
    try:
        manifest = ExternalManifest.model_validate(stored)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UsageError(f"{where} is not in order: {faults[:500]}.") from error
    check_free(manifest.method)
    return manifest
