"""Trains the embedded model: a small masked language model on sentences of a wider grammar than the tasks'.

    python -m flowgauge.models.zoo.train_agreement_bert --out DIR

A sentence with two nouns of the tasks' lexicon is never generated, and every test sentence has two, so no test sentence can occur in
training; each of its words does, beside other nouns.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from ...tasks.agreement import BE, GENDER, REFLEXIVE, lexicon

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MORE_NOUNS = (
    "artist baker clerk driver editor farmer friend hunter judge king lawyer leader miner neighbor nurse painter player poet "
    "pupil sailor scientist singer soldier student tailor tourist trader voter waiter worker writer"
).split()
MORE_GENDERED = {
    "boy": "girl", "uncle": "aunt", "waiter": "waitress", "host": "hostess", "duke": "duchess", "emperor": "empress",
    "grandfather": "grandmother", "hero": "heroine", "monk": "nun", "gentleman": "lady", "groom": "bride", "steward": "stewardess",
}  # fmt: skip
MORE_VERBS = {"admires": "admire", "follows": "follow", "visits": "visit", "helps": "help", "knows": "know"}
MORE_ADJECTIVES = ["happy", "rich", "quiet", "strong"]
MORE_PREPOSITIONS = ["near", "behind", "in front of"]
MORE_REPORTING = ["claimed", "hoped", "believed"]
MORE_REFLEXIVE = ["praised", "saw", "blamed"]
MORE_ACTION = ["wash", "watch", "blame"]
REFLEXIVE_KINDS = {"himself", "herself", "themselves"}


@dataclass(frozen=True)
class Noun:
    """A noun in the text: its form, its letter (S or P; M or F) and whether the tasks use it."""

    form: str
    letter: str
    tested: bool


class Grammar:
    """Draws training sentences; the last of each pair is the word whose prediction matters."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, words = rng, lexicon()
        tested = {**words["nouns"], **words["attractors"], **words["reporters"]}
        plain = {n: n + "s" for n in MORE_NOUNS if n not in tested and n not in words["gendered"] and n not in MORE_GENDERED}
        self.nouns = [Noun(f, l, n in tested) for n, p in {**tested, **plain}.items() for f, l in ((n, "S"), (p, "P"))]
        gendered = {m: f for m, f in MORE_GENDERED.items() if f not in words["gendered"].values()}
        self.gendered = [Noun(f, l, m in words["gendered"]) for m, w in {**words["gendered"], **gendered}.items() for f, l in ((m, "M"), (w, "F"))]
        lists = words["lists"]
        self.verbs = list({**words["verbs"], **MORE_VERBS}.items())
        self.adjectives, self.prepositions = lists["adjectives"] + MORE_ADJECTIVES, lists["prepositions"] + MORE_PREPOSITIONS
        self.reporting, self.reflexive = lists["reporting"] + MORE_REPORTING, lists["reflexive_verbs"] + MORE_REFLEXIVE
        self.determiners, self.modals, self.action = lists["determiners"], lists["modals"], lists["action_verbs"] + MORE_ACTION
        self.structures: tuple[Callable[[], tuple[str, str]], ...] = (
            self.simple, self.object_relative, self.subject_relative, self.complement, self.prepositional,
            self.reflexive_simple, self.reflexive_relative, self.reflexive_relative, self.gender_simple, self.gender_relative, self.gender_relative,
        )  # fmt: skip

    def draw(self) -> tuple[str, str]:
        """A sentence and its agreeing word."""
        return self.structures[self.rng.integers(len(self.structures))]()

    def vocabulary(self) -> list[str]:
        """Every word the grammar can produce."""
        words = {n.form for n in self.nouns + self.gendered} | {w for pair in self.verbs for w in pair} | {"the", "that", "who", "."}
        words |= {*BE.values(), *REFLEXIVE.values(), *GENDER.values()}
        for group in (self.adjectives, self.prepositions, self.reporting, self.reflexive, self.determiners, self.modals, self.action):
            words |= {w for entry in group for w in entry.split()}
        return [*SPECIAL, *sorted(words)]

    def pick(self, options: Sequence[str]) -> str:
        return options[self.rng.integers(len(options))]

    def pair(self, nouns: Sequence[Noun]) -> tuple[Noun, Noun]:
        """Two nouns, not both of the tasks' lexicon: this is what holds the test sentences out."""
        while True:
            a, b = (nouns[self.rng.integers(len(nouns))] for _ in range(2))
            if not (a.tested and b.tested) and a.form != b.form:
                return a, b

    def verb(self, noun: Noun) -> str:
        singular, plural = self.verbs[self.rng.integers(len(self.verbs))]
        return singular if noun.letter == "S" else plural

    def end(self, noun: Noun) -> str:
        return f"{BE[noun.letter]} {self.pick(self.adjectives)} ."

    def simple(self) -> tuple[str, str]:
        a, _ = self.pair(self.nouns)
        return f"the {a.form} {self.end(a)}", BE[a.letter]

    def object_relative(self) -> tuple[str, str]:
        a, b = self.pair(self.nouns)
        return f"the {a.form} that the {b.form} {self.verb(b)} {self.end(a)}", BE[a.letter]

    def subject_relative(self) -> tuple[str, str]:
        a, b = self.pair(self.nouns)
        return f"the {a.form} that {self.verb(a)} the {b.form} {self.end(a)}", BE[a.letter]

    def complement(self) -> tuple[str, str]:
        a, b = self.pair(self.nouns)
        return f"the {b.form} {self.pick(self.reporting)} the {a.form} {self.end(a)}", BE[a.letter]

    def prepositional(self) -> tuple[str, str]:
        a, b = self.pair(self.nouns)
        return f"the {a.form} {self.pick(self.prepositions)} the {b.form} {self.end(a)}", BE[a.letter]

    def reflexive_simple(self) -> tuple[str, str]:
        a, _ = self.pair(self.nouns)
        return f"the {a.form} {self.pick(self.reflexive)} {REFLEXIVE[a.letter]} .", REFLEXIVE[a.letter]

    def reflexive_relative(self) -> tuple[str, str]:
        a, b = self.pair(self.nouns)
        return f"the {a.form} that the {b.form} {self.verb(b)} {self.pick(self.reflexive)} {REFLEXIVE[a.letter]} .", REFLEXIVE[a.letter]

    def gender_simple(self) -> tuple[str, str]:
        a, _ = self.pair(self.gendered)
        return f"{self.pick(self.determiners)} {a.form} {self.pick(self.modals)} {self.pick(self.action)} {GENDER[a.letter]} .", GENDER[a.letter]

    def gender_relative(self) -> tuple[str, str]:
        a, b = self.pair(self.gendered)
        clause = f"who {self.pick(self.modals)} {self.pick(self.action)} {self.pick(self.determiners)} {b.form}"
        return (
            f"{self.pick(self.determiners)} {a.form} {clause} {self.pick(self.modals)} {self.pick(self.action)} {GENDER[a.letter]} .",
            GENDER[a.letter],
        )


def make_tokenizer(vocabulary: Sequence[str]) -> PreTrainedTokenizerFast:
    """A word-level tokenizer that lower-cases and splits at blanks."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    ids = {word: i for i, word in enumerate(vocabulary)}
    made = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    return PreTrainedTokenizerFast(tokenizer_object=made, model_input_names=["input_ids", "token_type_ids", "attention_mask"], **names)


def masked_batch(grammar: Grammar, tokenizer: PreTrainedTokenizerFast, size: int) -> tuple[dict[str, Tensor], Tensor]:
    """Sentences with the agreeing word masked four times in five, and every other word once in seven; labels elsewhere -100."""
    drawn = [grammar.draw() for _ in range(size)]
    encoded = tokenizer([s for s, _ in drawn], padding=True, return_tensors="pt")
    ids = encoded["input_ids"]
    key = torch.tensor([tokenizer.convert_tokens_to_ids(word) for _, word in drawn])
    chance = torch.where(ids == key[:, None], 0.8, 0.15) * (ids > len(SPECIAL) - 1)
    masked = torch.as_tensor(grammar.rng.random(tuple(ids.shape))) < chance
    labels = torch.where(masked, ids, -100)
    encoded["input_ids"] = torch.where(masked, tokenizer.mask_token_id, ids)
    return dict(encoded), labels


def train(out: Path, steps: int, size: int, rate: float, seed: int) -> None:
    """Trains and saves; a checkpoint every 500 steps lets a killed run go on."""
    torch.manual_seed(seed)
    grammar = Grammar(np.random.default_rng(seed))
    tokenizer = make_tokenizer(grammar.vocabulary())
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=128, num_hidden_layers=6, num_attention_heads=8, intermediate_size=512,
        max_position_embeddings=32, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, pad_token_id=0,
    )  # fmt: skip
    model = BertForMaskedLM(config).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: min((s + 1) / 400, max(0.0, (steps - s) / (steps - 400))))
    first, checkpoint = 0, out / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=False)
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        schedule.load_state_dict(saved["schedule"])
        grammar.rng.bit_generator.state, first = saved["rng"], saved["step"]
    out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    for step in range(first, steps):
        inputs, labels = masked_batch(grammar, tokenizer, size)
        loss = model(**inputs, labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if (step + 1) % 250 == 0:
            found = evaluate(model, tokenizer, 100)
            print(f"step {step + 1}: loss {loss.item():.3f}, {time.perf_counter() - started:.0f} s, {found}", flush=True)
        if (step + 1) % 500 == 0:
            state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}
            torch.save({**state, "rng": grammar.rng.bit_generator.state, "step": step + 1}, checkpoint.with_suffix(".new"))
            os.replace(checkpoint.with_suffix(".new"), checkpoint)
    model.eval().half().save_pretrained(out)
    tokenizer.save_pretrained(out)
    checkpoint.unlink(missing_ok=True)


@torch.no_grad()
def evaluate(model: BertForMaskedLM, tokenizer: PreTrainedTokenizerFast, limit: int | None = None) -> dict[str, float]:
    """Accuracy on each task's sentences, which training never saw: the answer above the other form."""
    from ...tasks.agreement import DESIGNS, AgreementTask

    training, found = model.training, {}
    model.eval()
    for name in DESIGNS:
        instances = AgreementTask(name).instances(limit=limit)
        encoded = tokenizer([i.segments[0] for i in instances], padding=True, return_tensors="pt")
        logits = model(**encoded).logits[encoded["input_ids"] == tokenizer.mask_token_id]
        ids = torch.tensor(tokenizer.convert_tokens_to_ids([i.answer[0] for i in instances] + [i.against[0] for i in instances]))
        right, wrong = logits.gather(1, ids.view(2, -1).T).unbind(1)
        found[name] = round(float((right > wrong).double().mean()), 4)
    model.train(training)
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--evaluate", action="store_true", help="only measure the model in --out on all sentences")
    args = parser.parse_args()
    if args.evaluate:
        model = BertForMaskedLM.from_pretrained(args.out, dtype=torch.float32)
        print(json.dumps(evaluate(model, PreTrainedTokenizerFast.from_pretrained(args.out))))
        return
    train(args.out, args.steps, args.size, args.rate, args.seed)


if __name__ == "__main__":
    main()
