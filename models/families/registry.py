"""The model families by Hugging Face's `model_type`. A new family is one file of `encoders` or `decoders` and one line here."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ...core.errors import UsageError

if TYPE_CHECKING:
    from ..baseline import Baseline
    from .base import ModelParts

FAMILIES = {
    "albert": "encoders.albert:albert_parts",
    "bert": "encoders.bert:bert_parts",
    "camembert": "encoders.roberta:roberta_parts",
    "deberta-v2": "encoders.deberta:deberta_parts",
    "distilbert": "encoders.distilbert:distilbert_parts",
    "electra": "encoders.electra:electra_parts",
    "gemma2": "decoders.gemma:gemma_parts",
    "gemma3_text": "decoders.gemma:gemma_parts",
    "gpt2": "decoders.gpt2:gpt2_parts",
    "gpt_neox": "decoders.gpt_neox:gpt_neox_parts",
    "llama": "decoders.llama:llama_parts",
    "mistral": "decoders.llama:llama_parts",
    "modernbert": "encoders.modernbert:modernbert_parts",
    "mpnet": "encoders.mpnet:mpnet_parts",
    "opt": "decoders.opt:opt_parts",
    "qwen2": "decoders.llama:llama_parts",
    "qwen3": "decoders.llama:llama_parts",
    "roberta": "encoders.roberta:roberta_parts",
    "roberta-prelayernorm": "encoders.roberta_prelayernorm:roberta_prelayernorm_parts",
    "xlm-roberta": "encoders.roberta:roberta_parts",
}
"""`model_type` to `module:function` below this folder; the function has the arguments of `model_parts`."""
DEFAULT_BASELINES: dict[str, Baseline] = {"encoders": "mask", "decoders": "pad"}
"""What removed words become where nobody says, by kind of family: decoders are trained without [MASK]."""


def default_baseline(family: str) -> Baseline:
    """The baseline of a family's models where nobody chooses one; for families that flowgauge does not know, [MASK].

    >>> default_baseline("bert"), default_baseline("gpt2")
    ('mask', 'pad')
    """
    return DEFAULT_BASELINES.get(FAMILIES.get(family, "").partition(".")[0], "mask")


def model_parts(hf: Any, name: str) -> ModelParts:
    """The parts of a Hugging Face model.

    Args:
        hf: A model of one of `FAMILIES`, with a masked-LM, next-token, sequence-classification or span head.
        name: What messages call it.

    Raises:
        UsageError: Another family, or a variant or a head that its adapter does not run.
    """
    family = hf.config.model_type
    if family not in FAMILIES:
        raise UsageError(f"model {name!r} is of family {family!r}; flowgauge has adapters for {', '.join(sorted(FAMILIES))}.")
    module, _, function = FAMILIES[family].partition(":")
    parts: ModelParts = getattr(importlib.import_module(f".{module}", __package__), function)(hf, name)
    return parts
