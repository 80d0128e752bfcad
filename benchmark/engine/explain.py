"""One method on one batch: gold and guided explanations, checked and timed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...core.errors import NotApplicable
from ...methods.explanation import Explanation
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ...models.inputs.encode import relabel, reseed, token_slots
from ...models.layered import Layered
from ...tasks.instance import Instance
from ..store.explanation_file import ExplainedSentence, Part


@dataclass(frozen=True, eq=False)
class PreparedBatch:
    """A batch with both questions: the gold answer's, and the predicted answer's where that is another.

    Attributes:
        batch: q of the gold answer.
        predicted_batch: q of the predicted answer, all rows.
        wrong: Rows whose prediction is not gold.
        wrong_batch: These rows of `predicted_batch` as a batch, so that methods share its traces; None where there are none.
        instances: The task's instances.
        sentences: What figures need of them.
    """

    batch: Batch
    predicted_batch: Batch
    wrong: tuple[int, ...]
    wrong_batch: Batch | None
    instances: tuple[Instance, ...]
    sentences: tuple[ExplainedSentence, ...]

    def free(self) -> None:
        """Drops shared work such as path samples."""
        for batch in (self.batch, self.predicted_batch, self.wrong_batch):
            if batch is not None:
                batch.cache.clear()


def prepare(model: Layered, batch: Batch, instances: Sequence[Instance]) -> PreparedBatch:
    """Predicts every instance and prepares the guided question."""
    predicted = relabel(model, batch)
    wrong = (predicted.answer != batch.answer).any(1).nonzero()[:, 0]
    rows = tuple(int(i) for i in wrong)
    sentences = tuple(_sentence(model, batch, predicted, row, instance) for row, instance in enumerate(instances))
    return PreparedBatch(batch, predicted, rows, predicted.rows(wrong) if rows else None, tuple(instances), sentences)


def explain_batch(model: Layered, method: Any, asked: PreparedBatch, seed: int) -> Part:
    """Explains a batch, then its wrongly predicted rows again for the predicted answer.

    Raises:
        NotApplicable: The method cannot explain this model or quantity.
        ValueError: What the method returned is not one valid explanation an instance.
    """
    check_needs_met(method, model, asked.batch)
    peak = _Peak(model.device)
    gold = _timed(model, lambda: method.explain(model, reseed(asked.batch, seed)), asked.batch)
    check_returned(method, gold.made, asked.batch, model)
    guided, again = list(gold.made), _Timed([], 0.0, 0.0)
    if asked.wrong_batch is not None:
        wrong_batch = asked.wrong_batch
        again = _timed(model, lambda: method.explain(model, reseed(wrong_batch, seed)), wrong_batch)
        check_returned(method, again.made, wrong_batch, model)
        for row, explanation in zip(asked.wrong, again.made, strict=True):
            guided[row] = explanation
    cost = {
        "own_seconds": gold.own + again.own,
        "charged_seconds": gold.charged + again.charged,
        "explanations": len(gold.made) + len(again.made),
        "peak_bytes": peak.read(),
    }
    return Part(asked.sentences, tuple(gold.made), tuple(guided), cost)


def check_returned(method: Any, made: Any, batch: Batch, model: Layered) -> None:
    """Whether a method returned one explanation an instance, each as long as its sentence and as deep as the model.

    Raises:
        ValueError: What is wrong, and what was expected.
    """
    if not isinstance(made, list) or not all(isinstance(e, Explanation) for e in made):
        raise ValueError(f"method {method.name!r} must return a list of Explanation, got {type(made).__name__}.")
    if len(made) != len(batch):
        raise ValueError(f"method {method.name!r} returned {len(made)} explanations for {len(batch)} instances.")
    for name, length, explanation in zip(batch.names, batch.lengths, made, strict=True):
        for one in explanation.each():
            _check_shapes(f"method {method.name!r}, instance {name!r}", one, length, model.n_layers, model.n_heads)


def _check_shapes(where: str, one: Explanation, n: int, layers: int, heads: int) -> None:
    expected: dict[str, tuple[int | tuple[int, int], ...]] = {
        "tokens": (n,),
        "nodes": (layers + 1, n),
        "flows": (n, layers + 1, n),
        "units": (layers, n, heads + 1),
        "heads": (layers, heads),
        "edges": (layers, (1, heads), n, n),
        "mask": (layers + 2, n),
    }
    for view, shape in expected.items():
        array = getattr(one, view)
        if array is None:
            continue
        fits = len(array.shape) == len(shape) and all(
            got in want if isinstance(want, tuple) else got == want for got, want in zip(array.shape, shape, strict=True)
        )
        if not fits:
            model = f"{n} tokens, {layers} layers and {heads} heads"
            raise ValueError(f"{where}: the view {view!r} has shape {array.shape}, expected {shape} for {model}.")
    if one.patterns is not None and len(one.patterns):
        source, positions = one.patterns.source, one.patterns.positions
        depths, most = positions.shape[1], max(positions.max(), source.max())
        if depths != layers + 1 or most >= n or source.min() < 0:
            raise ValueError(f"{where}: patterns need {layers + 1} depths and positions below {n}, got {depths} and {most}.")


def check_needs_met(method: Any, model: Layered, batch: Batch) -> None:
    """Checks that a model and a batch offer what a method declares that it needs.

    Raises:
        NotApplicable: The model is no transformer, or the output is read at several positions.
    """
    if "transformer" in method.needs and not isinstance(model, FlowModel):
        raise NotApplicable(f"{method.name} reads attention and layers of a transformer, and {model.name} is none.")
    if "target" in method.needs and batch.target is None:
        raise NotApplicable(f"{method.name} needs one position to read q at, and this task reads several.")


@dataclass(frozen=True)
class _Timed:
    made: list[Explanation]
    own: float
    charged: float


def _timed(model: Layered, explain: Callable[[], list[Explanation]], batch: Batch) -> _Timed:
    """Runs a method; what it took from the shared cache was noted there under `charges` (seconds) and is charged to it."""
    batch.cache["charges"] = []
    started = time.perf_counter()
    made = explain()
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
    own = time.perf_counter() - started
    return _Timed(made, own, float(sum(batch.cache.pop("charges", ()))))


class _Peak:
    """Peak memory since it was made: allocated on a GPU, of the process on a CPU; 0 where unknown."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        elif sys.platform == "linux":
            with suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")

    def read(self) -> int:
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device))
        with suppress(OSError, StopIteration):
            status = Path("/proc/self/status").read_text().splitlines()
            return 1024 * int(next(line for line in status if line.startswith("VmHWM")).split()[1])
        return 0


def _sentence(model: Layered, batch: Batch, predicted: Batch, row: int, instance: Instance) -> ExplainedSentence:
    real = batch.attention_mask[row]
    ids, words = batch.ids[row][real].tolist(), batch.word_ids[row][real].tolist()
    right = bool((predicted.answer[row] == batch.answer[row]).all())
    tokens = model.tokenizer.convert_ids_to_tokens(ids)
    return ExplainedSentence(
        id=instance.id,
        condition=instance.condition,
        tokens=tuple(tokens),
        slots=tuple(token_slots(batch, row, instance)),
        words=tuple((s, w) for s, w in words),
        target=None if batch.target is None else int(batch.target[row]),
        answer=_texts(model, tokens, batch.answer[row].tolist()),
        against=_texts(model, tokens, batch.against[row].tolist()),
        predicted=_texts(model, tokens, predicted.answer[row].tolist()),
        correct=right,
    )


def _texts(model: Layered, tokens: Sequence[str], outputs: list[int]) -> tuple[str, ...]:
    """Outputs as text: words of the vocabulary, names of classes, or `token@position`."""
    if model.head == "masked":
        return tuple(model.tokenizer.convert_ids_to_tokens(outputs))
    if model.head == "span":
        return tuple(f"{tokens[i]}@{i}" for i in outputs)
    return tuple(model.labels.get(i, str(i)) for i in outputs)
