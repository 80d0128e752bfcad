"""How far the prediction's probability falls without the words that an explanation ranks first, or with these alone.

Variants: `top/<k>` for k percent of the words, and `aopc`, their mean (the ranked one).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...core.errors import NotApplicable
from ...core.settings import Settings
from ...methods.views import token_scores
from ...models.baseline import default_baseline, filling_token
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ...models.memory import rows_at_once
from ...models.outputs import check_classes
from ..base import BatchMetric, ExplainedBatch
from ..registry import metric

SHARES = (1, 5, 10, 20, 50)
"""Percent of the words (DeYoung et al. 2020, section 5)."""
ROWS = 512
"""Most inputs that run at once."""
VARIANTS = (*(f"top/{share}" for share in SHARES), "aopc")
NO_WORD = "the instance has no word that can be removed."
RemovedToken = Literal["delete", "mask"]
"""What becomes of the token of a removed word."""


@dataclass(frozen=True)
class _WordRemoval(Settings, BatchMetric):
    """The setting and the computation that both metrics share.

    Attributes:
        operator: `delete` takes the removed tokens out, `mask` puts the mask token in their place (on decoders, padding).
        keep: Whether the top words are what is left, or what is removed.
    """

    operator: RemovedToken = "delete"
    keep: ClassVar[bool]

    def batch_rows(self, model: FlowModel, explained: ExplainedBatch) -> Iterator[dict[str, Any]]:
        """One score row for each instance, variant and draw."""
        batch = explained.predicted_batch
        candidates = (removable(batch) & model.maskable(batch)).cpu().numpy()
        row, left, cases = [], [], []
        for case in explained.draws("predicted"):
            if not candidates[case.row].any():
                yield from case.score_rows(dict.fromkeys(VARIANTS, (np.nan, NO_WORD)))
                continue
            cases.append(case)
            row += [case.row] * len(SHARES)
            left += list(kept_words(token_scores(case.explanation), candidates[case.row], self.keep))
        if not cases:
            return
        falls = clean_probability(model, batch)[row] - probabilities(model, batch, row, np.array(left), self.operator)
        for case, fall in zip(cases, falls.reshape(-1, len(SHARES)), strict=True):
            values = zip(VARIANTS, (*fall, fall.mean()), strict=True)
            yield from case.score_rows({name: (float(value), "") for name, value in values})


@metric(
    "comprehensiveness", reads="tokens", ranked="aopc", higher_is_better=True, unit="probability", bounds=(-1.0, 1.0),
    source="DeYoung et al. 2020, section 5",
    misleads="A text without its top words is unlike those that the model was trained on, and the decrease depends on what "
    "takes their place (Hooker et al. 2019). Its range differs from model to model, so that only methods on one model "
    "can be compared (Edin et al. 2025).",
)  # fmt: skip
@dataclass(frozen=True)
class Comprehensiveness(_WordRemoval):
    """How much the predicted output's probability falls when the top words are removed.

    p(x) - p(x without the top k %), for k = 1, 5, 10, 20, 50 and their mean; the source also counts k = 0 in the mean, which
    makes it 5/6 of this one for every method. The ranking is that of the predicted answer, largest score first, lower positions
    first on ties; the top k % are ceil(k n / 100) of the n words that are neither special nor the target. In [-1, 1]; higher is
    better. Source: DeYoung et al. 2020, section 5.
    """

    keep: ClassVar[bool] = False


@metric(
    "sufficiency", reads="tokens", ranked="aopc", higher_is_better=False, unit="probability", bounds=(-1.0, 1.0),
    source="DeYoung et al. 2020, section 5",
    misleads="A few words alone are unlike any text that the model was trained on. A model that gives the same output for no "
    "words at all makes every method sufficient: compare with `random`.",
)  # fmt: skip
@dataclass(frozen=True)
class Sufficiency(_WordRemoval):
    """How much the predicted output's probability falls when only the top words are left.

    p(x) - p(the top k % alone), as `comprehensiveness` counts and ranks them. In [-1, 1]; lower is better. Source: DeYoung et al.
    2020, section 5.
    """

    keep: ClassVar[bool] = True


def removable(batch: Batch) -> Bool[Tensor, "batch tokens"]:
    """Which tokens may be removed: those of words, except where q is read (the target, or the ends of the spans compared)."""
    return ((batch.word_ids[..., 0] >= 0) & batch.attention_mask).scatter(1, batch.required_positions, False)


def kept_words(
    scores: Float[np.ndarray, " tokens"], candidates: Bool[np.ndarray, " padded"], keep: bool
) -> Bool[np.ndarray, "shares padded"]:
    """Which tokens are left at each share: all but the top candidates, or of the candidates only the top ones.

    Args:
        scores: The score of each token.
        candidates: The tokens that may be removed.
        keep: Whether the top candidates are what is left.

    >>> kept_words(np.array([0.0, 2.0, 1.0]), np.array([False, True, True]), keep=True)[-1].tolist()
    [True, True, False]
    """
    words = np.flatnonzero(candidates)
    order = words[np.argsort(-scores[words], kind="stable")]
    left = np.repeat(~candidates[None] if keep else np.ones_like(candidates)[None], len(SHARES), 0)
    for index, share in enumerate(SHARES):
        left[index, order[: -(-share * len(words) // 100)]] = keep
    return left


@torch.no_grad()
def probabilities(
    model: FlowModel, batch: Batch, row: Sequence[int], left: Bool[np.ndarray, "rows padded"], operator: RemovedToken
) -> Float[np.ndarray, " rows"]:
    """Probability of `batch.answer` for instance `row[r]` with only the tokens `left[r]`; equal inputs run once.

    Args:
        model: The model.
        batch: The instances.
        row: The instance of each input.
        left: The tokens left of each input.
        operator: What becomes of the other tokens.
    """
    inputs, back = np.unique(np.column_stack([row, left]), axis=0, return_inverse=True)
    parts = []
    at_once = rows_at_once(model, batch.ids.shape[1], ROWS)
    for start in range(0, len(inputs), at_once):
        chunk = torch.from_numpy(inputs[start : start + at_once]).to(batch.ids.device)
        part = batch.rows(chunk[:, 0])
        stay = chunk[:, 1:].bool() | ~part.attention_mask
        parts.append(clean_probability(model, part.only(stay) if operator == "delete" else masked(model, part, stay)))
    return np.concatenate(parts)[back]


def masked(model: FlowModel, batch: Batch, stay: Bool[Tensor, "batch tokens"]) -> Batch:
    """The batch with another token in place of those that do not stay: of encoders [MASK], else the unknown token, else padding.

    Decoders have padding, or the end of text where their tokenizer has none.

    Raises:
        NotApplicable: The tokenizer has none of them.
    """
    kinds = ("pad",) if default_baseline(model) == "pad" else ("mask", "unk", "pad")
    tokens = (filling_token(model, kind) for kind in kinds)
    token = next((token for token in tokens if token is not None), None)
    if token is None:
        raise NotApplicable(f"the tokenizer of {model.name!r} has no mask, unknown or padding token; use operator=delete.")
    return replace(batch, ids=torch.where(stay, batch.ids, token), cache={})


@torch.no_grad()
def clean_probability(model: FlowModel, batch: Batch) -> Float[np.ndarray, " batch"]:
    """Probability of `batch.answer`: against the other answer where only the two compete, among all outputs otherwise.

    Raises:
        NotApplicable: The output is a score.
    """
    total, outputs = np.ones(len(batch)), model.outputs(batch)
    check_classes(outputs)
    for head, logits in enumerate(outputs):
        answer = batch.answer[:, head, None]
        if batch.pairwise:
            logits, answer = logits.gather(1, torch.cat([answer, batch.against[:, head, None]], 1)), torch.zeros_like(answer)
        total = total * logits.double().softmax(1).gather(1, answer)[:, 0].cpu().numpy()
    return total
