"""A Hugging Face checkpoint held against what is asked of it, by its configuration, before any weight is read."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import UsageError, printable, shortened
from ..tasks.instance import Head
from .checkpoint_files import local_folder, read_json, weight_files
from .checkpoint_size import check_memory, described, stored_weights
from .families.registry import FAMILIES
from .problem_types import check_problem_type, stated_problem_type
from .zoo import ZOO

log = logging.getLogger(__name__)
HEADS: Mapping[str, Head] = {
    "ForMaskedLM": "masked", "ForCausalLM": "next", "LMHeadModel": "next", "ForSequenceClassification": "label",
    "ForQuestionAnswering": "span",
}  # fmt: skip
"""The ending of `architectures` in a configuration to the head that it names."""
ENCODERS = {family for family, where in FAMILIES.items() if where.startswith("encoders.")}
"""Families that are run as encoders alone, though some of them can be configured as decoders."""
LAYERS, OUTPUTS = 1000, 100_000
"""The most layers and the most outputs of a classifier that are built; published models have at most 126 layers."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose configuration was read.

    Attributes:
        name: What messages call it.
        source: What transformers loads: a folder, or a name on the Hub of which nothing is on this machine yet.
        revision: Branch, tag or commit on the Hub.
        config: The configuration.
    """

    name: str
    source: str
    revision: str | None
    config: Mapping[str, Any]

    def check_family(self) -> None:
        """Refuses what flowgauge does not run.

        Raises:
            UsageError: Another family, code of the checkpoint's own, quantised weights,
                an encoder that is configured as a decoder, attention to a second
                text, or positions that transformers 5 does not compute.
        """
        family, architecture = self.config.get("model_type"), self.architecture
        if family not in FAMILIES:
            saved = f" (saved as {architecture})" if architecture else ""
            stated = f"is of family {printable(str(family)[:100])!r}{saved}" if family else f"states no model_type{saved}"
            own = ", and code that comes with a checkpoint (auto_map) is not run" if "auto_map" in self.config else ""
            raise UsageError(
                f"model {self.name!r} {stated}; flowgauge has adapters for {', '.join(sorted(FAMILIES))}{own}: "
                "choose a checkpoint of one of these families."
            )
        if "auto_map" in self.config:
            self._check_own_code()
        quantised = self.config.get("quantization_config") or self.config.get("compression_config")
        if quantised:
            kind = quantised.get("quant_method") if isinstance(quantised, Mapping) else None
            how = f" by {printable(str(kind)[:50])}" if kind else ""
            raise UsageError(
                f"the weights of model {self.name!r} are quantised{how} (quantization_config in config.json), and methods cannot "
                "take gradients through them: choose the checkpoint that it was made from "
                "(--dtype bfloat16 halves the memory that one takes)."
            )
        if family not in ENCODERS and self.config.get("add_cross_attention"):
            raise UsageError(
                f"model {self.name!r} reads a second text (add_cross_attention in config.json): choose a decoder that reads one."
            )
        as_decoder = self.config.get("is_decoder") or self.config.get("add_cross_attention")
        if family in ENCODERS and (as_decoder or HEADS.get(self.ending) == "next"):
            raise UsageError(
                f"model {self.name!r} is configured as a decoder (is_decoder, add_cross_attention or saved as ...LMHeadModel): "
                "choose an encoder, or a checkpoint of a family of decoders."
            )
        positions = self.config.get("position_embedding_type") or "absolute"
        if positions != "absolute":
            raise UsageError(
                f"model {self.name!r} was trained with position_embedding_type {positions!r}, which transformers 5 does not "
                "compute: choose a checkpoint with absolute positions."
            )

    def _check_own_code(self) -> None:
        """Refuses a checkpoint whose own code computes its outputs, though it states a known family.

        Raises:
            UsageError: It was saved as a class that transformers does not have.
        """
        import transformers

        if self.architecture and not hasattr(transformers, self.architecture):
            raise UsageError(
                f"model {self.name!r} was saved as {self.architecture}, a class of its own (auto_map), and code that comes with "
                "a checkpoint is not run: choose a checkpoint that transformers runs by itself."
            )
        log.warning(
            "model %r names code of its own (auto_map), which is not run: transformers' %s is.", self.name, self.architecture
        )

    def check_counts(self) -> None:
        """Refuses numbers of layers or outputs that no encoder has, before anything of that size is built.

        Raises:
            UsageError: Such a number.
        """
        for kind, names, most in (("layers", ("num_hidden_layers", "n_layers"), LAYERS), ("outputs", ("num_labels",), OUTPUTS)):
            for key in names:
                count = self.config.get(key, 1)
                if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= most:
                    raise UsageError(
                        f"config.json of model {self.name!r} has {key} {str(count)[:50]}, expected 1 to {most} {kind}: "
                        "copy the checkpoint again."
                    )

    @property
    def architecture(self) -> str:
        """The class that the checkpoint was saved as; empty where the configuration does not state it."""
        stated = self.config.get("architectures")
        return printable(str(stated[0])[:100]) if isinstance(stated, list) and stated else ""

    @property
    def ending(self) -> str:
        """The ending of the architecture that names its head (`HEADS`); empty where it is another."""
        return next((ending for ending in HEADS if self.architecture.endswith(ending)), "")

    def head(self) -> Head:
        """The head that the configuration states.

        Raises:
            UsageError: Another head or none, or outputs of a classification head that flowgauge does not explain.
        """
        architecture = self.architecture
        train = f"train one (`flowgauge train --model {self.name} --task TASK --out DIR`)"
        if not architecture:
            from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as CLASSES

            example = CLASSES.get(str(self.config.get("model_type")), "BertForSequenceClassification")
            raise UsageError(
                f"config.json of model {self.name!r} does not state its head (architectures): if it has one, add "
                f'"architectures": ["{example}"], or ...ForMaskedLM, ...ForCausalLM or '
                f"...ForQuestionAnswering; otherwise {train}."
            )
        if architecture == "BertForPreTraining":  # a masked-LM head beside that for next sentences
            return "masked"
        head = HEADS.get(self.ending)
        if head is None:
            raise UsageError(
                f"model {self.name!r} was saved as {architecture}, {_description(architecture, self.source)}; {train}, or choose "
                "a checkpoint saved as ...ForMaskedLM, ...ForCausalLM, ...ForSequenceClassification or ...ForQuestionAnswering."
            )
        if head == "label":
            check_problem_type(*stated_problem_type(self.config), self.name)
        return head

    def check_size(self, config: Any) -> None:
        """Refuses a configuration that describes more weights than the files of weights can hold, before they are built.

        Args:
            config: The configuration as transformers reads it, with its defaults.

        Raises:
            UsageError: More weights than bytes.
        """
        sizes = described(config, self.config.get("model_type") in FAMILIES)
        folder = Path(self.source)
        if not folder.is_dir():
            return
        available = sum(path.stat().st_size for path in weight_files(folder, self.config) if path.is_file())
        if available and sizes.weights > available:
            raise UsageError(
                f"config.json of model {self.name!r} describes at least {sizes.weights:,} weights ({sizes.layers} layers of "
                f"width {sizes.width}, {sizes.words} words), but its files of weights have {available:,} bytes: it is the "
                "configuration of another model."
            )

    def check_memory(self, config: Any, dtype: str, device: str) -> None:
        """Refuses a model whose weights do not fit into memory, before they are read.

        Args:
            config: The configuration as transformers reads it, with its defaults.
            dtype: The floating-point type that they are loaded in.
            device: The torch device that they go to.

        Raises:
            UsageError: Says how much is needed and free.
        """
        folder = Path(self.source)
        stored = stored_weights(weight_files(folder, self.config)) if folder.is_dir() else None
        sizes = described(config, self.config.get("model_type") in FAMILIES)
        check_memory(self.name, stored or sizes.weights, dtype, device)


def open_checkpoint(name: str, revision: str | None = None) -> Checkpoint:
    """The checkpoint that a user names, with its configuration.

    Args:
        name: An embedded model, a folder with a Hugging Face checkpoint, or a name on the Hub.
        revision: Branch, tag or commit on the Hub.

    Raises:
        UsageError: No such model, a revision of a model that has none, an adapter, a folder without a configuration.
    """
    checkpoint = _opened(name, _source(name, revision), revision)
    checkpoint.check_counts()
    return checkpoint


def _opened(name: str, source: str, revision: str | None) -> Checkpoint:
    folder = local_folder(source, revision)
    if folder is None:
        return Checkpoint(name, source, revision, fetch(lambda: _hub_config(source, revision), name))
    if (folder / "adapter_config.json").is_file():
        base = str(read_json(folder / "adapter_config.json").get("base_model_name_or_path") or "BASE")[:200]
        raise UsageError(
            f"model {name!r} is an adapter (adapter_config.json) of {printable(base)!r} and no whole model: merge it first, as "
            "`PeftModel.from_pretrained(BASE_MODEL, ADAPTER).merge_and_unload().save_pretrained(FOLDER)` does, save the "
            "tokenizer there too, and name FOLDER."
        )
    if not (folder / "config.json").is_file():
        if not Path(source).is_dir():  # the cache has a part of it
            return Checkpoint(name, source, revision, fetch(lambda: _hub_config(source, revision), name))
        inner = sorted(path.parent.name for path in folder.glob("*/config.json"))
        hint = (
            f"name the folder with the transformer, {name.rstrip('/')}/{inner[0]}" if inner else "a checkpoint has a config.json"
        )
        kind = "is a sentence-transformers folder" if (folder / "modules.json").is_file() else "has no config.json"
        raise UsageError(f"model folder {name!r} {kind}: {hint}.")
    config = read_json(folder / "config.json")
    if not Path(source).is_dir():  # what was fingerprinted is what is loaded, also if the Hub has another version by now
        files = weight_files(folder, config)
        whole = files and all(path.is_file() for path in files) and any(folder.glob("*vocab*")) | any(folder.glob("tokenizer.*"))
        return Checkpoint(name, str(folder) if whole else source, revision, config)
    return Checkpoint(name, source, revision, config)


def check_tokenizer(name: str, tokenizer: Any, vocabulary: int, masked: bool) -> None:
    """Holds a tokenizer against the table of word vectors and the head.

    Special tokens that no text has by itself, such as that for an image, may lie beyond the table.

    Args:
        name: What messages call the model.
        tokenizer: The tokenizer.
        vocabulary: Rows of the table of word vectors.
        masked: Whether the model is asked for the word in the place of a mask token.

    Raises:
        UsageError: Tokens beyond the table, or no mask token.
    """
    kinds = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
    used = {getattr(tokenizer, f"{kind}_token_id", None) for kind in kinds}
    unused = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special} - used
    words = ((word, index) for word, index in tokenizer.get_vocab().items() if index not in unused)
    largest = max(words, key=lambda item: item[1])
    if largest[1] >= vocabulary:
        raise UsageError(
            f"the tokenizer of model {name!r} has tokens up to {largest[1]} ({largest[0]!r}), but the model has word vectors for "
            f"0 to {vocabulary - 1}: save the tokenizer that it was trained with beside it."
        )
    if masked and tokenizer.mask_token_id is None:
        raise UsageError(
            f"model {name!r} predicts masked words, but its tokenizer has no mask token: name it, as "
            f"`AutoTokenizer.from_pretrained({name!r}, mask_token='[MASK]').save_pretrained({name!r})` does."
        )


def fetch(load: Callable[[], Any], name: str, what: str = "a model") -> Any:
    """Runs a Hugging Face loader.

    Raises:
        UsageError: The loader raised any error; the message is one line that says what can be loaded.
    """
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        return load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # each damaged format has an error of its own; a tokenizer's is no Exception
        text = printable(" ".join(str(error).split()))
        offline = "couldn't connect" in text or "offline" in text.lower() or "Name or service" in text
        reason = shortened(text.rstrip("."), 300)
        if offline:
            reason = "the Hub cannot be reached and nothing of that name is cached"
        if "trust_remote_code" in text:
            reason = "it needs code of its own (auto_map), and code that comes with a checkpoint is not run"
        if "Weights only load failed" in text:
            reason = (
                "its weights are a pickle of more than tensors, which could run any program and is not read; ask for its "
                "model.safetensors"
            )
        if "discards the imaginary part" in text:
            reason = "its weights are complex numbers, which no model has"
        raise UsageError(
            f"cannot load {what} from {name!r}: {reason}. "
            f"Embedded models: {', '.join(ZOO)}; a folder with a checkpoint works too."
        ) from error


def looks_like_path(name: str) -> bool:
    """Whether a name can only be that of a folder.

    >>> looks_like_path("./model"), looks_like_path("org/model")
    (True, False)
    """
    return name.startswith((".", "/", "~")) or name.count("/") > 1


def _source(name: str, revision: str | None) -> str:
    """What transformers loads: the folder of an embedded model, the folder that is named, else the name itself.

    Raises:
        UsageError: There is no such folder, it has no revisions, or the name is nearly that of an embedded model.
    """
    folder = Path(name).expanduser()
    if name in ZOO or folder.is_dir():
        if revision is not None:
            kind = "comes with flowgauge" if name in ZOO else "is a folder"
            raise UsageError(f"model {name!r} {kind} and has no revisions: leave the revision out.")
        return str(ZOO.get(name, folder))
    if looks_like_path(name):
        raise UsageError(f"there is no model folder {name!r}: check the path.")
    near = difflib.get_close_matches(name, ZOO, n=1, cutoff=0.85)
    if near:  # a typing error; the Hub would be asked for it with a minute of retries
        raise UsageError(
            f"no model is called {name!r}: did you mean {near[0]}? `flowgauge list models` shows those that come with flowgauge."
        )
    return name


def _hub_config(source: str, revision: str | None) -> dict[str, Any]:
    from transformers import PreTrainedConfig

    config: dict[str, Any] = PreTrainedConfig.get_config_dict(source, revision=revision)[0]
    return config


def _description(architecture: str, source: str) -> str:
    """What a head that flowgauge does not explain predicts, or that there is none."""
    known = {
        "ForPreTraining": "a head that finds replaced words (a discriminator)",
        "ForTokenClassification": "a head that labels every token",
        "ForNextSentencePrediction": "a head that only says whether one text follows another",
        "ForMultipleChoice": "a head that chooses among several texts",
    }
    if (Path(source) / "modules.json").is_file():
        return "a sentence-transformers model, which turns texts into vectors and has no head"
    head = next((text for ending, text in known.items() if architecture.endswith(ending)), None)
    return (
        f"which has {head} and neither a masked-LM nor a next-token nor a classification nor a span head"
        if head
        else "which has neither a masked-LM nor a next-token nor a sequence-classification nor a span head"
    )
