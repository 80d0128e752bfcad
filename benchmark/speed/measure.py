"""Times methods side by side in one run; each time is also given as a ratio to one integrated-gradients pass."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from captum.attr import IntegratedGradients, LayerConductance
from transformers import BertForMaskedLM

from ...methods.patterns.pattern_search import refine, search
from ...models.baseline import baseline_words
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ...models.flow.quadrature import quadrature
from ...models.flow.trace import path_trace, trace_bytes
from ...models.inputs.encode import TRACE_BUDGET
from ...models.load import check_device
from .peers.published_attattr import LITERAL, attattr_jobs, batch_of, random_ids, random_model

SHAPE = {"num_hidden_layers": 6, "num_attention_heads": 8, "hidden_size": 512, "intermediate_size": 2048, "vocab_size": 30522}
MASK_ID = 4
UNIT, CAPTUM_UNIT = "integrated gradients (plain pass)", "plain pass over captum's sentences"
CAPTUM_SENTENCES = 2
"""Captum's methods are slow: they and the pass that they are compared with are timed on this many sentences."""


@dataclass(frozen=True)
class TimedRow:
    """One row of the table of times.

    Attributes:
        name: What was timed.
        seconds: Median over repeats of the wall time of all its sentences (s).
        ratio: Median over repeats of its time divided by that of the unit in the same repeat.
        low, high: Smallest and largest ratio of a repeat.
        unit: The row that the ratio refers to.
    """

    name: str
    seconds: float
    ratio: float
    low: float
    high: float
    unit: str = UNIT


@dataclass(frozen=True)
class SpeedReport:
    """A table of times and the conditions that they were measured under.

    Attributes:
        device: Name of the device.
        threads: Threads that torch uses.
        torch: Version of torch.
        sentences: Number of sentences.
        tokens: Tokens a sentence.
        samples: Points of the path integral.
        layers, heads, width: Size of the model.
        repeats: Repeats, without the warm-up.
        rows: The table.
    """

    device: str
    threads: int
    torch: str
    sentences: int
    tokens: int
    samples: int
    layers: int
    heads: int
    width: int
    repeats: int
    rows: tuple[TimedRow, ...]


def measure(
    device: str = "cpu",
    repeats: int = 5,
    sentences: int = 16,
    tokens: int = 11,
    samples: int = 50,
    captum: bool = True,
    attattr: bool = True,
) -> SpeedReport:
    """Times influence patterns and related methods on a random BERT-small (6 layers, 8 heads, 512 wide).

    The unit is one integrated-gradients pass: the Hugging Face model itself (fused attention), forward and backward over all
    samples, q read at the target only. Every repeat times all rows in turn, so that a noisy machine moves them together.

    Args:
        device: A torch device.
        repeats: Repeats after one warm-up.
        sentences: Sentences in the batch.
        tokens: Tokens a sentence.
        samples: Points of the path integral.
        captum: Whether captum's integrated gradients and layer conductance are timed too, on two sentences (conductance: one
            layer, times the layers).
        attattr: Whether attention attribution is timed too, beside the published algorithm, which is the unit of its rows.

    Returns:
        The times, with their ratios to the unit.
    """
    torch_device = check_device(device)
    model = random_model(BertForMaskedLM, SHAPE, torch_device, MaskTokenizer(), "bert-small (random)")
    batches = list(_batches(model, sentences, tokens, samples))
    jobs = {name: (job, batches) for name, job in _jobs(model, samples).items()}
    if captum:
        few = [batches[0].rows(torch.arange(min(CAPTUM_SENTENCES, len(batches[0])), device=torch_device))]
        jobs |= {name: (job, few) for name, job in _captum_jobs(model, samples).items()}
    if attattr:
        jobs |= attattr_jobs(torch_device, SHAPE)
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for repeat in range(repeats + 1):
        for batch in batches:
            batch.cache.clear()
        for name, (job, job_batches) in jobs.items():
            seconds = sum(_timed(job, batch, torch_device) for batch in job_batches)
            if repeat:  # the first one is the warm-up
                times[name].append(seconds)
    return SpeedReport(
        device=torch.cuda.get_device_name(torch_device) if torch_device.type == "cuda" else "cpu",
        threads=torch.get_num_threads(), torch=torch.__version__, sentences=sentences, tokens=tokens, samples=samples,
        layers=model.n_layers, heads=model.n_heads, width=model.width, repeats=repeats,
        rows=tuple(_rows(times, model.n_layers)),
    )  # fmt: skip


def _rows(times: dict[str, list[float]], n_layers: int) -> Iterator[TimedRow]:
    """A row for each job, compared with the unit on the same sentences.

    The parts of influence patterns are also summed. Captum's conductance is timed for one layer and multiplied by the layers.
    """
    captum_unit = times.pop(CAPTUM_UNIT, [])
    parts = [times[name] for name in ("path trace", "embedding level", "attention level")]
    times["influence patterns (all words, both levels)"] = [sum(seconds) for seconds in zip(*parts, strict=True)]
    for name, seconds in times.items():
        unit = LITERAL if name.startswith("attattr") else UNIT
        unit_seconds = captum_unit if name.startswith("captum") else times[unit]
        factor = n_layers if "conductance" in name else 1
        ratios = [factor * s / u for s, u in zip(seconds, unit_seconds, strict=True)]
        yield TimedRow(name, factor * statistics.median(seconds), statistics.median(ratios), min(ratios), max(ratios), unit)


class MaskTokenizer:
    """What stands for the tokenizer of a random model: the ids of [MASK] and padding."""

    mask_token_id, pad_token_id = MASK_ID, 0


def random_gaps(model: FlowModel, sentences: int, tokens: int) -> Batch:
    """Random sentences with a gap in the middle, asked which of two words fills it."""
    ids = random_ids(model, sentences, tokens)
    ids[:, tokens // 2] = MASK_ID
    return batch_of(ids, 2003, 2024, tokens // 2, pairwise=True)


def _batches(model: FlowModel, sentences: int, tokens: int, samples: int) -> Iterator[Batch]:
    """Random sentences, in batches that fit the trace's byte budget."""
    size = max(1, min(sentences, TRACE_BUDGET // trace_bytes(model, tokens, samples)))
    batch = random_gaps(model, sentences, tokens)
    for part in torch.arange(sentences, device=batch.ids.device).split(size):
        yield batch.rows(part)


def _jobs(model: FlowModel, samples: int) -> dict[str, Callable[[Batch], object]]:
    """The jobs of influence patterns, in the order of a repeat: later ones use the trace that `path trace` cached."""

    @torch.no_grad()
    def embedding(batch: Batch) -> None:
        batch.cache["search"] = search(path_trace(model, batch, samples=samples))

    @torch.no_grad()
    def attention(batch: Batch) -> None:
        refine(path_trace(model, batch, samples=samples), batch.cache["search"])

    jobs: dict[str, Callable[[Batch], object]] = {
        UNIT: lambda batch: plain_pass(model, batch, samples),
        "path trace": lambda batch: path_trace(model, batch, samples=samples),
        "embedding level": embedding,
        "attention level": attention,
    }
    return jobs


def _captum_jobs(model: FlowModel, samples: int) -> dict[str, Callable[[Batch], object]]:
    """Captum's methods on the same model; conductance is timed for one layer."""
    middle = model.hf.bert.encoder.layer[model.n_layers // 2]
    return {
        CAPTUM_UNIT: lambda batch: plain_pass(model, batch, samples),
        "captum integrated gradients": lambda batch: _captum_pass(IntegratedGradients(_q(model, batch)), model, batch, samples),
        f"captum conductance, all {model.n_layers} layers": lambda batch: _captum_pass(
            LayerConductance(_q(model, batch), middle), model, batch, samples
        ),
    }


def _timed(job: Callable[[Batch], object], batch: Batch, device: Any) -> float:
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    started = time.perf_counter()
    job(batch)
    wait()
    return time.perf_counter() - started


def _q(model: FlowModel, batch: Batch) -> Callable[[Any], Any]:
    """The function that computes q from word vectors with the Hugging Face model, read at the target only."""

    def forward(words: Any) -> Any:
        hidden = model.hf.bert(inputs_embeds=words).last_hidden_state
        logits = model.hf.cls.predictions(hidden[:, int(batch.target[0])])  # type: ignore[index]
        return logits[:, int(batch.answer[0, 0])] - logits[:, int(batch.against[0, 0])]

    return forward


def plain_pass(model: FlowModel, batch: Batch, samples: int) -> None:
    """One integrated-gradients pass: the Hugging Face model forward and backward at all points of the path of every sentence."""
    x, x_b = model.words(batch), baseline_words(model, batch, "mask")
    nodes = torch.as_tensor(quadrature("midpoint", samples).nodes, dtype=x.dtype, device=x.device)
    words = (x_b[:, None] + nodes[:, None, None] * (x - x_b)[:, None]).flatten(0, 1).requires_grad_(True)
    torch.autograd.grad(_q(model, batch)(words).sum(), words)


def _captum_pass(captum: Any, model: FlowModel, batch: Batch, samples: int) -> None:
    words, baseline = model.words(batch), baseline_words(model, batch, "mask")
    captum.attribute(words, baseline, n_steps=samples, method="riemann_middle")
