"""Trains and measures agreement-bert, the embedded masked LM: `PYTHONPATH=scripts python -m agreement_bert.train --out DIR`.

A six-layer, eight-head BERT of width 128 with one token a word. It is trained on the sentences of `grammar.py`, none of which
is a sentence of the agreement tasks, and measured on all six tasks. Every step draws its sentences from (seed, step), so that a
run that continues from a checkpoint gives the same weights as one that was not interrupted.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from flowgauge.core.errors import UsageError

from .card import card, measure
from .grammar import Grammar, GrammarSentence, load_grammar

log = logging.getLogger(__name__)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(5)
IGNORED = -100
CHECKPOINT = "checkpoint.pt"
RECIPE = "recipe.json"
EVERY = 250
"""Steps between checkpoints."""


@dataclass(frozen=True)
class PretrainingConfig:
    """The settings that determine the weights.

    Attributes:
        seed: Of the initial weights and of the sentences.
        steps: Number of updates.
        batch: Sentences of an update.
        rate: Largest learning rate of AdamW; linear warm-up over `warmup` steps, then a cosine to zero.
        warmup: Steps of the warm-up.
        decay: Weight decay.
        cued: Share of sentences in which one agreeing word alone is masked; the words of the others are masked at random.
        random_share: Share of words that is masked at random.
    """

    seed: int = 0
    steps: int = 3000
    batch: int = 64
    rate: float = 1e-3
    warmup: int = 200
    decay: float = 0.01
    cued: float = 0.6
    random_share: float = 0.15

    def rate_at(self, step: int) -> float:
        """The learning rate of an update, counted from 0."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        return self.rate * 0.5 * (1 + math.cos(math.pi * (step - self.warmup) / max(1, self.steps - self.warmup)))


def make_tokenizer(grammar: Grammar) -> PreTrainedTokenizerFast:
    """A fast tokenizer with one token for each lower-cased word or punctuation mark, for one text or two."""
    vocabulary = {word: i for i, word in enumerate((*SPECIAL, *grammar.vocabulary()))}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=True)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    names = {f"{name.strip('[]').lower()}_token": name for name in SPECIAL}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=raw, model_max_length=32, model_input_names=inputs, **names)


def make_model(size: int, seed: int) -> BertForMaskedLM:
    """The untrained model.

    Args:
        size: Words of the vocabulary.
        seed: Of the initial weights.
    """
    config = BertConfig(
        vocab_size=size, hidden_size=128, num_hidden_layers=6, num_attention_heads=8, intermediate_size=512,
        max_position_embeddings=32, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, pad_token_id=PAD,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return BertForMaskedLM(config)


def masked_batch(
    sentences: Sequence[GrammarSentence], ids: dict[str, int], recipe: PretrainingConfig, rng: random.Random
) -> tuple[Tensor, Tensor]:
    """Token ids with some words masked, and the ids of the masked words (`IGNORED` elsewhere), both padded on the right.

    Args:
        sentences: The sentences of the batch.
        ids: The id of each word.
        recipe: Which share of words is masked.
        rng: Chooses the masked words.
    """
    length = max(len(s.words) for s in sentences) + 2
    tokens, labels = torch.full((len(sentences), length), PAD), torch.full((len(sentences), length), IGNORED)
    for row, sentence in enumerate(sentences):
        word_ids = [ids[word] for word in sentence.words]
        tokens[row, : len(word_ids) + 2] = torch.tensor([CLS, *word_ids, SEP])
        for index in _masked(sentence, recipe, rng):
            labels[row, index + 1] = word_ids[index]
            kept = index not in sentence.agreeing and rng.random() < 0.2
            shown = rng.choice((word_ids[index], rng.randrange(len(SPECIAL), len(ids)))) if kept else MASK
            tokens[row, index + 1] = shown
    return tokens, labels


def _masked(sentence: GrammarSentence, recipe: PretrainingConfig, rng: random.Random) -> list[int]:
    """The indices of the words to be masked; at least one."""
    if sentence.agreeing and rng.random() < recipe.cued:
        return [rng.choice(sentence.agreeing)]
    indices = [i for i in range(len(sentence.words)) if rng.random() < recipe.random_share]
    return indices or [rng.randrange(len(sentence.words))]


def train(out: Path, recipe: PretrainingConfig) -> BertForMaskedLM:
    """Trains from scratch, or continues from `out/checkpoint.pt`; the weights are saved in float16.

    Args:
        out: The folder that receives the model.
        recipe: The settings of the training.

    Raises:
        UsageError: The checkpoint is that of other settings.
    """
    grammar = load_grammar()
    tokenizer = make_tokenizer(grammar)
    ids = tokenizer.get_vocab()
    model = make_model(len(ids), recipe.seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    first = _resume(out, recipe, model, optimiser)
    model.train()
    began = time.monotonic()
    for step in range(first, recipe.steps):
        rng = random.Random(f"{recipe.seed}/{step}")
        tokens, labels = masked_batch([grammar.sentence(rng) for _ in range(recipe.batch)], ids, recipe, rng)
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate_at(step)
        loss = model(input_ids=tokens, attention_mask=(tokens != PAD).long(), labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if (step + 1) % 100 == 0:
            log.info("step %d of %d: loss %.4f, %.0f s", step + 1, recipe.steps, loss.item(), time.monotonic() - began)
        if (step + 1) % EVERY == 0 or step + 1 == recipe.steps:
            _write_checkpoint(out, recipe, model, optimiser, step + 1)
    save(model, tokenizer, recipe, out)
    (out / CHECKPOINT).unlink(missing_ok=True)
    return model


def _write_checkpoint(
    out: Path, recipe: PretrainingConfig, model: BertForMaskedLM, optimiser: torch.optim.Optimizer, step: int
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    state = {"recipe": asdict(recipe), "step": step, "model": model.state_dict(), "optimiser": optimiser.state_dict()}
    torch.save(state, out / "checkpoint.tmp")
    (out / "checkpoint.tmp").replace(out / CHECKPOINT)


def _resume(out: Path, recipe: PretrainingConfig, model: BertForMaskedLM, optimiser: torch.optim.Optimizer) -> int:
    """Loads the checkpoint, if there is one, and returns the step from which training continues."""
    path = out / CHECKPOINT
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    if state["recipe"] != asdict(recipe):
        raise UsageError(f"{path} belongs to another recipe, {state['recipe']}: remove it or choose another --out.")
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    log.info("continuing from step %d", state["step"])
    return int(state["step"])


def save(model: BertForMaskedLM, tokenizer: PreTrainedTokenizerFast, recipe: PretrainingConfig, out: Path) -> None:
    """Writes config, float16 weights and tokenizer in the Hugging Face layout, and the recipe beside them."""
    out.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(out)
    model.float()
    (out / "model.safetensors").chmod(0o644)
    (out / RECIPE).write_text(json.dumps(asdict(recipe), indent=2) + "\n", encoding="utf-8")
    tokenizer.save_pretrained(out)
    path = out / "tokenizer_config.json"
    entries = json.loads(path.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    path.write_text(json.dumps(dict(sorted(entries.items())), indent=2) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line: trains if not told to measure alone, measures, and writes the card."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--steps", type=int, default=PretrainingConfig.steps)
    parser.add_argument("--seed", type=int, default=PretrainingConfig.seed)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; the weights depend on it in the last bits")
    parser.add_argument("--evaluate", action="store_true", help="only measure the model in --out, and write its card")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(given.threads)
    if not given.evaluate:
        train(given.out, PretrainingConfig(seed=given.seed, steps=given.steps))
    accuracy = measure(given.out)
    recipe = json.loads((given.out / RECIPE).read_text(encoding="utf-8"))
    (given.out / "README.md").write_text(card(recipe, accuracy), encoding="utf-8")
    log.info("%s", "\n".join(f"{row.task} {row.condition}: {row.right} of {row.count}" for row in accuracy))


if __name__ == "__main__":
    main()
