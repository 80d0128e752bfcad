"""A three-layer random BERT in float64, a batch of it, and explained batches made by hand or by a method."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from tests.models.conftest import batches, models
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification

from flowgauge.methods.explanation import Explanation
from flowgauge.methods.registry import METHODS
from flowgauge.metrics.base import ExplainedBatch
from flowgauge.metrics.scores import frame, score_row
from flowgauge.metrics.summary import summarise
from flowgauge.models.batch import Batch
from flowgauge.models.flow.flow_model import FlowModel
from flowgauge.models.flow.graph import NO_EDGE, Patterns
from flowgauge.models.inputs.encode import relabel
from flowgauge.tasks.instance import Instance

__all__ = ["batches", "models"]

VOCABULARY, MASK, TARGET = 40, 4, 2
SIZES = {"num_hidden_layers": 3, "hidden_size": 16, "num_attention_heads": 4, "intermediate_size": 24, "vocab_size": VOCABULARY}


def tiny(head: str = "masked", seed: int = 0, **sizes) -> FlowModel:
    """Weights large enough for single nodes to change predictions."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        hf = (BertForMaskedLM if head == "masked" else BertForSequenceClassification)(
            BertConfig(**{**SIZES, "num_labels": 3, **sizes})
        )
        with torch.no_grad():
            for name, weight in hf.named_parameters():
                if weight.ndim == 2:
                    weight.mul_(20 if "embeddings" in name else 8)
                elif "LayerNorm" in name or name.endswith("bias"):
                    weight.add_(0.3 * torch.randn_like(weight))
    return FlowModel(hf.double(), SimpleNamespace(mask_token_id=MASK, pad_token_id=0), "tiny")


def make_batch(model: FlowModel, lengths: Sequence[int], seed: int = 0, pairwise: bool = True) -> Batch:
    """Random tokens, the target at position 2 (masked) or 0 (label); answers alternate."""
    count, width = len(lengths), max(lengths)
    ids = torch.randint(5, VOCABULARY, (count, width), generator=torch.Generator().manual_seed(seed))
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    target = torch.full((count,), TARGET if model.head == "masked" else 0)
    if model.head == "masked":
        ids[:, TARGET] = MASK
    words = torch.full((count, width, 2), -1)
    for row, length in enumerate(lengths):
        words[row, 1 : length - 1, 0], words[row, 1 : length - 1, 1] = 0, torch.arange(length - 2)
    pair = torch.tensor((8, 11) if model.head == "masked" else (1, 2))
    turn = torch.arange(count)[:, None] % 2  # the answers alternate, so that a constant model is right half of the time
    answer, against = pair[turn], pair[1 - turn]
    names = tuple(f"i{seed}-{n}" for n in range(count))
    return Batch(
        ids * mask, mask, torch.zeros_like(ids), words, answer, against, target, names, tuple(range(count)), pairwise=pairwise
    )


def instances_of(batch: Batch, slots: bool = False) -> tuple[Instance, ...]:
    """Instances with two conditions in turn, and a lexical item."""
    made = []
    for row, name in enumerate(batch.names):
        words = batch.lengths[row] - 2
        made.append(
            Instance(
                name,
                (" ".join(["w"] * words),),
                ("yes",),
                ("no",),
                "AB"[row % 2],
                slots=tuple(f"s{n}" for n in range(words)) if slots else (),
                truth={"VERB": ("hate", "love")[row // 2 % 2]},
            )
        )
    return tuple(made)


def by_hand(
    model: FlowModel, batch: Batch, gold: Sequence[Explanation], guided: Sequence[Explanation] | None = None, slots: bool = False
) -> ExplainedBatch:
    """An explained batch with given explanations."""
    return ExplainedBatch(batch, relabel(model, batch), instances_of(batch, slots), tuple(gold), tuple(guided or gold))


def by_method(model: FlowModel, batch: Batch, name: str, slots: bool = False) -> ExplainedBatch:
    """A batch explained by a method, for the predicted answer only where the prediction is wrong."""
    method, predicted = METHODS.create(name), relabel(model, batch)
    gold, again = method.explain(model, batch), method.explain(model, predicted)
    right = (predicted.answer == batch.answer).all(1).tolist()
    guided = tuple(a if same else b for a, b, same in zip(gold, again, right, strict=True))
    return ExplainedBatch(batch, predicted, instances_of(batch, slots), tuple(gold), guided)


def paths(total, positions, influence=None, heads=None, head_influence=None) -> Patterns:
    """Patterns of single paths: one row of positions (and of heads) a word."""
    positions = np.array(positions).reshape(len(total), -1)
    floats = lambda x: None if x is None else np.array(x, float)  # noqa: E731
    codes = None if heads is None else np.array(heads).reshape(len(total), -1, 1, 1)
    return Patterns(
        positions[:, 0],
        floats(total),
        floats(total if influence is None else influence),
        positions[..., None],
        floats(head_influence),
        codes,
    )


def explained(n: int, patterns: Patterns, **views) -> Explanation:
    """Patterns with the token scores that they imply."""
    tokens = np.zeros(n)
    tokens[patterns.source] = patterns.total
    return Explanation(tokens=tokens, patterns=patterns, **views)


@pytest.fixture(scope="session")
def model() -> FlowModel:
    return tiny()


@pytest.fixture
def batch(model: FlowModel) -> Batch:
    return make_batch(model, [6, 6, 5, 4])


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """The builders of this file."""
    return SimpleNamespace(
        model=tiny,
        batch=make_batch,
        instances=instances_of,
        by_hand=by_hand,
        by_method=by_method,
        paths=paths,
        explained=explained,
        no_edge=NO_EDGE,
    )


@pytest.fixture(scope="session")
def value_of() -> Callable[..., float]:
    """`value_of(scores, variant, instance=None, draw=0)`: one row's value, or the mean over rows."""

    def read(scores, variant, instance=None, draw=None):
        rows = scores.rows[scores.rows["variant"] == variant]
        if instance is not None:
            rows = rows[rows["instance"] == instance]
        if draw is not None:
            rows = rows[rows["draw"] == draw]
        assert len(rows), f"no row {variant} {instance}"
        return rows["value"].mean()

    return read


def instance(name: str, condition: str = "", verb: str = "like", cluster: str = "") -> Instance:
    return Instance(name, ("a",), ("b",), condition=condition, truth={"VERB": verb}, cluster=cluster)


def drawn_from(conditions: Iterable[str], clusters: Sequence[str] = ()) -> list[Instance]:
    return [instance(f"i{n}", str(of), cluster=clusters[n] if clusters else "") for n, of in enumerate(conditions)]


def rows_of(values: dict[str, list[float]], conditions: Sequence[str], clusters: Sequence[str] = ()) -> pd.DataFrame:
    instances = drawn_from(conditions, clusters)
    return frame([score_row(instances[n], v, x) for v, xs in values.items() for n, x in enumerate(xs)])


@pytest.fixture(scope="module")
def skewed() -> SimpleNamespace:
    """30 skewed numbers in two conditions."""
    rng = np.random.default_rng(3)
    return SimpleNamespace(values=rng.exponential(2.0, 30), conditions=["A"] * 10 + ["B"] * 20)


def aggregate(scores, variant):
    found = {a.variant: a for a in scores.aggregates or summarise(scores.rows)}
    return found[variant]
