"""Tiny random models of every family and random batches, in float64 unless asked otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers

from flowgauge.models.batch import Batch
from flowgauge.models.built.recurrent import Recurrent
from flowgauge.models.built.toy_counting import ToyCounting
from flowgauge.models.flow.flow_model import FlowModel

PAD, MASK, VOCABULARY = 1, 4, 60
SIZES = {
    "num_hidden_layers": 3,
    "hidden_size": 16,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "vocab_size": VOCABULARY,
    "pad_token_id": PAD,
}
SPECIAL = {"vocab_size": VOCABULARY, "pad_token_id": PAD, "bos_token_id": 2, "eos_token_id": 3}
DISTANCES = {
    "relative_attention": True,
    "position_buckets": 4,
    "max_relative_positions": 16,
    "pos_att_type": ["p2c", "c2p"],
    "share_att_key": True,
    "norm_rel_ebd": "layer_norm",
    "position_biased_input": False,
    "type_vocab_size": 0,
    "layer_norm_eps": 1e-7,
}
"""What DeBERTa v3 is published with, but for the number of buckets."""
GROUPED = {**SIZES, "num_key_value_heads": 2, "head_dim": 6}
MASKED = {"masked": "ForMaskedLM", "label": "ForSequenceClassification", "span": "ForQuestionAnswering"}
NEXT = {"next": "ForCausalLM", "label": "ForSequenceClassification", "span": "ForQuestionAnswering"}
WITHOUT_SPANS = {head: NEXT[head] for head in ("next", "label")}
KINDS = ["sliding_attention", "full_attention", "sliding_attention"]
GEMMA3 = {"next": "ForCausalLM", "label": "TextForSequenceClassification"}
OPT = {"num_hidden_layers": 3, "hidden_size": 16, "num_attention_heads": 4, "ffn_dim": 32, "word_embed_proj_dim": 16}
FAMILIES: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "bert": ("Bert", MASKED, SIZES),
    "roberta": ("Roberta", MASKED, SIZES),
    "electra": ("Electra", MASKED, {**SIZES, "embedding_size": 8}),
    "distilbert": (
        "DistilBert",
        MASKED,
        {"n_layers": 3, "dim": 16, "n_heads": 4, "hidden_dim": 32, "vocab_size": VOCABULARY, "pad_token_id": PAD},
    ),
    "albert": ("Albert", MASKED, {**SIZES, "embedding_size": 8}),
    "camembert": ("Camembert", MASKED, SIZES),
    "deberta-v2": ("DebertaV2", MASKED, {**SIZES, **DISTANCES}),
    "modernbert": (
        "ModernBert",
        MASKED,
        {**SIZES, "local_attention": 4, "layer_types": ["full_attention"] + ["sliding_attention"] * 2},
    ),
    "mpnet": ("MPNet", MASKED, SIZES),
    "roberta-prelayernorm": ("RobertaPreLayerNorm", MASKED, SIZES),
    "xlm-roberta": ("XLMRoberta", MASKED, SIZES),
    "gpt2": ("GPT2", {**NEXT, "next": "LMHeadModel"}, {"n_embd": 16, "n_layer": 3, "n_head": 4, "n_inner": 32, **SPECIAL}),
    "gpt_neox": ("GPTNeoX", NEXT, {**SIZES, **SPECIAL, "rotary_pct": 0.5}),
    "opt": ("OPT", NEXT, {**OPT, **SPECIAL}),
    "gemma2": ("Gemma2", WITHOUT_SPANS, {**GROUPED, "sliding_window": 3, "attn_logit_softcapping": 2.0}),
    "gemma3_text": ("Gemma3", GEMMA3, {**GROUPED, "sliding_window": 3, "layer_types": KINDS}),
    "llama": ("Llama", NEXT, {**GROUPED, "head_dim": 4}),
    "mistral": ("Mistral", NEXT, {**GROUPED, "sliding_window": 3}),
    "qwen2": ("Qwen2", NEXT, {**SIZES, "num_key_value_heads": 2}),
    "qwen3": ("Qwen3", NEXT, GROUPED),
}
"""Prefix of the classes of transformers, their endings by head, and sizes: 3 layers, 4 heads, 16 wide, 32 inner units."""
ENCODERS = ("bert", "roberta", "electra", "distilbert", "albert", "deberta-v2", "modernbert", "mpnet")
"""One family for each code of encoders."""
DECODERS = tuple(family for family, (_, heads, _) in FAMILIES.items() if "next" in heads)


def make_model(
    family: str = "bert", head: str = "", dtype: torch.dtype = torch.float64, seed: int = 0, **sizes: Any
) -> FlowModel:
    """A random model whose weights are large enough for words to matter; by default it predicts a masked or the next word."""
    prefix, endings, default = FAMILIES[family]
    head = head or next(iter(endings))
    if head not in endings:
        pytest.skip(f"transformers has no {prefix} with a {head} head")
    labels = {"num_labels": 2 if head == "span" else 3}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = transformers.CONFIG_MAPPING[family](**{**default, **labels, **sizes})
        hf = getattr(transformers, prefix + endings[head])(config)
        with torch.no_grad():
            for name, weight in hf.named_parameters():
                if weight.ndim == 2:
                    weight.mul_(20 if "embed" in name or "wte" in name or "wpe" in name else 6)
                elif "norm" in name.lower() or ".ln_" in name:
                    weight.add_(0.2 * torch.randn_like(weight))
    tokenizer = SimpleNamespace(mask_token_id=MASK, pad_token_id=PAD)
    return FlowModel(hf.to(dtype), tokenizer, f"tiny-{family}")


def make_batch(model: FlowModel, lengths: list[int], seed: int = 0, target: int = 2) -> Batch:
    """Random tokens with [MASK] at the target (masked), the target at 0 (label), or the span (1, 2) against (3, 0).

    Decoders' target is the last token (next, label).
    """
    generator = torch.Generator().manual_seed(seed)
    count, width = len(lengths), max(lengths)
    ids = torch.randint(5, VOCABULARY, (count, width), generator=generator)
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    at = torch.full((count,), target if model.head == "masked" else 0)
    if model.reads_last_token:
        at = torch.tensor(lengths) - 1
    if model.head == "masked":
        ids[:, target] = MASK
    ids = torch.where(mask, ids, PAD)
    pair = {"masked": ([7], [8]), "next": ([7], [8]), "label": ([1], [2]), "span": ([1, 2], [3, 0])}[model.head]
    answer, against = (torch.tensor(a).repeat(count, 1) for a in pair)
    names = tuple(f"i{n}" for n in range(count))
    words = torch.stack([torch.zeros_like(ids), torch.arange(width).expand_as(ids)], -1)
    read = at if model.one_target else None
    return Batch(
        ids,
        mask,
        torch.zeros_like(ids),
        words,
        answer,
        against,
        read,
        names,
        tuple(range(count)),
        pairwise=True,
        spans=model.head == "span",
    )


def alone(batch: Batch, row: int) -> Batch:
    """One instance of a batch without its padding."""
    one = batch.rows(torch.tensor([row]))
    n = int(one.attention_mask.sum())
    cut = {name: getattr(one, name)[:, :n] for name in ("ids", "attention_mask", "token_type_ids", "word_ids")}
    return replace(one, **cut)


@pytest.fixture(scope="session")
def model() -> FlowModel:
    """A three-layer BERT."""
    return make_model()


@pytest.fixture
def batch(model: FlowModel) -> Batch:
    """Three sentences of different lengths."""
    return make_batch(model, [6, 5, 4])


@pytest.fixture(scope="session")
def models() -> Callable[..., FlowModel]:
    """Builds models; see `make_model`."""
    return make_model


@pytest.fixture(scope="session")
def batches() -> Callable[..., Batch]:
    """Builds batches; see `make_batch`."""
    return make_batch


@pytest.fixture(scope="session")
def single() -> Callable[..., Batch]:
    """Cuts one instance out of a batch; see `alone`."""
    return alone


@pytest.fixture(scope="module")
def counting() -> Recurrent:
    """The model that counts digits with random weights, large enough for digits to matter."""
    model = ToyCounting()._untrained().to(torch.device("cpu"), torch.float64)
    for name, weight in model.network.named_parameters():
        weight.mul_(3 if weight.ndim == 2 and "table" not in name else 1)
    return model
