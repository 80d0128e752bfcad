"""Loads a model by name: an embedded one, a Hugging Face name or a folder."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.errors import UsageError
from .families.registry import model_parts
from .flow.flow_model import FlowModel
from .zoo import ZOO

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_model(name: str, dtype: str = "float32", device: str = "cpu", revision: str | None = None) -> FlowModel:
    """Loads the model called `name`, in evaluation mode.

    Args:
        name: An embedded model (`agreement-bert`), a folder with a Hugging Face checkpoint, or a name on the Hub.
        dtype: One of float32, float64, bfloat16, float16.
        device: A torch device, such as `cpu` or `cuda`.
        revision: Branch, tag or commit on the Hub.

    Returns:
        The model, with every weight frozen.

    Raises:
        UsageError: No such model, no tokenizer, an unsupported head or family, an unknown dtype or device.
    """
    from transformers import AutoConfig

    if dtype not in DTYPES:
        raise UsageError(f"no dtype is called {dtype!r}; choose one of {', '.join(DTYPES)}.")
    torch_device = check_device(device)
    source = _source(name)
    config = _fetch(lambda: AutoConfig.from_pretrained(source, revision=revision), name)
    tokenizer = _tokenizer(name, source, revision)
    auto = _auto_class(config, name)
    options = {"revision": revision, "dtype": DTYPES[dtype], "output_loading_info": True}
    hf, loading = _fetch(lambda: auto.from_pretrained(source, **options), name)
    if loading["missing_keys"]:
        missing = ", ".join(sorted(loading["missing_keys"])[:3])
        raise UsageError(
            f"the checkpoint of model {name!r} lacks weights ({missing}), which would be random: "
            "choose a checkpoint that was trained with this head, or train one (`flowgauge train`)."
        )
    short_name = Path(name).name if _looks_like_path(name) or Path(name).is_dir() else name
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
        UsageError: No such model, no tokenizer, a family that flowgauge has no adapter for.
    """
    from transformers import AutoModelForQuestionAnswering, AutoModelForSequenceClassification

    source = _source(name)
    tokenizer = _tokenizer(name, source, revision)
    options: dict[str, Any] = {"num_labels": 2, "ignore_mismatched_sizes": True, "dtype": torch.float32}
    if classes is not None:
        labels = {"id2label": dict(enumerate(classes)), "label2id": {label: index for index, label in enumerate(classes)}}
        options |= {"num_labels": len(classes), **labels}
    auto = AutoModelForQuestionAnswering if classes is None else AutoModelForSequenceClassification
    hf = _fetch(lambda: auto.from_pretrained(source, revision=revision, **options), name)
    return Base(hf, tokenizer, model_parts(hf, name).max_tokens)


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
        UsageError: No such model, no fast tokenizer.
    """
    from transformers import AutoModel

    source = _source(name)
    tokenizer = _tokenizer(name, source, revision)
    hf = _fetch(lambda: AutoModel.from_pretrained(source, revision=revision, dtype=torch.float32), name)
    return WordVectors(hf.get_input_embeddings().weight.detach(), tokenizer)


def _source(name: str) -> str:
    """What transformers loads: the folder of an embedded model, else the name itself.

    Raises:
        UsageError: There is no such folder, or the name is nearly that of an embedded model.
    """
    if name in ZOO:
        return str(ZOO[name])
    if _looks_like_path(name) and not Path(name).is_dir():
        raise UsageError(f"there is no model folder {name!r}: check the path.")
    near = difflib.get_close_matches(name, ZOO, n=1, cutoff=0.85)
    if near and not Path(name).is_dir():  # a typing error; the Hub would be asked for it with a minute of retries
        raise UsageError(
            f"no model is called {name!r}: did you mean {near[0]}? `flowgauge list models` shows those that come with flowgauge."
        )
    return name


def _tokenizer(name: str, source: str, revision: str | None) -> Any:
    """The fast tokenizer of a model.

    Raises:
        UsageError: The model has no tokenizer, or a slow one.
    """
    from transformers import AutoTokenizer

    tokenizer = _fetch(lambda: AutoTokenizer.from_pretrained(source, revision=revision), name, "a tokenizer")
    if len(tokenizer) <= len(tokenizer.all_special_tokens):  # transformers builds an empty one if there are no files
        raise UsageError(
            f"model {name!r} has no tokenizer (tokenizer.json or vocab.txt): save the one it was trained with beside it, "
            "as `AutoTokenizer.from_pretrained(BASE).save_pretrained(FOLDER)` does."
        )
    if not tokenizer.is_fast:
        raise UsageError(
            f"model {name!r} has no fast tokenizer (tokenizer.json), which is needed to know where words are: "
            "save one beside the model with `PreTrainedTokenizerFast.save_pretrained(FOLDER)`."
        )
    return tokenizer


def check_device(device: str) -> torch.device:
    """The torch device called `device`, after a computation on it.

    Raises:
        UsageError: There is no such device, or it cannot be used on this machine.
    """
    try:
        torch_device = torch.device(device)
        torch.ones(1, device=torch_device).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).splitlines()[0][:200].rstrip(".")
        raise UsageError(f"device {device!r} cannot be used here: {reason}; --device cpu always can.") from error
    return torch_device


def _looks_like_path(name: str) -> bool:
    return name.startswith((".", "/", "~")) or name.count("/") > 1


def _auto_class(config: Any, name: str) -> Any:
    """The class of transformers that loads the head of a checkpoint.

    Raises:
        UsageError: The checkpoint has another head or none.
    """
    from transformers import AutoModelForMaskedLM, AutoModelForQuestionAnswering, AutoModelForSequenceClassification

    architecture = (getattr(config, "architectures", None) or ["(not stated)"])[0]
    for ending, auto in (
        ("ForMaskedLM", AutoModelForMaskedLM),
        ("ForSequenceClassification", AutoModelForSequenceClassification),
        ("ForQuestionAnswering", AutoModelForQuestionAnswering),
    ):
        if architecture.endswith(ending) or (ending == "ForMaskedLM" and architecture == "BertForPreTraining"):
            return auto
    raise UsageError(
        f"model {name!r} was saved as {architecture}, which has neither a masked-LM nor a sequence-classification nor a span "
        f"head; fine-tune it first (`flowgauge train --model {name} --task sst2 --out DIR`), "
        "or choose a checkpoint saved as ...ForMaskedLM, ...ForSequenceClassification or ...ForQuestionAnswering."
    )


def _fetch(load: Any, name: str, what: str = "a model") -> Any:
    """Runs a Hugging Face loader.

    Raises:
        UsageError: The loader raised any error; the message is one line that says what can be loaded.
    """
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        return load()
    except Exception as error:  # each damaged format has an error of its own
        text = " ".join(str(error).split())
        offline = "couldn't connect" in text or "offline" in text.lower() or "Name or service" in text
        reason = "the Hub cannot be reached and nothing of that name is cached" if offline else text[:200].rstrip(".")
        raise UsageError(
            f"cannot load {what} from {name!r}: {reason}. "
            f"Embedded models: {', '.join(ZOO)}; a folder with a checkpoint works too."
        ) from error
