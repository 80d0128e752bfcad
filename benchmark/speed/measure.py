"""What methods cost, side by side, in one run: every time is a ratio to one integrated-gradients pass over the same batch."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .published_attattr import LITERAL, attattr_jobs

if TYPE_CHECKING:
    from ...models.batch import Batch
    from ...models.flow.flow_model import FlowModel

SHAPE = {"num_hidden_layers": 6, "num_attention_heads": 8, "hidden_size": 512, "intermediate_size": 2048, "vocab_size": 30522}
MASK_ID = 4
UNIT, PEER_UNIT = "integrated gradients (plain pass)", "plain pass over the peers' sentences"
PEER_SENTENCES = 2
"""Peers are slow: they and their own unit are timed on this many sentences."""


@dataclass(frozen=True)
class TimedRow:
    """One row: the median over repeats.

    Attributes:
        name: What was timed.
        seconds: Wall time of all its sentences (s).
        ratio: The median over repeats of its time over the integrated-gradients pass of the same repeat.
        low, high: Smallest and largest ratio of a repeat.
        unit: What the ratio is to, where that is another row than the integrated-gradients pass.
    """

    name: str
    seconds: float
    ratio: float
    low: float
    high: float
    unit: str = UNIT


@dataclass(frozen=True)
class SpeedReport:
    """A measurement and the conditions it was made under."""

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

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def measure(
    device: str = "cpu",
    repeats: int = 5,
    sentences: int = 16,
    tokens: int = 11,
    samples: int = 50,
    captum: bool = True,
    attattr: bool = True,
) -> SpeedReport:
    """Times influence patterns and its neighbours on a random BERT-small (6 layers, 8 heads, 512 wide).

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
    """
    import torch

    from ...models.load import check_device

    place = check_device(device)
    model = _model(place)
    batches = list(_pieces(model, sentences, tokens, samples))
    jobs = {name: (job, batches) for name, job in _jobs(model, samples).items()}
    if captum:
        few = [batches[0].rows(torch.arange(min(PEER_SENTENCES, len(batches[0])), device=place))]
        jobs |= {name: (job, few) for name, job in _peers(model, samples).items()}
    if attattr:
        jobs |= attattr_jobs(place, SHAPE)
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for repeat in range(repeats + 1):
        for batch in batches:
            batch.cache.clear()
        for name, (job, pieces) in jobs.items():
            seconds = sum(_timed(job, piece, place) for piece in pieces)
            if repeat:  # the first is a warm-up
                taken[name].append(seconds)
    described = torch.cuda.get_device_name(place) if place.type == "cuda" else "cpu"
    return SpeedReport(
        described, torch.get_num_threads(), torch.__version__, sentences, tokens, samples,
        model.n_layers, model.n_heads, model.width, repeats, tuple(_costs(taken, model.n_layers)),
    )  # fmt: skip


def _costs(taken: dict[str, list[float]], n_layers: int) -> Iterator[TimedRow]:
    """Every row against the unit of its own sentences; with the sum of both levels, and captum's conductance of all layers."""
    peer_unit = taken.pop(PEER_UNIT, [])
    parts = [taken[name] for name in ("path trace", "embedding level", "attention level")]
    taken["influence patterns (all words, both levels)"] = [sum(p) for p in zip(*parts, strict=True)]
    for name, seconds in taken.items():
        of = LITERAL if name.startswith("attattr") else UNIT
        unit = peer_unit if name.startswith("captum") else taken[of]
        many = n_layers if "conductance" in name else 1
        ratios = [many * s / u for s, u in zip(seconds, unit, strict=True)]
        yield TimedRow(name, many * statistics.median(seconds), statistics.median(ratios), min(ratios), max(ratios), of)


def _model(device: Any) -> FlowModel:
    import torch
    from transformers import BertConfig, BertForMaskedLM

    from ...models.flow.flow_model import FlowModel

    class Tokenizer:
        mask_token_id, pad_token_id = MASK_ID, 0

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FlowModel(BertForMaskedLM(BertConfig(**SHAPE)).to(device), Tokenizer(), "bert-small (random)")


def _pieces(model: FlowModel, sentences: int, tokens: int, samples: int) -> Iterator[Batch]:
    """Random sentences, in batches that fit the trace's byte budget."""
    import torch

    from ...models.batch import Batch
    from ...models.flow.trace import trace_bytes
    from ...models.inputs.encode import TRACE_BUDGET

    size = max(1, min(sentences, TRACE_BUDGET // trace_bytes(model, tokens, samples)))
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1000, 30000, (sentences, tokens), generator=generator).to(model.device)
    ids[:, tokens // 2] = MASK_ID
    for part in ids.split(size):
        n = len(part)
        full = lambda value, n=n: torch.full((n, 1), value, device=model.device)  # noqa: E731
        yield Batch(
            ids=part, attention_mask=torch.ones_like(part, dtype=torch.bool), token_type_ids=torch.zeros_like(part),
            word_ids=torch.zeros_like(part)[..., None].expand(-1, -1, 2), answer=full(2003), against=full(2024),
            target=full(tokens // 2)[:, 0], names=tuple(map(str, range(n))), seeds=tuple(range(n)), pairwise=True,
        )  # fmt: skip


def _jobs(model: FlowModel, samples: int) -> dict[str, Callable[[Batch], object]]:
    """What is timed, in the order of a repeat; later jobs use the path trace of `path trace`."""
    import torch

    from ...methods.patterns.pattern_search import refine, search
    from ...models.flow.trace import path_trace

    @torch.no_grad()
    def embedding(batch: Batch) -> None:
        batch.cache["found"] = search(path_trace(model, batch, samples=samples))

    @torch.no_grad()
    def attention(batch: Batch) -> None:
        refine(path_trace(model, batch, samples=samples), batch.cache["found"])

    jobs: dict[str, Callable[[Batch], object]] = {
        UNIT: lambda batch: _plain_pass(model, batch, samples),
        "path trace": lambda batch: path_trace(model, batch, samples=samples),
        "embedding level": embedding,
        "attention level": attention,
    }
    return jobs


def _peers(model: FlowModel, samples: int) -> dict[str, Callable[[Batch], object]]:
    """captum on the same model; its conductance is timed for one layer."""
    return {
        PEER_UNIT: lambda batch: _plain_pass(model, batch, samples),
        "captum integrated gradients": lambda batch: _captum_ig(model, batch, samples),
        f"captum conductance, all {model.n_layers} layers": lambda batch: _captum_conductance(model, batch, samples),
    }


def _timed(job: Callable[[Batch], object], batch: Batch, device: Any) -> float:
    import torch

    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    started = time.perf_counter()
    job(batch)
    wait()
    return time.perf_counter() - started


def _q(model: FlowModel, batch: Batch) -> Callable[[Any], Any]:
    """q from word vectors by the Hugging Face model, read at the target only."""

    def forward(words: Any) -> Any:
        hidden = model.hf.bert(inputs_embeds=words).last_hidden_state
        logits = model.hf.cls.predictions(hidden[:, int(batch.target[0])])  # type: ignore[index]
        return logits[:, int(batch.answer[0, 0])] - logits[:, int(batch.against[0, 0])]

    return forward


def _plain_pass(model: FlowModel, batch: Batch, samples: int) -> None:
    import torch

    from ...models.baseline import baseline_words
    from ...models.flow.quadrature import quadrature

    x, x_b = model.words(batch), baseline_words(model, batch, "mask")
    nodes = torch.as_tensor(quadrature("midpoint", samples).nodes, dtype=x.dtype, device=x.device)
    words = (x_b[:, None] + nodes[:, None, None] * (x - x_b)[:, None]).flatten(0, 1).requires_grad_(True)
    torch.autograd.grad(_q(model, batch)(words).sum(), words)


def _captum_ig(model: FlowModel, batch: Batch, samples: int) -> None:
    from captum.attr import IntegratedGradients

    from ...models.baseline import baseline_words

    IntegratedGradients(_q(model, batch)).attribute(
        model.words(batch), baseline_words(model, batch, "mask"), n_steps=samples, method="riemann_middle"
    )


def _captum_conductance(model: FlowModel, batch: Batch, samples: int) -> None:
    from captum.attr import LayerConductance

    from ...models.baseline import baseline_words

    middle = model.hf.bert.encoder.layer[model.n_layers // 2]
    LayerConductance(_q(model, batch), middle).attribute(
        model.words(batch), baseline_words(model, batch, "mask"), n_steps=samples, method="riemann_middle"
    )
