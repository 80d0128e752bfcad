"""Explains one batch by one method: for the gold and for the predicted answer, checked and timed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from ...core.errors import NotApplicable
from ...methods.explanation import Explanation
from ...models.batch import Batch
from ...models.circuits.circuit_graph import CircuitGraph
from ...models.flow.flow_model import FlowModel
from ...models.flow.work import Work, measuring, total
from ...models.inputs.encode import relabel, reseed, token_slots
from ...models.inputs.label_question import label_name
from ...models.inputs.labels import nameless
from ...models.layered import Layered
from ...models.outputs import value
from ...models.problem_types import problem_type
from ...models.shared_model import lent_copy
from ...tasks.instance import Instance
from ..store.explanation_file import ExplainedSentence, Part


@dataclass(frozen=True, eq=False)
class PreparedBatch:
    """A batch with the model's predictions, so that it can be explained for the gold and for the predicted answer.

    Attributes:
        batch: The instances, where q is that of the gold answer.
        predicted_batch: The same instances, where q is that of the predicted answer.
        wrong: Rows whose predicted answer is not the gold one.
        wrong_batch: These rows of `predicted_batch` as a batch, so that methods share its traces; None where there are none.
        instances: The task's instances, one a row.
        sentences: What figures and tables need of each instance.
    """

    batch: Batch
    predicted_batch: Batch
    wrong: tuple[int, ...]
    wrong_batch: Batch | None
    instances: tuple[Instance, ...]
    sentences: tuple[ExplainedSentence, ...]

    def rows(self, rows: Sequence[int]) -> PreparedBatch:
        """Some instances of the batch, as a batch of their own."""
        index = torch.tensor(rows)
        wrong = tuple(place for place, row in enumerate(rows) if row in self.wrong)
        predicted = self.predicted_batch.rows(index)
        return PreparedBatch(
            batch=self.batch.rows(index),
            predicted_batch=predicted,
            wrong=wrong,
            wrong_batch=predicted.rows(torch.tensor(wrong)) if wrong else None,
            instances=tuple(self.instances[row] for row in rows),
            sentences=tuple(self.sentences[row] for row in rows),
        )

    def free(self) -> None:
        """Drops work that methods share, such as path samples."""
        for batch in (self.batch, self.predicted_batch, self.wrong_batch):
            if batch is not None:
                batch.cache.clear()


def prepare(model: Layered, batch: Batch, instances: Sequence[Instance], places: Mapping[str, int] = {}) -> PreparedBatch:
    """A batch with the model's prediction for every instance.

    Args:
        model: The model that is explained.
        batch: The encoded instances, asked about the gold answer.
        instances: The instances of the batch, in its order.
        places: The index of each instance in its task, by its id.
    """
    predicted = relabel(model, batch)
    wrong = (predicted.answer != batch.answer).any(1).nonzero()[:, 0]
    rows = tuple(int(i) for i in wrong)
    sentences = tuple(
        replace(_sentence(model, batch, predicted, row, instance), place=places.get(instance.id))
        for row, instance in enumerate(instances)
    )
    return PreparedBatch(batch, predicted, rows, predicted.rows(wrong) if rows else None, tuple(instances), sentences)


def explain_batch(model: Layered, method: Any, prepared: PreparedBatch, seed: int) -> Part:
    """Explains a batch for the gold answers, then its wrongly predicted rows for the predicted answers.

    Args:
        model: The model that is explained.
        method: The method.
        prepared: The batch.
        seed: Seed of the method's draws.

    Returns:
        One gold and one predicted explanation an instance (the same object where the prediction is right), and what they cost.

    Raises:
        NotApplicable: The method cannot explain this model or quantity.
        ValueError: What the method returned is not one valid explanation an instance.
    """
    check_needs_met(method, model, prepared.batch)
    peak = _PeakMemory(model.device)
    gold = _measured_explanations(model, method, prepared.batch, seed)
    predicted, wrong = list(gold.explanations), _MeasuredExplanations([], Work(), Work())
    if prepared.wrong_batch is not None:
        wrong = _measured_explanations(model, method, prepared.wrong_batch, seed)
        for row, explanation in zip(prepared.wrong, wrong.explanations, strict=True):
            predicted[row] = explanation
    own, charged = total([gold.own, wrong.own]), total([gold.charged, wrong.charged])
    cost = {
        "own_seconds": own.seconds,
        "charged_seconds": charged.seconds,
        "processor": own.processor + charged.processor,
        "passes": (own.layer_rows + charged.layer_rows) / max(model.n_layers, 1),
        "explanations": len(gold.explanations) + len(wrong.explanations),
        "peak_bytes": peak.read(),
    }
    return Part(prepared.sentences, tuple(gold.explanations), tuple(predicted), cost)


def warm_up(model: Layered, batch: Batch, methods: Iterable[Any] = ()) -> None:
    """Imports what methods load at their first call, and runs one row forward and back, so that no method is timed with either.

    Args:
        model: The model that is explained.
        batch: Any batch of its instances.
        methods: The methods that will be timed.
    """
    for module in {name for each in methods for name in getattr(each, "loads", ())}:
        import_module(module)
    row = batch.rows(torch.zeros(1, dtype=torch.long, device=batch.ids.device))
    with suppress(Exception), torch.enable_grad():  # a model without gradients is told of by the methods that need them
        words = model.words(row).detach().requires_grad_()
        torch.autograd.grad(value(model.outputs(replace(row, word_vectors=words)), row).sum(), [words])


def check_returned(method: Any, returned: Any, batch: Batch, model: Layered) -> None:
    """Whether a method returned one explanation an instance, each as long as its sentence and as deep as the model.

    Args:
        method: The method, for its name.
        returned: What `method.explain` returned.
        batch: What it explained.
        model: The model that it explained.

    Raises:
        ValueError: What is wrong, and what was expected.
    """
    if not isinstance(returned, list) or not all(isinstance(e, Explanation) for e in returned):
        raise ValueError(f"method {method.name!r} must return a list of Explanation, got {type(returned).__name__}.")
    if len(returned) != len(batch):
        raise ValueError(f"method {method.name!r} returned {len(returned)} explanations for {len(batch)} instances.")
    for name, length, explanation in zip(batch.names, batch.lengths, returned, strict=True):
        for draw in explanation.each():
            _check_shapes(f"method {method.name!r}, instance {name!r}", draw, length, model.n_layers, model.n_heads)


def _check_shapes(where: str, explanation: Explanation, n: int, layers: int, heads: int) -> None:
    expected: dict[str, tuple[int | tuple[int, int], ...]] = {
        "tokens": (n,),
        "nodes": (layers + 1, n),
        "flows": (n, layers + 1, n),
        "units": (layers, n, heads + 1),
        "heads": (layers, heads),
        "edges": (layers, (1, heads), n, n),
        "mask": (layers + 2, n),
        "circuit": CircuitGraph(layers, heads).shape,
    }
    for view, shape in expected.items():
        array = getattr(explanation, view)
        if array is None:
            continue
        matches = len(array.shape) == len(shape) and all(
            size in allowed if isinstance(allowed, tuple) else size == allowed
            for size, allowed in zip(array.shape, shape, strict=True)
        )
        if not matches:
            model = f"{n} tokens, {layers} layers and {heads} heads"
            raise ValueError(f"{where}: the view {view!r} has shape {array.shape}, expected {shape} for {model}.")
    patterns = explanation.patterns
    if patterns is not None and len(patterns):
        source, positions = patterns.source, patterns.positions
        depths, most = positions.shape[1], max(positions.max(), source.max())
        if depths != layers + 1 or most >= n or source.min() < 0:
            raise ValueError(f"{where}: patterns need {layers + 1} depths and positions below {n}, got {depths} and {most}.")


def check_needs_met(plugin: Any, model: Layered, batch: Batch) -> None:
    """Checks that a model and a batch offer what a method or metric declares that it needs.

    Raises:
        NotApplicable: The model is no transformer, or the output is read at several positions.
    """
    needs = getattr(plugin, "needs", ())
    if "transformer" in needs and not isinstance(model, FlowModel):
        raise NotApplicable(f"{plugin.name} works inside a transformer, and {model.name} is none.")
    if "target" in needs and batch.target is None:
        raise NotApplicable(f"{plugin.name} needs one position to read q at, and this task reads several.")


@dataclass(frozen=True)
class _MeasuredExplanations:
    explanations: list[Explanation]
    own: Work
    charged: Work


def _measured_explanations(model: Layered, method: Any, batch: Batch, seed: int) -> _MeasuredExplanations:
    """Runs a method and checks what it returns.

    Work that it took from the batch's cache was noted there under `charges` by the method that did it.
    """
    lent = lent_copy(reseed(batch, seed), method)
    lent.cache["charges"] = []
    with measuring() as measured:
        explanations = method.explain(model, lent)
        if model.device.type == "cuda":
            torch.cuda.synchronize(model.device)
    own, charged = measured.work, total(lent.cache.pop("charges", []))
    check_returned(method, explanations, batch, model)
    return _MeasuredExplanations(explanations, own, charged)


class _PeakMemory:
    """Peak memory since this object was created (bytes): allocated on a GPU, of the process on a CPU; 0 where unknown."""

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
    tokens = model.tokenizer.convert_ids_to_tokens(ids)
    label = None if batch.label is None else int(batch.label[row])
    scores = problem_type(model) == "regression"
    return ExplainedSentence(
        id=instance.id,
        condition=instance.condition,
        cluster=instance.cluster,
        tokens=tuple(tokens),
        slots=tuple(token_slots(batch, row, instance)),
        words=tuple((segment, word) for segment, word in words),
        target=None if batch.target is None else int(batch.target[row]),
        answer=_texts(model, tokens, batch.answer[row].tolist(), label),
        against=() if scores else _texts(model, tokens, batch.against[row].tolist(), label),
        predicted=_texts(model, tokens, predicted.answer[row].tolist(), label),
        correct=None if scores else bool((predicted.answer[row] == batch.answer[row]).all()),
    )


def _texts(model: Layered, tokens: Sequence[str], outputs: list[int], label: int | None) -> tuple[str, ...]:
    """Outputs as text: words of the vocabulary, names of classes, a label or its negation, or `token@position`."""
    if model.head in ("masked", "next"):
        return tuple(model.tokenizer.convert_ids_to_tokens(outputs))
    if model.head == "span":
        return tuple(f"{tokens[i]}@{i}" for i in outputs)
    if label is not None:
        return tuple(label_name(model, label, output) for output in outputs)
    if problem_type(model) == "regression" and nameless(model.labels.values()):
        return ("score",)
    return tuple(model.labels.get(i, str(i)) for i in outputs)
