"""What the prediction loses when the words an explanation ranks first are removed, or are all that is left.

Variants: `top/<k>` for k percent of the words, and `aopc`, their mean (the ranked one).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...core.errors import NotApplicable, UsageError
from ...methods.views import token_scores
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ..base import ExplainedBatch, Scores, frame, score_row
from ..registry import metric

SHARES = (1, 5, 10, 20, 50)
"""Percent of the words (DeYoung et al. 2020, section 5)."""
ROWS = 512
Operator = Literal["delete", "mask"]


@metric(
    "comprehensiveness", reads="tokens", ranked="aopc", higher_is_better=True, unit="probability", bounds=(-1.0, 1.0),
    source="DeYoung et al. 2020, section 5",
)  # fmt: skip
@dataclass(frozen=True)
class Comprehensiveness:
    """How much the predicted output's probability falls when the top words are removed.

    p(x) - p(x without the top k %), for k = 1, 5, 10, 20, 50 and their mean; the source also counts k = 0 in the mean, which is
    5/6 of ours for every method. The ranking is that of the predicted answer, largest
    score first, lower positions first on ties; ceil(k n) of the n words that are neither special nor the target. In [-1, 1];
    higher is better. Source: DeYoung et al. 2020, section 5.

    Attributes:
        operator: `delete` takes tokens out, `mask` puts the mask token in their place.
    """

    operator: Operator = "delete"

    def __post_init__(self) -> None:
        _check(self.operator)

    def score(self, model: FlowModel, shown: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """One row an (instance, variant, draw)."""
        return Scores(frame([row for batch in shown for row in _rows(model, batch, self.operator, keep=False)]))


@metric(
    "sufficiency", reads="tokens", ranked="aopc", higher_is_better=False, unit="probability", bounds=(-1.0, 1.0),
    source="DeYoung et al. 2020, section 5",
)  # fmt: skip
@dataclass(frozen=True)
class Sufficiency:
    """How much the predicted output's probability falls when only the top words are left.

    p(x) - p(the top k % alone), as `comprehensiveness` counts and ranks them. In [-1, 1]; lower is better. Source: DeYoung et al.
    2020, section 5.

    Attributes:
        operator: `delete` takes the other tokens out, `mask` puts the mask token in their place.
    """

    operator: Operator = "delete"

    def __post_init__(self) -> None:
        _check(self.operator)

    def score(self, model: FlowModel, shown: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """One row an (instance, variant, draw)."""
        return Scores(frame([row for batch in shown for row in _rows(model, batch, self.operator, keep=True)]))


def _check(operator: str) -> None:
    if operator not in ("delete", "mask"):
        raise UsageError(f"operator must be delete or mask, got {operator!r}.")


def _rows(model: FlowModel, shown: ExplainedBatch, operator: Operator, keep: bool) -> Iterator[dict[str, Any]]:
    batch = shown.predicted_batch
    candidates = (removable(batch) & model.maskable(batch)).cpu().numpy()
    row, left, owner = [], [], []
    for number, explanation in enumerate(shown.predicted):
        for draw, one in enumerate(explanation.each()):
            if not candidates[number].any():
                reason = "it has no word that can be removed."
                yield from (score_row(shown.instances[number], name, np.nan, draw, reason) for name in VARIANTS)
                continue
            owner.append((number, draw))
            row += [number] * len(SHARES)
            left += list(kept_words(token_scores(one), candidates[number], keep))
    if not owner:
        return
    drops = clean_probability(model, batch)[row] - probabilities(model, batch, row, np.array(left), operator)
    for (number, draw), drop in zip(owner, drops.reshape(-1, len(SHARES)), strict=True):
        for name, value in zip(VARIANTS, (*drop, drop.mean()), strict=True):
            yield score_row(shown.instances[number], name, float(value), draw)


VARIANTS = (*(f"top/{share}" for share in SHARES), "aopc")


def removable(batch: Batch) -> Bool[Tensor, "batch tokens"]:
    """The tokens of words, but those where q is read: the target, or a span's ends and what stands against them."""
    return ((batch.word_ids[..., 0] >= 0) & batch.attention_mask).scatter(1, batch.required_positions, False)


def kept_words(
    scores: Float[np.ndarray, " tokens"], candidates: Bool[np.ndarray, " padded"], keep: bool
) -> Bool[np.ndarray, "shares padded"]:
    """Which tokens are left at each share: all but the top candidates, or of the candidates only these.

    >>> kept_words(np.array([0.0, 2.0, 1.0]), np.array([False, True, True]), keep=True)[-1].tolist()
    [True, True, False]
    """
    words = np.flatnonzero(candidates)
    order = words[np.argsort(-scores[words], kind="stable")]
    left = np.repeat(~candidates[None] if keep else np.ones_like(candidates)[None], len(SHARES), 0)
    for number, share in enumerate(SHARES):
        left[number, order[: -(-share * len(words) // 100)]] = keep
    return left


@torch.no_grad()
def probabilities(
    model: FlowModel, batch: Batch, row: Sequence[int], left: Bool[np.ndarray, "rows padded"], operator: Operator
) -> Float[np.ndarray, " rows"]:
    """Probability of `batch.answer` for instance `row[r]` with only the tokens `left[r]`; equal questions are asked once."""
    asked, back = np.unique(np.column_stack([row, left]), axis=0, return_inverse=True)
    found = []
    for start in range(0, len(asked), ROWS):
        some = torch.from_numpy(asked[start : start + ROWS]).to(batch.ids.device)
        part = batch.rows(some[:, 0])
        stay = some[:, 1:].bool() | ~part.attention_mask
        found.append(clean_probability(model, part.only(stay) if operator == "delete" else masked(model, part, stay)))
    return np.concatenate(found)[back]


def masked(model: FlowModel, batch: Batch, stay: Bool[Tensor, "batch tokens"]) -> Batch:
    """The batch with the mask token (else the unknown one, else padding) in place of the tokens that do not stay.

    Raises:
        NotApplicable: The tokenizer has none of them.
    """
    named = (getattr(model.tokenizer, f"{kind}_token_id", None) for kind in ("mask", "unk", "pad"))
    token = next((number for number in named if number is not None), None)
    if token is None:
        raise NotApplicable(f"the tokenizer of {model.name!r} has no mask, unknown or padding token; use operator=delete.")
    return replace(batch, ids=torch.where(stay, batch.ids, token), cache={})


@torch.no_grad()
def clean_probability(model: FlowModel, batch: Batch) -> Float[np.ndarray, " batch"]:
    """Probability of `batch.answer`: against the other answer where only the two compete, among all outputs otherwise."""
    total = np.ones(len(batch))
    for head, logits in enumerate(model.outputs(batch)):
        answer = batch.answer[:, head, None]
        if batch.pairwise:
            logits, answer = logits.gather(1, torch.cat([answer, batch.against[:, head, None]], 1)), torch.zeros_like(answer)
        total = total * logits.double().softmax(1).gather(1, answer)[:, 0].cpu().numpy()
    return total
