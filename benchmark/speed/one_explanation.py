"""Explains one random text by one method in a process of its own, so that its peak memory is that of the method alone."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
import transformers

from ...core.errors import FlowgaugeError, NotApplicable
from ...methods.registry import METHODS
from ...models.batch import Batch
from ...models.built.training import InMemorySession
from ...models.flow.flow_model import FlowModel
from ...models.memory import DEFAULT, memory_bytes, within_memory
from .peers.published_attattr import batch_of

WORDS, SPECIAL = 30522, 3
"""Words of the vocabulary, and the token that stands for [MASK] and padding."""
WARM_UP_TOKENS, WARM_UP_LAYERS = 5, 1
"""The text and the model that a method runs on first, so that modules which it imports late are not counted."""


class Shape(NamedTuple):
    """What a random model is made of.

    Attributes:
        family: `bert`, a masked language model, or `gpt2`, a model of the next word.
        layers, heads, width, inner: Its sizes.
    """

    family: str
    layers: int
    heads: int
    width: int
    inner: int


SHAPES = {
    "bert-base": Shape("bert", 12, 12, 768, 3072),
    "gpt2": Shape("gpt2", 12, 12, 768, 3072),
    "bert-tiny": Shape("bert", 2, 2, 128, 512),
    "gpt2-tiny": Shape("gpt2", 2, 2, 128, 512),
}
"""Shapes by name: BERT-base, GPT-2 (small), and the smallest BERT of Turc et al. 2019 with a decoder of its size."""


def shaped_model(shape: Shape, tokens: int) -> FlowModel:
    """A model with random weights and positions for at least so many tokens.

    Args:
        shape: Its sizes.
        tokens: Tokens of the texts that it will read.
    """
    sizes = {"hidden_size": shape.width, "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads}
    family, head = {"bert": ("Bert", "ForMaskedLM"), "gpt2": ("GPT2", "LMHeadModel")}[shape.family]
    inner = {"bert": "intermediate_size", "gpt2": "n_inner"}[shape.family]
    config = getattr(transformers, f"{family}Config")(
        vocab_size=WORDS, max_position_embeddings=max(512, tokens), **{inner: shape.inner}, **sizes
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        hf = getattr(transformers, family + head)(config)
    backend = SimpleNamespace(to_str=lambda: "")
    tokens_of = dict.fromkeys(("mask_token_id", "pad_token_id", "eos_token_id"), SPECIAL)
    return FlowModel(hf, SimpleNamespace(backend_tokenizer=backend, **tokens_of), family)


def random_text(model: FlowModel, tokens: int) -> Batch:
    """One text of random tokens, asked about its gap in the middle or about the word after its end.

    Its counterpart has another first token.
    """
    ids = torch.randint(1000, 30000, (1, tokens), generator=torch.Generator().manual_seed(0))
    target = tokens // 2 if model.head == "masked" else tokens - 1
    if model.head == "masked":
        ids[:, target] = SPECIAL
    batch = batch_of(ids, 2003, 2024, target, pairwise=True)
    return replace(batch, counterpart=torch.cat([ids[:, :1] + 1, ids[:, 1:]], 1))


def ready(spec: dict[str, Any], model: FlowModel, batch: Batch) -> Any:
    """The method, trained on the text and on its reverse where it needs training."""
    method = METHODS.create(spec)
    if not hasattr(method, "fit"):
        return method
    texts = [replace(batch, cache={}), replace(batch, ids=batch.ids.flip(1), cache={})]
    return method.trained(method.fit(model, texts, InMemorySession()))


def peak(process: int | str = "self") -> int:
    """The most memory that a process has had at once (bytes), by Linux's count; 0 where there is none."""
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    return 0


def processor_time(process: int) -> float:
    """The processor time that a process has taken so far (s), by Linux's count; 0 where there is none."""
    with suppress(OSError):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def forget_peak() -> None:
    """Counts the peak of this process from now on."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


@dataclass(frozen=True)
class OneExplanation:
    """What is explained.

    Attributes:
        shape: Of the random model.
        tokens: Tokens of the random text.
        method: Name of the method.
        settings: Its settings.
        budget: The memory budget (bytes).
    """

    shape: Shape
    tokens: int
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    budget: int = memory_bytes(DEFAULT)


class Taken(NamedTuple):
    """What it took, as far as is known.

    Attributes:
        loaded: Memory of the process with the model (bytes).
        seconds: Wall time of the method (s), with its training; None: it is not done.
        cpu: Processor time of it (s), all threads together, which depends less on what else a machine does.
        bytes: Peak memory above `loaded`.
        refused: Why the method gives no explanation; empty where it gives one.
    """

    loaded: int
    seconds: float | None = None
    cpu: float = 0.0
    bytes: int = 0
    refused: str = ""


def explain_once(job: OneExplanation, to: Connection) -> None:
    """Loads a model, explains one text, and sends `Taken` when the model is loaded and again at the end.

    Args:
        job: What is explained.
        to: Where it is sent.
    """
    spec = {"name": job.method, **job.settings}
    tiny = shaped_model(Shape(job.shape.family, layers=WARM_UP_LAYERS, heads=2, width=16, inner=32), job.tokens)
    with suppress(FlowgaugeError):
        few = random_text(tiny, WARM_UP_TOKENS)
        ready(spec, tiny, few).explain(tiny, few)
    model = shaped_model(job.shape, job.tokens)
    batch = random_text(model, job.tokens)
    forget_peak()
    loaded = peak()
    to.send(Taken(loaded))
    started, processor, refused = time.perf_counter(), time.process_time(), ""
    try:
        with within_memory(job.budget):
            ready(spec, model, batch).explain(model, batch)
    except NotApplicable as reason:
        refused = str(reason)
    except Exception as error:
        refused = f"failed: {type(error).__name__}: {error}"
    to.send(Taken(loaded, time.perf_counter() - started, time.process_time() - processor, peak() - loaded, refused))
