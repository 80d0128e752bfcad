"""Methods of one name in two libraries: explains sentences by those of interpreto, and holds them against the ones here.

    python docs/figures/two_libraries.py explain MODEL FOLDER      # a folder for each method, which `flowgauge import` takes
    python docs/figures/two_libraries.py table STORE               # the tables of docs/two-libraries.md

MODEL is a folder with a classifier of SST-2. Only the first command needs interpreto, which flowgauge does not install.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata, spearmanr
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BatchEncoding

import flowgauge
from flowgauge.benchmark.store.record import Record
from flowgauge.benchmark.store.store import Store
from flowgauge.metrics.statistics.intervals import mean_intervals

TASK, SPLIT, LIMIT, MAX_TOKENS = "sst2", "validation", 60, 24
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "integrated-gradients": ("IntegratedGradients", {"n_perturbations": 50}),
    "gradient-x-input": ("Saliency", {}),
    "saliency": ("Saliency", {"input_x_gradient": False}),
    "smooth-grad": ("SmoothGrad", {"n_perturbations": 50}),
    "gradient-shap": ("GradientShap", {"n_perturbations": 100}),
    "occlusion": ("Occlusion", {}),
    "lime": ("Lime", {"n_perturbations": 200}),
    "kernel-shap": ("KernelShap", {"n_perturbations": 200}),
}
"""The class of interpreto by the name of the method here, with as many steps or draws as the method here takes by default."""


def difference_of_logits(model: torch.nn.Module) -> torch.nn.Module:
    """The model with logit[c] - logit[other] as the logit of class c, which is what flowgauge explains."""
    changed = copy.deepcopy(model).eval()
    head = changed.classifier
    with torch.no_grad():
        head.weight.copy_(head.weight - head.weight.flip(0))
        head.bias.copy_(head.bias - head.bias.flip(0))
    return changed


def scores(explain: Callable[..., Any], question: flowgauge.Question, answer: int) -> list[float]:
    """One score a token, special tokens included.

    Args:
        explain: A method of interpreto.
        question: The sentence.
        answer: The class that is explained.
    """
    inputs = BatchEncoding(
        {
            "input_ids": torch.tensor([question.input_ids]),
            "token_type_ids": torch.tensor([question.token_type_ids]),
            "attention_mask": torch.ones(1, len(question.input_ids), dtype=torch.long),
        }
    )
    (explained,) = explain([inputs], torch.tensor([[answer]]))
    return explained.attributions.flatten().tolist()


def explain(folder: Path, out: Path) -> None:
    """Writes the explanations of every method of interpreto.

    Args:
        folder: The model.
        out: Gets a folder for each method.
    """
    import interpreto  # here, since the tables do not need it

    model = difference_of_logits(AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    questions = flowgauge.questions(TASK, str(folder), limit=LIMIT, max_tokens=MAX_TOKENS, split=SPLIT)
    for name, (kind, settings) in METHODS.items():
        torch.manual_seed(0)
        method = getattr(interpreto, kind)(
            model, tokenizer, granularity=interpreto.Granularity.ALL_TOKENS, batch_size=32, **settings
        )
        flowgauge.write_explanations(
            out / name,
            {question.id: scores(method, question, question.answer[0]) for question in questions},
            predicted={
                question.id: scores(method, question, question.predicted[0]) for question in questions if not question.correct
            },
            method=f"interpreto-{name}",
            producer="interpreto",
            producer_version=interpreto.get_version(),
            task=TASK,
            model=str(folder),
            limit=LIMIT,
            max_tokens=MAX_TOKENS,
            split=SPLIT,
        )


def word_scores(store: Store, record: Record) -> dict[str, np.ndarray]:
    """The scores of a method's words, without the special tokens at both ends, by sentence."""
    cell = store.find(record)
    names = sorted(cell.sentences())
    explained, _ = cell.explanations(names)
    return {name: np.asarray(each.tokens, dtype=float)[1:-1] for name, each in zip(names, explained, strict=True)}


def score(store: Store, record: Record, metric: str, variant: str) -> dict[str, float]:
    """A metric of one cell, by sentence."""
    (found,) = [each for each in record.scores.values() if each.name == metric]
    rows = store.find(record).rows(found.metric)
    return rows[rows["variant"] == variant].groupby("instance")["value"].mean().to_dict()


def shown(values: Sequence[float]) -> str:
    """The mean and its 95 % interval over sentences; the mean alone where all are equal."""
    if np.ptp(values) < 1e-4:
        return f"{np.mean(values):.2f}"
    mean, low, high = mean_intervals(np.array([values]), np.zeros(len(values), int))[0].tolist()
    return f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def print_tables(url: str) -> None:
    """Prints how far the two libraries agree, and how faithful the methods of each are.

    Args:
        url: The store, with methods of both libraries on the same sentences.
    """
    store = Store(url)
    records = {record.method: record for record in store.records()}
    print("| method | rank correlation | of absolute scores | comprehensiveness: here | interpreto | difference |")
    print("| :-- | :-- | :-- | :-- | :-- | :-- |")
    means = {"here": dict[str, float](), "interpreto": dict[str, float]()}
    for name in METHODS:
        ours, theirs = records[name], records[f"outside.interpreto-{name}"]
        here, there = word_scores(store, ours), word_scores(store, theirs)
        long = [sentence for sentence in here if len(here[sentence]) > 2]
        signed = [float(spearmanr(here[sentence], there[sentence]).statistic) for sentence in long]
        absolute = [float(spearmanr(abs(here[sentence]), abs(there[sentence])).statistic) for sentence in long]
        mine, other = (score(store, record, "comprehensiveness", "aopc") for record in (ours, theirs))
        values = [np.array([each[sentence] for sentence in sorted(mine)]) for each in (mine, other)]
        means["here"][name], means["interpreto"][name] = (float(each.mean()) for each in values)
        cells = (shown(signed), shown(absolute), shown(values[0]), shown(values[1]), shown(values[0] - values[1]))
        print(f"| {name} | {' | '.join(cells)} |")
    for library, by_method in means.items():
        places = zip(by_method, rankdata([-value for value in by_method.values()]), strict=True)
        print(f"{library}: {', '.join(f'{name} {place:.0f}' for name, place in places)}")


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "explain":
        explain(*map(Path, arguments))
    else:
        print_tables(*arguments)
