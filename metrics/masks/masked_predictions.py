"""Whether the model does the same on what a mask keeps, and how much the mask drops.

Variants, d the depth (0: word vectors; d: hidden[d - 1]), each depth masked alone:

    hard         mean over depths with the states kept whose P(keep) is above 1/2
    expected     the same with every gate at its mean
    hard/<d>, expected/<d>   one depth
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from ...core.errors import NotApplicable
from ...core.settings import Settings
from ...methods.views import masks_words
from ...models.flow.flow_model import FlowModel
from ...models.interventions.ablation import MaskReplacement
from ..base import BatchMetric, ExplainedBatch, Scores, frame, score_row
from ..reduced_models.masks import FORMS, Form, masked_runs, masks
from ..registry import metric
from ..summary import summarise_sums

ONLY_WORDS = "the mask acts on the words at every depth."
NEEDS = 64
"""Instances from which on the interval covers the macro-F1 of many instances (a test holds this)."""
SOURCE = "De Cao et al. 2020, section 4"


@metric(
    "masked_divergence", reads="mask", ranked="hard", higher_is_better=False, unit="nats", bounds=(0.0, None), source=SOURCE,
    misleads="A mask that keeps everything scores 0: read `share_masked` beside it. A mean of .1 nats allows other predictions "
    "wherever the model is unsure.",
)  # fmt: skip
@dataclass(frozen=True)
class MaskedDivergence(Settings, BatchMetric):
    """How far the output moves when what a mask drops is replaced: KL(clean || masked), depth by depth.

    The mask is that of the predicted answer. Summed over output heads; in nats, from 0; lower is better, at the same share masked
    (`share_masked`). Source: the constraint of De Cao et al. 2020, section 2.3.

    Attributes:
        operator: What replaces a dropped state: the method's `own` vector, `zero`, or `mask`: the state at that position
            and depth in a sentence of mask tokens.
    """

    operator: MaskReplacement = "own"

    def batch_rows(self, model: FlowModel, explained: ExplainedBatch) -> Iterator[dict[str, Any]]:
        """One score row for each instance, variant and draw."""
        for draw, run in enumerate(masked_runs(model, explained, self.operator)):
            yield from _by_depth(explained, run.divergence, draw)


@metric(
    "masked_accuracy", reads="mask", ranked="agreement", higher_is_better=True, unit="share of instances", bounds=(0.0, 1.0),
    source=SOURCE,
    misleads="A mask that keeps everything agrees always: read `share_masked` beside it. A model that predicts the right class "
    "for no words at all agrees with an empty mask too.",
)  # fmt: skip
@dataclass(frozen=True)
class MaskedAccuracy(Settings, BatchMetric):
    """How often the prediction stays, and is right, with only what a mask keeps.

    `agreement` with the whole model and `accuracy`, means over depths of states kept whose P(keep) is above 1/2; `agreement/<d>`
    and `accuracy/<d>` of one depth; `clean` is the accuracy of the whole model. The mask is that of the predicted answer. In
    [0, 1]; higher is better, at the same share masked.

    Attributes:
        operator: What replaces a dropped state, as for `masked_divergence`.
    """

    operator: MaskReplacement = "own"

    def batch_rows(self, model: FlowModel, explained: ExplainedBatch) -> Iterator[dict[str, Any]]:
        """One score row for each instance, variant and draw."""
        gold = explained.batch.answer.cpu().numpy()
        for draw, run in enumerate(masked_runs(model, explained, self.operator)):
            for name, answer in (("agreement", run.clean), ("accuracy", gold)):
                yield from _depths(explained, name, (run.predicted[0] == answer).all(-1).astype(float), draw)
            yield from _each(explained, "clean", (run.clean == gold).all(-1).astype(float), draw)


@metric(
    "masked_f1", reads="mask", scope="set", ranked="f1", higher_is_better=True, unit="macro-F1", bounds=(0.0, 1.0),
    source="De Cao et al. 2020, section 4.1",
    misleads="A mask that keeps everything has the F1 of the whole model: read `share_masked` beside it. Each class counts as "
    "much, so that a few instances of a rare class move it.",
)  # fmt: skip
@dataclass(frozen=True)
class MaskedF1(Settings):
    """Macro-F1 of the model on what a mask keeps.

    Over all instances: mean over the classes that are gold or predicted, states kept whose P(keep) is above 1/2. `f1/<d>` of
    one depth, `f1` their mean, `clean` of the whole model. The paper's code averages over batches of 64, each with the
    classes it happens to hold. In [0, 1]; higher is better, at the same share masked.

    Attributes:
        operator: What replaces a dropped state, as for `masked_divergence`.
    """

    operator: MaskReplacement = "own"

    def score(self, model: FlowModel, explained: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """Aggregates over all instances, of the first draw.

        Raises:
            NotApplicable: The model has several output heads.
        """
        runs = [masked_runs(model, batch, self.operator)[0] for batch in explained]
        gold = np.concatenate([batch.batch.answer.cpu().numpy() for batch in explained])
        if gold.shape[1] != 1:
            raise NotApplicable("macro-F1 is a mean over classes, and the model has several output heads.")
        predicted = np.concatenate([np.concatenate([run.predicted[0], run.clean[None]]) for run in runs], 1)[..., 0]
        variants = [*(f"f1/{depth}" for depth in range(len(predicted) - 1)), "clean", "f1"]
        instances = [instance for batch in explained for instance in batch.instances]
        features = counts(predicted, gold[:, 0])
        *rest, mean = summarise_sums(variants, features, instances, _Means(len(predicted)), (0.0, 1.0), needs=NEEDS)
        return Scores(frame([]), (mean, *rest))


@metric(
    "share_masked", reads="mask", ranked="hard", higher_is_better=None, unit="share of states", bounds=(0.0, 1.0), source=SOURCE,
    misleads="It says how much is dropped, and not whether that was right: a mask that drops everything has 1. Read it beside "
    "`masked_divergence`.",
)  # fmt: skip
@dataclass(frozen=True)
class ShareMasked(BatchMetric):
    """How much a mask drops, of words and of hidden states.

    `hard` is the share of positions that may be masked whose P(keep) is at most 1/2, mean over depths; `expected` is the mean of
    1 - P(keep) instead. `words/*` is depth 0, and `hidden/*` the mean of the depths above; of masks that act on the words at
    every depth, `words/*` is the last depth, and `hidden/*` is undefined. The mask is that of the predicted answer. In [0, 1];
    neither end is better by itself: read it beside `masked_divergence`.
    """

    def batch_rows(self, model: FlowModel, explained: ExplainedBatch) -> Iterator[dict[str, Any]]:
        """One score row for each instance, variant and draw."""
        free = (explained.batch.attention_mask & model.maskable(explained.batch)).cpu().numpy()
        for draw, explanations in enumerate(zip(*(each.each() for each in explained.predicted), strict=True)):
            kept = np.stack([masks(model, explained.batch, explanations, form) for form in FORMS])
            shares = ((1 - kept) * free).sum(-1) / free.sum(-1)
            yield from _by_depth(explained, shares, draw)
            of_words = np.array([masks_words(explanation) for explanation in explanations])
            for form, share in zip(FORMS, shares, strict=True):
                yield from _by_kind(explained, form, share, of_words, draw)


def _by_kind(
    explained: ExplainedBatch, form: Form, share: Float[np.ndarray, "depths rows"], of_words: Bool[np.ndarray, " rows"], draw: int
) -> Iterator[dict[str, Any]]:
    """The shares masked of words and of hidden states."""
    yield from _each(explained, f"words/{form}", np.where(of_words, share[-1], share[0]), draw)
    hidden = np.where(of_words, np.nan, share[1:].mean(0))
    for instance, value in zip(explained.instances, hidden, strict=True):
        yield score_row(instance, f"hidden/{form}", float(value), draw, ONLY_WORDS if np.isnan(value) else "")


def counts(predicted: np.ndarray, gold: np.ndarray) -> Float[np.ndarray, "rows features"]:
    """True positives, predicted members and gold members of every class, one row an instance, flat over predictor and class.

    Args:
        predicted: The class that each predictor gives each instance.
        gold: The gold class of each instance.

    >>> counts(np.array([[0, 1]]), np.array([0, 0])).tolist()  # of class 0, then of class 1
    [[1.0, 1.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0, 1.0, 0.0]]
    """
    classes = np.unique(np.concatenate([predicted.ravel(), gold]))
    members, true = predicted[..., None] == classes, gold[:, None] == classes
    true = np.broadcast_to(true, (*predicted.shape, len(classes)))
    features = np.stack([members & true, members, true], -1).astype(float)
    rows: np.ndarray = np.moveaxis(features, 1, 0).reshape(len(gold), -1)
    return rows


@dataclass(frozen=True)
class _Means:
    """Macro-F1 of each predictor, from sums, then the mean over all but the last predictor, which is the whole model."""

    predictors: int

    def __call__(self, sums: Float[np.ndarray, "*some features"]) -> Float[np.ndarray, "*some statistics"]:
        each = macro_f1(sums.reshape(*sums.shape[:-1], self.predictors, -1, 3))
        return np.concatenate([each, each[..., :-1].mean(-1, keepdims=True)], -1)


def macro_f1(sums: Float[np.ndarray, "*some classes 3"]) -> Float[np.ndarray, "*some"]:
    """Mean of 2 tp / (predicted + gold) over the classes with a predicted or gold member.

    >>> float(macro_f1(np.array([[1.0, 2.0, 1.0], [1.0, 1.0, 2.0], [0.0, 0.0, 0.0]])).round(3))
    0.667
    """
    right, members = sums[..., 0], sums[..., 1] + sums[..., 2]
    f1 = np.divide(2 * right, members, out=np.zeros_like(right), where=members > 0)
    return np.asarray(f1.sum(-1) / np.maximum((members > 0).sum(-1), 1))


def _by_depth(explained: ExplainedBatch, values: Float[np.ndarray, "forms depths rows"], draw: int) -> Iterator[dict[str, Any]]:
    for form, value in zip(FORMS, values, strict=True):
        yield from _depths(explained, form, value, draw)


def _depths(
    explained: ExplainedBatch, name: str, values: Float[np.ndarray, "depths rows"], draw: int
) -> Iterator[dict[str, Any]]:
    """Score rows of the mean over depths, and of each depth."""
    yield from _each(explained, name, values.mean(0), draw)
    for depth, value in enumerate(values):
        yield from _each(explained, f"{name}/{depth}", value, draw)


def _each(explained: ExplainedBatch, variant: str, values: Float[np.ndarray, " rows"], draw: int) -> Iterator[dict[str, Any]]:
    for instance, value in zip(explained.instances, values, strict=True):
        yield score_row(instance, variant, float(value), draw)
