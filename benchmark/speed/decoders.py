"""What influence patterns cost on decoders, in integrated-gradients passes of the same run: `python -m ...speed.decoders`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
import transformers

from ...methods.patterns.influence_patterns import InfluencePatterns
from ...models.baseline import baseline_words
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ...models.flow.quadrature import quadrature
from .peers.published_attattr import batch_of

FAMILIES = ("gpt2", "llama", "mistral", "qwen3")
END, FIRST = 2, 10
"""The token that ends a text, and the first of the words."""


class DecoderCost(NamedTuple):
    """The cost of influence patterns, at both levels and for every word, on one family.

    Attributes:
        family: Of the random model.
        seconds: Median over repeats of the wall time of one text (s).
        ratio: Median over repeats of its time over that of an integrated-gradients pass in the same repeat.
        low, high: Smallest and largest ratio of a repeat.
    """

    family: str
    seconds: float
    ratio: float
    low: float
    high: float


def random_decoder(family: str, layers: int = 6, width: int = 256, heads: int = 8, vocabulary: int = 32000) -> FlowModel:
    """A model of the next word with random weights; families other than GPT-2 have half as many key heads as heads."""
    prefix = {"gpt2": "GPT2", "llama": "Llama", "mistral": "Mistral", "qwen3": "Qwen3"}[family]
    sizes: dict[str, Any] = {
        "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads, "vocab_size": vocabulary,
        "bos_token_id": END, "eos_token_id": END,
    }  # fmt: skip
    if family != "gpt2":
        sizes |= {"intermediate_size": 4 * width, "num_key_value_heads": max(1, heads // 2), "head_dim": width // heads}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        hf = getattr(transformers, f"{prefix}{'LMHeadModel' if family == 'gpt2' else 'ForCausalLM'}")(
            getattr(transformers, f"{prefix}Config")(**sizes)
        )
    return FlowModel(hf, SimpleNamespace(mask_token_id=None, pad_token_id=None, eos_token_id=END), family)


def plain_pass(model: FlowModel, batch: Batch, samples: int) -> None:
    """The Hugging Face model itself, forward and backward at all points of the path, with logits of the last position alone."""
    x, x_b = model.words(batch), baseline_words(model, batch, "pad")
    nodes = torch.as_tensor(quadrature("midpoint", samples).nodes, dtype=x.dtype, device=x.device)
    words = (x_b[:, None] + nodes[:, None, None] * (x - x_b)[:, None]).flatten(0, 1).requires_grad_(True)
    logits = model.hf(inputs_embeds=words, logits_to_keep=1, use_cache=False).logits[:, -1]
    torch.autograd.grad((logits[:, int(batch.answer[0, 0])] - logits[:, int(batch.against[0, 0])]).sum(), words)


def measure_decoder(
    family: str, tokens: int = 30, texts: int = 4, samples: int = 50, repeats: int = 5, **sizes: int
) -> DecoderCost:
    """Times influence patterns and the pass in turn, in every repeat.

    Args:
        family: One of `FAMILIES`.
        tokens: Tokens of a text.
        texts: Texts of the batch.
        samples: Points of the path.
        repeats: Repeats after one warm-up.
        sizes: Of the model (`random_decoder`).
    """
    model = random_decoder(family, **sizes)
    words = len(model.word_embedding.weight)
    ids = torch.randint(FIRST, words, (texts, tokens), generator=torch.Generator().manual_seed(0))
    batch = batch_of(ids, words - 2, words - 1, tokens - 1, pairwise=True)
    method = InfluencePatterns(samples=samples, baseline="pad")
    ratios, seconds = [], []
    for repeat in range(repeats + 1):
        unit = _seconds(lambda: plain_pass(model, batch, samples))
        taken = _seconds(lambda: method.explain(model, replace(batch, cache={})))
        if repeat:
            ratios.append(taken / unit)
            seconds.append(taken / texts)
    return DecoderCost(family, statistics.median(seconds), statistics.median(ratios), min(ratios), max(ratios))


def _seconds(job: Callable[[], object]) -> float:
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


if __name__ == "__main__":
    for cost in map(measure_decoder, FAMILIES):
        print(
            f"{cost.family}: {cost.seconds:.3g} s a text, {cost.ratio:.2f} [{cost.low:.2f}, {cost.high:.2f}] passes", flush=True
        )
