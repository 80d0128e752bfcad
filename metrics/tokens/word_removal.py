"""What metrics share that take words out of a text, or leave some of them alone, and read the prediction's probability."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...core.errors import NotApplicable
from ...core.settings import Settings
from ...methods.views import token_scores
from ...models.baseline import default_baseline, filling_token
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ...models.memory import rows_at_once
from ...models.outputs import check_classes
from ..base import BatchMetric, ExplainedBatch, ExplainedDraw

ROWS = 512
"""Most inputs that run at once."""
NO_WORD = "the instance has no word that can be removed."
RemovedToken = Literal["delete", "mask"]
"""What becomes of the token of a removed word."""
Left = Bool[np.ndarray, "inputs padded"]
"""Which tokens are left, of each of several inputs."""


class RankedWords(NamedTuple):
    """A draw of an explanation of the predicted answer, and the words of its instance that may be removed."""

    case: ExplainedDraw
    candidates: Bool[np.ndarray, " padded"]

    @property
    def order(self) -> Int[np.ndarray, " words"]:
        """Positions of the words, largest score first; lower positions first on ties."""
        words = np.flatnonzero(self.candidates)
        order: np.ndarray = words[np.argsort(-token_scores(self.case.explanation)[words], kind="stable")]
        return order

    def left(self, counts: Sequence[int] | Int[np.ndarray, " inputs"], keep: bool) -> Left:
        """What is left of the text: of its words, the first `counts[i]` alone (`keep`), or all but these.

        The other tokens stay in any case.
        """
        left = np.repeat(~self.candidates[None] if keep else np.ones_like(self.candidates)[None], len(counts), 0)
        for tokens, count in zip(left, counts, strict=True):
            tokens[self.order[:count]] = keep
        return left


@dataclass(frozen=True)
class WordRemoval(Settings, BatchMetric):
    """Base class of metrics that compare the probability of the predicted answer with that on parts of the text.

    Attributes:
        operator: `delete` takes the removed tokens out, `mask` puts the mask token in their place (on decoders, padding).
        variants: The names of the metric's numbers, which `values` gives.
    """

    operator: RemovedToken = "delete"
    variants: ClassVar[tuple[str, ...]]

    def batch_rows(self, model: FlowModel, explained: ExplainedBatch) -> Iterator[dict[str, Any]]:
        """One score row for each instance, variant and draw."""
        batch = explained.predicted_batch
        candidates = (removable(batch) & model.maskable(batch)).cpu().numpy()
        asked, row, left = [], [], []
        for case in explained.draws("predicted"):
            words = RankedWords(case, candidates[case.row])
            if refusal := self.refusal(words):
                yield from case.score_rows(dict.fromkeys(self.variants, (np.nan, refusal)))
                continue
            asked.append(words)
            left.append(self.inputs(words))
            row += [case.row] * len(left[-1])
        if not asked:
            return
        whole = whole_probability(model, batch)
        rest = np.split(probabilities(model, batch, row, np.concatenate(left), self.operator), np.cumsum([*map(len, left)])[:-1])
        for words, parts in zip(asked, rest, strict=True):
            yield from words.case.score_rows(self.values(model, words, float(whole[words.case.row]), parts))

    def refusal(self, words: RankedWords) -> str:
        """Why an instance has no value; empty where it has one."""
        return "" if words.candidates.any() else NO_WORD

    def inputs(self, words: RankedWords) -> Left:
        """The parts of the text that are asked about."""
        raise NotImplementedError

    def values(
        self, model: FlowModel, words: RankedWords, whole: float, parts: Float[np.ndarray, " inputs"]
    ) -> Mapping[str, tuple[float, str]]:
        """The value of each variant, or NaN and why it is undefined.

        Args:
            model: The explained model.
            words: The draw.
            whole: Probability of the predicted answer on the text.
            parts: The same on each of the inputs.
        """
        raise NotImplementedError


def removable(batch: Batch) -> Bool[Tensor, "batch tokens"]:
    """Which tokens may be removed: those of words, except where q is read (the target, or the ends of the spans compared)."""
    return ((batch.word_ids[..., 0] >= 0) & batch.attention_mask).scatter(1, batch.required_positions, False)


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


def whole_probability(model: FlowModel, batch: Batch) -> Float[np.ndarray, " batch"]:
    """`clean_probability` of the texts as they are; metrics share it through the batch's cache."""
    cached = batch.cache.get("probability of the answer")
    if cached is None or cached[0] is not model:
        cached = batch.cache["probability of the answer"] = (model, clean_probability(model, batch))
    whole: np.ndarray = cached[1]
    return whole


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
