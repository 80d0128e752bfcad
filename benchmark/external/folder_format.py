"""Explanations computed elsewhere, as a folder that anyone can write, and how cells made of one are marked. No torch.

<folder>/
    manifest.json               or manifest.yaml: `ExternalManifest`, what was explained, by what, and how it is called
    explanations.safetensors    one tensor an instance and view

A tensor is called `<instance id>/<view>`: `sva/obj/SP/author-guard-like-tall/tokens` holds the scores of that instance's tokens.
Views are those of `methods.explanation.Explanation`, with its shapes, where N counts the tokens of the sentence, [CLS] and [SEP]
included, L the layers and H the heads:

    tokens (N,)           nodes (L+1, N)    flows (N, L+1, N)    units (L, N, H+1)
    heads  (L, H)         edges (L, 1 or H, N to, N from)        mask and gate (L+2, N)

They explain q for the right answer. Metrics also ask about the answer that the model gives. Where that is another, its
explanation is `<instance id>/predicted/<view>`; a method that asks for no answer (raw attention) says `same_for_predicted` in the
manifest instead. `<instance id>/input_ids` may hold the token ids that were explained: they are then held against ours.
`flowgauge questions` lists the instances, their token ids, the position and the outputs of q.

Numbers that an explanation gives of itself (`values`), paths and draws are not taken: nobody could check them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from ...core.errors import UsageError
from ...core.registry import check_name
from ...methods.explanation import MASK_COMPANIONS, VIEWS, Explanation
from ...methods.registry import METHODS, OUTSIDE
from ..engine.plan import UniqueKeys
from ..store.explanation_file import Part
from ..store.record import Record, check_schema

SCHEMA: Literal[1] = 1
"""Raised by any change of folder or manifest that older readers would misread."""
TENSORS = "explanations.safetensors"
MANIFESTS = ("manifest.json", "manifest.yaml", "manifest.yml")
TAKEN = ("tokens", "nodes", "flows", "units", "heads", "edges", "mask", "gate")
"""Views that may come from outside."""
IDS, PREDICTED = "input_ids", "/predicted"
SOURCE = "outside"
"""What a cell's key has where a plug-in's own file has the hash of its source."""


class ExternalManifest(BaseModel):
    """What was explained, and by what.

    Attributes:
        method: Its name; boards show it with `outside.` before it. No name of a method of flowgauge's.
        producer: The program that computed the scores, such as captum.
        producer_version: Its version.
        task: As `flowgauge run --task` or a plan has it.
        model: As `flowgauge run --model` has it; None: the one that comes with the task, or agreement-bert.
        version: Of the method.
        settings: Of the method, for tables.
        seed: Where scores depend on one; a folder each.
        citation: Authors, year, title: whom to cite.
        same_for_predicted: The method asks for no answer, so that its explanations of the predicted answer are those of the right
            one.
        revision, split, limit, sample_seed, dtype, max_tokens, on_split, columns: As in a plan.
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

    @property
    def name(self) -> str:
        """What cells and boards call the method."""
        return OUTSIDE + self.method

    def identity(self) -> dict[str, JsonValue]:
        """What the key of a cell has of the method; `source` and `producer` say that it came from outside."""
        producer = f"{self.producer} {self.producer_version}"
        return {"name": self.name, "version": self.version, "settings": self.settings, "source": SOURCE, "producer": producer}


@dataclass(frozen=True, eq=False)
class ExternalExplanations:
    """A folder as read: arrays by view, by instance.

    Attributes:
        manifest: What it says of itself.
        arrays: Tensor by its name in the file.
    """

    manifest: ExternalManifest
    arrays: Mapping[str, np.ndarray]
    _found: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, array in self.arrays.items():
            instance, _, view = name.rpartition("/")
            if view not in (*TAKEN, IDS):
                raise UsageError(
                    f"{TENSORS} has a tensor {name[:200]!r}: expected <instance id>/<view>, with a view of {', '.join(TAKEN)}."
                )
            self._found.setdefault(instance, {})[view] = array

    def unknown_instances(self, known: Iterable[str]) -> list[str]:
        """Instances that it explains and that are not among the `known` ones."""
        known = set(known)
        return [name for name in self._found if name not in known and name.removesuffix(PREDICTED) not in known]

    def ids(self, instance: str) -> np.ndarray | None:
        """The token ids that were explained, if it says so."""
        return self._found.get(instance, {}).get(IDS)

    def explanation(self, instance: str, predicted: bool = False) -> Explanation | None:
        """One instance explained for the right answer, or for the predicted one; None where it is not.

        Raises:
            UsageError: It is there, and is no explanation.
        """
        name = instance + PREDICTED if predicted else instance
        views = {view: array for view, array in self._found.get(name, {}).items() if view != IDS}
        if any(np.iscomplexobj(array) for array in views.values()):
            raise UsageError(f"instance {name!r}: its numbers are complex; scores are real.")
        try:
            made: dict[str, Any] = {view: np.asarray(array, np.float64) for view, array in views.items()}
            return Explanation(**made) if made else None
        except ValueError as error:
            raise UsageError(f"instance {name!r}: {error}") from error


def write_explanations(
    folder: str | Path,
    explanations: Mapping[str, Any],
    *,
    predicted: Mapping[str, Any] | None = None,
    **manifest: Any,
) -> ExternalManifest:
    """Writes a folder that `flowgauge import` takes.

        flowgauge.write_explanations("mine", {q.id: scores_of(q) for q in flowgauge.questions("sva/obj", limit=8)},
            method="my-lrp", producer="my notebook", producer_version="1", task="sva/obj", limit=8, same_for_predicted=True)

    Args:
        folder: Made if it is not there; what it has of these two files is replaced.
        explanations: By instance id: token scores, or a mapping from views to arrays. Lists, NumPy arrays or tensors.
        predicted: Likewise, for the answer that the model gives, of instances where that is not the right one.
        manifest: The fields of `ExternalManifest`.

    Raises:
        UsageError: A field that is missing, unknown or out of range; a view that does not exist; nothing to write.
    """
    made = _manifest(manifest, "the manifest")
    asked = {**explanations, **{f"{name}{PREDICTED}": given for name, given in (predicted or {}).items()}}
    arrays = {f"{name}/{view}": array for name, given in asked.items() for view, array in _views(given)}
    if not arrays:
        raise UsageError("there are no explanations to write.")
    ExternalExplanations(made, arrays)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for other in MANIFESTS[1:]:
        (folder / other).unlink(missing_ok=True)
    (folder / TENSORS).write_bytes(safetensors.save(arrays))
    (folder / MANIFESTS[0]).write_text(made.model_dump_json(indent=1), encoding="utf-8")
    return made


def read_explanations(folder: str | Path) -> ExternalExplanations:
    """A folder as `write_explanations` wrote it, or as it was written by hand.

    Raises:
        UsageError: A file is missing or cannot be read, a manifest breaks the schema, a tensor has a name that says nothing.
    """
    folder = Path(folder)
    path = next((folder / name for name in MANIFESTS if (folder / name).is_file()), None)
    if path is None or not (folder / TENSORS).is_file():
        raise UsageError(f"{folder} needs {TENSORS} and {MANIFESTS[0]} (or {MANIFESTS[1]}); `flowgauge import --help` says more.")
    try:
        text = path.read_text(encoding="utf-8")
        stored = json.loads(text, object_pairs_hook=_unique) if path.suffix == ".json" else yaml.load(text, _NoAliases)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read: {' '.join(str(error).split())[:300]}") from error
    if not isinstance(stored, dict):
        raise UsageError(f"{path} must be a mapping with method, producer, task and so on, got {type(stored).__name__}.")
    made = _manifest(stored, str(path))
    try:
        arrays = safetensors.load((folder / TENSORS).read_bytes())
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        hint = "bfloat16 is not read: store float32." if "BF16" in str(error) else "write it anew with safetensors."
        raise UsageError(f"{folder / TENSORS} cannot be read: {error or type(error).__name__}; {hint}") from error
    return ExternalExplanations(made, arrays)


def check_free(method: str) -> None:
    """Refuses a name that a method of flowgauge's, or of a plug-in installed here, could be taken for.

    Raises:
        UsageError: With what to do.

    >>> check_free("captum-integrated-gradients")
    """
    check_name("method", method)
    if method.startswith(OUTSIDE):
        raise UsageError(f"a method cannot be called {method!r}: leave {OUTSIDE!r} out, boards put it there themselves.")
    if not method.isascii():
        raise UsageError(f"a method cannot be called {method!r}: use letters without accents, for others may be taken for them.")
    taken = next((name for name in METHODS.entries() if _letters(name) == _letters(method)), None)
    if taken is not None:
        raise UsageError(
            f"{method!r} is taken by a method that flowgauge runs itself ({taken}): name yours after what computed it, "
            f"such as captum-{taken}."
        )


def check_external_marks(record: Record) -> Iterator[str]:
    """What is wrong with how a cell's record says where its explanations come from; nothing for one that is in order."""
    known = record.key.get("method", {})
    signs = (record.method.startswith(OUTSIDE), known.get("source") == SOURCE, "producer" in known, "explanations" in record.key)
    if any(signs) and not all(signs):
        yield "it is half marked as explanations from outside flowgauge: name, source, producer and their sum belong together."
    elif any(signs):
        try:
            check_free(record.method.removeprefix(OUTSIDE))
        except UsageError as error:
            yield str(error)


def is_outside(record: Record) -> bool:
    """Whether a cell's explanations were computed elsewhere."""
    return record.method.startswith(OUTSIDE)


def content_sum(parts: Iterable[Part]) -> str:
    """Sha256 over every view of every explanation as stored, by instance: what the key of a cell from outside rests on."""
    lines = []
    for part in parts:
        for sentence, gold, guided in zip(part.sentences, part.gold, part.predicted, strict=True):
            for question, one in (("gold", gold), *((("predicted", guided),) if guided is not gold else ())):
                for view in (*VIEWS, *MASK_COMPANIONS):
                    array = getattr(one, view)
                    if isinstance(array, np.ndarray):
                        data = np.ascontiguousarray(array, np.float64)
                        head = [sentence.id, question, view, list(data.shape)]
                        lines.append((json.dumps(head), hashlib.sha256(data.tobytes()).hexdigest()))
    return hashlib.sha256(json.dumps(sorted(lines)).encode()).hexdigest()


def _views(given: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Views of one instance; scores alone are those of its tokens."""
    for view, array in (given if isinstance(given, Mapping) else {"tokens": given}).items():
        if hasattr(array, "detach"):
            array = array.detach().cpu().double()
        kind = np.int64 if view == IDS else np.float64
        yield view, np.ascontiguousarray(np.asarray(array, kind))


class _NoAliases(UniqueKeys):
    """Refuses `*name`: nested, a few lines stand for more than any memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """As the safe loader makes it."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "an alias (*name): write it out", self.peek_event().start_mark)
        return super().compose_node(parent, index)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys differ; of two that do not, the last would win in silence."""
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands twice")
    return made


def _manifest(stored: Mapping[str, Any], where: str) -> ExternalManifest:
    if isinstance(stored.get("schema_version"), int):
        check_schema(stored["schema_version"], SCHEMA, where, UsageError)
    try:
        made = ExternalManifest.model_validate(stored)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UsageError(f"{where} is not in order: {faults[:500]}.") from error
    check_free(made.method)
    return made


def _letters(name: str) -> str:
    """A name without what the eye may overlook."""
    return re.sub(r"[^a-z0-9]", "", name.casefold())
