"""Small random models of every family, with a tokenizer whose every word is one token: what families are checked on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ...core.errors import NotApplicable
from ...models.families.registry import FAMILIES
from ...models.flow.flow_model import FlowModel
from ...tasks.instance import GAP, Head, Instance

SPECIAL = ("<pad>", "<unk>", "<s>", "</s>", "[MASK]")
WORDS = tuple(f"w{number}" for number in range(40))
SIZES: dict[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 32, "max_position_embeddings": 40, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3,
    "initializer_range": 0.3,
}  # fmt: skip
GROUPED = {"num_key_value_heads": 2, "head_dim": 6, "sliding_window": 3}
OWN: Mapping[str, dict[str, Any]] = {
    "electra": {"embedding_size": 8},
    "albert": {"embedding_size": 8},
    "deberta-v2": {
        "relative_attention": True, "position_buckets": 4, "norm_rel_ebd": "layer_norm", "share_att_key": True,
        "pos_att_type": ["c2p", "p2c"], "position_biased_input": False,
    },
    "modernbert": {"local_attention": 4, "global_attn_every_n_layers": 2},
    "gemma2": GROUPED,
    "gemma3_text": {**GROUPED, "layer_types": ["sliding_attention", "full_attention"]},
    "llama": {"num_key_value_heads": 2},
    "mistral": GROUPED,
    "opt": {"ffn_dim": 32, "word_embed_proj_dim": 16},
    "qwen2": {"num_key_value_heads": 2},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 6},
}  # fmt: skip
"""What a family's configuration needs besides `SIZES`."""
MAPPINGS: Mapping[Head, str] = {
    "masked": "MODEL_FOR_MASKED_LM_MAPPING", "next": "MODEL_FOR_CAUSAL_LM_MAPPING",
    "label": "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING", "span": "MODEL_FOR_QUESTION_ANSWERING_MAPPING",
}  # fmt: skip
"""The table of transformers that names a family's class with each head."""


def is_decoder(family: str) -> bool:
    """Whether a family reads from left to right.

    >>> is_decoder("gpt2"), is_decoder("bert")
    (True, False)
    """
    return FAMILIES[family].startswith("decoders.")


def heads_of(family: str) -> tuple[Head, ...]:
    """The heads with which transformers has a family, of those that flowgauge explains.

    >>> heads_of("bert"), heads_of("gemma2")
    (('masked', 'label', 'span'), ('next', 'label'))
    """
    import transformers

    config = transformers.CONFIG_MAPPING[family]
    word: Head = "next" if is_decoder(family) else "masked"
    return tuple(head for head in (word, "label", "span") if config in getattr(transformers, MAPPINGS[head]))


def small_model(
    family: str, head: Head, dtype: torch.dtype = torch.float32, seed: int = 0, words: Sequence[str] = WORDS
) -> FlowModel:
    """A random model with two layers of four heads, whose weights are drawn wide, so that words and layers matter.

    Args:
        family: A `model_type` of the registry.
        head: What it predicts.
        dtype: The type of its weights.
        seed: Of its weights.
        words: Its vocabulary besides special tokens.

    Raises:
        NotApplicable: transformers has no such model.
    """
    import transformers

    if head not in heads_of(family):
        raise NotApplicable(f"transformers has no {family} with a head for {head}.")
    sizes = {"vocab_size": len(SPECIAL) + len(words), "num_labels": 2}
    config = transformers.CONFIG_MAPPING[family](**{**SIZES, **OWN.get(family, {}), **sizes})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        hf = getattr(transformers, MAPPINGS[head])[type(config)](config)
    return FlowModel(hf.to(dtype), word_tokenizer(not is_decoder(family), words), f"small-{family}")


def word_tokenizer(encoder: bool, words: Sequence[str] = WORDS) -> Any:
    """A tokenizer with one token a word: `<s> ... </s>` for an encoder, which has a mask token, `<s> ...` for a decoder."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.WordLevel({word: i for i, word in enumerate((*SPECIAL, *words))}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    single, pair = ("<s> $A </s>", "<s> $A </s> $B:1 </s>:1") if encoder else ("<s> $A", "<s> $A $B:1")
    raw.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=[("<s>", 2), ("</s>", 3)])
    tokens = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    if encoder:
        tokens |= {"mask_token": "[MASK]", "cls_token": "<s>", "sep_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=raw, **tokens)


def small_instances(head: Head) -> tuple[Instance, ...]:
    """Two sentences of different lengths that ask a model with this head, each with a counterpart whose first word differs."""
    texts = ("w1 w2 w3 w4 w5 w6 w7", "w8 w9 w10 w11 w12")
    others = ("w16 w2 w3 w4 w5 w6 w7", "w17 w9 w10 w11 w12")
    pairs = enumerate(zip(texts, others, strict=True))
    if head in ("masked", "next"):
        return tuple(
            Instance(f"i{n}", (f"{a} {GAP}",), (f"w{20 + n}",), (f"w{30 + n}",), left_to_right=True, counterpart=(f"{b} {GAP}",))
            for n, (a, b) in pairs
        )
    if head == "label":
        return tuple(Instance(f"i{n}", (a,), (n,), (1 - n,), counterpart=(b,)) for n, (a, b) in pairs)
    return tuple(Instance(f"i{n}", ("w14 w15", a), (3, 8), counterpart=("w14 w16", a)) for n, (a, _) in pairs)
