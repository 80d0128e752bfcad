"""Loads a model by name: an embedded one, a Hugging Face name or a folder."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.errors import UsageError, in_words
from .checkpoint import Checkpoint, check_tokenizer, fetch, looks_like_path, open_checkpoint
from .families.registry import model_parts
from .flow.flow_model import FlowModel
from .tokenizer import load_tokenizer

log = logging.getLogger(__name__)
DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16, "float16": torch.float16}
AUTO = {
    "masked": "AutoModelForMaskedLM", "next": "AutoModelForCausalLM", "label": "AutoModelForSequenceClassification",
    "span": "AutoModelForQuestionAnswering",
}  # fmt: skip
"""The class of transformers that loads each head."""
LEFT_OUT = re.compile(r"pooler|seq_relationship|attn\.(masked_)?bias$|attention\.(masked_)?bias$|rotary_emb\.inv_freq")
"""Weights whose absence changes no number that is explained: the pooler and the next-sentence head beside another head, and
what older files of decoders hold and is computed now (the causal mask, the angles of rotary positions)."""
ENCODER = re.compile(r"embed|\bw[tp]e\b|(\b|_)(layer|layers|h)\.\d+\.|\bencoder\.|\bfinal_(layer_)?norm\b")
"""Weights below the head."""


def load_model(name: str, dtype: str = "float32", device: str = "cpu", revision: str | None = None) -> FlowModel:
    """Loads the model called `name`, in evaluation mode.

    Args:
        name: An embedded model (`agreement-bert`, `agreement-gpt2`, ...), a folder with a Hugging Face
            checkpoint, or a name on the Hub.
        dtype: One of float32, float64, bfloat16, float16.
        device: A torch device, such as `cpu` or `cuda`.
        revision: Branch, tag or commit on the Hub.

    Returns:
        The model, with every weight frozen.

    Raises:
        UsageError: No such model, no tokenizer, an unsupported head or family, quantised weights, more of them than fit into
            memory, an unknown dtype or device.
    """
    if dtype not in DTYPES:
        raise UsageError(f"no dtype is called {dtype!r}; choose one of {', '.join(DTYPES)}.")
    torch_device = check_device(device)
    checkpoint = open_checkpoint(name, revision)
    checkpoint.check_family()
    head = checkpoint.head()
    tokenizer = _tokenizer(checkpoint, masked=head == "masked", dtype=dtype, device=device)
    hf, loading = _weights(checkpoint, AUTO[head], dtype=DTYPES[dtype])
    if loading["mismatched_keys"]:
        key, stored, expected = sorted(loading["mismatched_keys"])[0]
        raise UsageError(
            f"the checkpoint of model {name!r} has {key} in the shape {tuple(stored)}, where its config.json asks for "
            f"{tuple(expected)} ({len(loading['mismatched_keys'])} in all): weights and config.json are of two models."
        )
    if loading["missing_keys"]:
        missing = ", ".join(sorted(loading["missing_keys"])[:3])
        raise UsageError(
            f"the checkpoint of model {name!r} lacks weights ({missing}), which would be random: "
            "choose a checkpoint that was trained with this head, or train one (`flowgauge train`)."
        )
    _warn_of_left_out(name, loading["unexpected_keys"])
    short_name = Path(name).name if looks_like_path(name) or Path(name).is_dir() else name
    return FlowModel(hf.to(torch_device), tokenizer, short_name)


@dataclass(frozen=True, eq=False)
class Base:
    """A Hugging Face model with a head to be trained, in float32 on the CPU.

    Attributes:
        hf: The model.
        tokenizer: Its fast tokenizer.
        max_tokens: The most tokens that it has positions for; None: no limit is stated.
    """

    hf: Any
    tokenizer: Any
    max_tokens: int | None


def load_base(name: str, classes: Sequence[str] | None, revision: str | None = None) -> Base:
    """Loads the encoder called `name` with a head that can be trained.

    If the checkpoint has a head of this kind with as many outputs, it is kept; otherwise transformers draws a new one from
    torch's global generator.

    Args:
        name: An embedded model, a folder with a Hugging Face checkpoint, or a name on the Hub.
        classes: Class names of a sequence-classification head, in order; None: a span head.
        revision: Branch, tag or commit on the Hub.

    Raises:
        UsageError: No such model, no tokenizer, a family that flowgauge has no adapter for, weights of another configuration.
    """
    checkpoint = open_checkpoint(name, revision)
    checkpoint.check_family()
    tokenizer = _tokenizer(checkpoint, masked=False)
    padded = tokenizer.pad_token_id is not None
    _name_padding(name, tokenizer)
    options: dict[str, Any] = {"num_labels": 2, "dtype": torch.float32}
    if classes is not None:
        labels = {"id2label": dict(enumerate(classes)), "label2id": {label: index for index, label in enumerate(classes)}}
        options |= {"num_labels": len(classes), "problem_type": "single_label_classification", **labels}
    hf, loading = _weights(checkpoint, AUTO["span" if classes is None else "label"], **options)
    _check_encoder_weights(name, loading)
    if not padded or hf.config.pad_token_id is None:  # by which classifiers of transformers that read the last token find it
        hf.config.pad_token_id = tokenizer.pad_token_id
    return Base(hf, tokenizer, model_parts(hf, name).max_tokens)


def _name_padding(name: str, tokenizer: Any) -> None:
    """Names a padding token, which training needs: the end of the text, where the tokenizer does not set it behind each text.

    Raises:
        UsageError: There is no such token.
    """
    end = tokenizer.eos_token_id
    if tokenizer.pad_token_id is None and end is not None and tokenizer("a")["input_ids"][-1:] != [end]:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token_id is None:
        raise UsageError(
            f"the tokenizer of model {name!r} has no padding token, which training needs: name it, as "
            f"`AutoTokenizer.from_pretrained({name!r}, pad_token='[PAD]').save_pretrained({name!r})` does."
        )


@dataclass(frozen=True, eq=False)
class WordVectors:
    """The word-embedding matrix (V, E) of an encoder, in float32 on the CPU, and its tokenizer."""

    table: Tensor
    tokenizer: Any


def load_word_vectors(name: str, revision: str | None = None) -> WordVectors:
    """Loads the word vectors of the encoder called `name`, which may have any head or none.

    Args:
        name: An embedded model, a folder with a Hugging Face checkpoint, or a name on the Hub.
        revision: Branch, tag or commit on the Hub.

    Raises:
        UsageError: No such model, no fast tokenizer, weights of another configuration.
    """
    checkpoint = open_checkpoint(name, revision)
    tokenizer = _tokenizer(checkpoint, masked=False)
    hf, loading = _weights(checkpoint, "AutoModel", dtype=torch.float32)
    _check_encoder_weights(name, loading)
    return WordVectors(hf.get_input_embeddings().weight.detach(), tokenizer)


def _tokenizer(checkpoint: Checkpoint, masked: bool, dtype: str = "float32", device: str = "cpu") -> Any:
    """The tokenizer, held against the configuration, whose size is held against the files of weights and against memory."""
    from transformers import AutoConfig

    options = {"revision": checkpoint.revision, "trust_remote_code": False}
    config = fetch(lambda: AutoConfig.from_pretrained(checkpoint.source, **options), checkpoint.name)
    checkpoint.check_size(config)
    checkpoint.check_memory(config, dtype, device)
    tokenizer = load_tokenizer(checkpoint)
    check_tokenizer(checkpoint.name, tokenizer, config.get_text_config().vocab_size, masked)
    return tokenizer


def _weights(checkpoint: Checkpoint, auto: str, **options: Any) -> tuple[Any, dict[str, Any]]:
    """The model of transformers with its weights, and which of them were missing or left out."""
    import transformers

    load = getattr(transformers, auto).from_pretrained
    options |= {"revision": checkpoint.revision, "trust_remote_code": False, "output_loading_info": True}
    options["ignore_mismatched_sizes"] = True  # they are refused by name
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Casting complex values")
            hf, loading = fetch(lambda: load(checkpoint.source, **options), checkpoint.name)
    finally:
        torch.set_warn_always(always)
    return hf, loading


def _check_encoder_weights(name: str, loading: dict[str, Any]) -> None:
    """A head may be new, but not the encoder.

    Raises:
        UsageError: Weights below the head are missing or have other shapes, and would be random.
    """
    keys = [*loading["missing_keys"], *(str(key[0]) for key in loading["mismatched_keys"])]
    random = sorted(key for key in keys if ENCODER.search(key))
    if random:
        raise UsageError(
            f"the checkpoint of model {name!r} lacks weights of the encoder in the shapes of its config.json "
            f"({', '.join(random[:3])}), which would be random: copy the checkpoint again."
        )
    _warn_of_left_out(name, [key for key in loading["unexpected_keys"] if ENCODER.search(key)])


def _warn_of_left_out(name: str, keys: Collection[str]) -> None:
    """Warns of weights of the file that the configuration has no place for, such as layers beyond `num_hidden_layers`."""
    left_out = sorted(key for key in keys if not LEFT_OUT.search(key))
    if left_out:
        shown = f"{', '.join(left_out[:3])}{', ...' if len(left_out) > 3 else ''}"
        message = "model %r: %d weights of its file have no place in its config.json and are left out (%s)."
        log.warning(message, name, len(left_out), shown)


def check_device(device: str) -> torch.device:
    """The torch device called `device`, after a computation on it.

    Raises:
        UsageError: There is no such device, or it cannot be used on this machine.
    """
    if not re.fullmatch(r"(cpu|cuda|mps|xpu)(:\d{1,3})?", device):
        raise UsageError(f"no device is called {device!r}; choose cpu, cuda, cuda:1 (the second GPU) or mps.")
    try:
        torch_device = torch.device(device)
        torch.ones(1, device=torch_device).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        raise UsageError(f"device {device!r} cannot be used here: {in_words(error)}; --device cpu always can.") from error
    return torch_device
