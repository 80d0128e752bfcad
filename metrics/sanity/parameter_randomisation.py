"""Whether an explanation changes when the model's weights are re-drawn, from the head down.

Variants:

    absolute             correlation of the sizes of word scores, the mean over the stages (the ranked one)
    signed               the same of the scores themselves
    <these>/last         of the last stage alone, where every weight is re-drawn
    absolute/<stage>     of one stage: `head`, `layer/L` to `layer/1`, `embeddings`; each holds all that are re-drawn so far
    nodes/<all these>    the same of scores of states, of a method that scores no words
    heads/<all these>    the same of scores of heads, of a method that scores no words
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import spearmanr

from ...core.errors import NotApplicable
from ...core.settings import Settings
from ...methods.explanation import Explanation
from ...methods.views import describe_views, head_scores, node_scores
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ...models.interventions.random_weights import cascade
from ...tasks.instance import Instance
from ..base import ExplainedBatch, Scores, frame, score_row
from ..registry import metric
from ..tokens.word_removal import removable

DECIMALS = 5
"""Scores that differ by less, as a share of an explanation's largest one, are ties: rounding has no rank."""
METHOD_MISSING = "it explains with other weights, which needs the method itself: score it with `flowgauge run`."
FEW = "there are fewer than two scores to rank."
NO_RANKS = "scores {} are all the same, so that they rank nothing."
NO_WORDS = "the method scores no words: see {}absolute."

Views = dict[str, Float[np.ndarray, " scores"]]
"""What is compared, as one row each, by the beginning of its variants' names."""


@metric(
    "parameter_randomisation", reads="tokens", ranked="absolute", higher_is_better=False, unit="Spearman's correlation",
    bounds=(-1.0, 1.0), needs={"transformer"}, source="Adebayo et al. 2018; Hedström et al. 2024",
    misleads="A model with random weights still reads the same words, and an explanation may rightly follow the input, such as "
    "the size of word vectors: a low value is necessary, and proves nothing. Noise in the scores lowers it, too. "
    "All instances meet one draw of the weights, whose chance is outside the interval: try several seeds.",
)  # fmt: skip
@dataclass(frozen=True)
class ParameterRandomisation(Settings):
    """How far an explanation stays the same when the weights of the model are re-drawn.

    Spearman's correlation of the word scores of the model and of a copy whose weights are re-drawn, first of the head, then also
    of layer L, L-1, ..., 1, last of the embeddings; each tensor from a normal distribution with its own mean and standard
    deviation. All methods meet the same weights. Compared are the words that may be removed (neither special nor where q is
    read), for the gold answer. In [-1, 1]; lower is better: 1 is an explanation that does not depend on the model, which is what
    random scores have, since they are drawn from the same seed again. Undefined where an explanation gives all words the same
    score. Sources: Adebayo et al. 2018; Hedström et al. 2024.

    Attributes:
        seed: Of the new weights.
    """

    seed: int = 0

    def score(self, model: FlowModel, explained: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """Score rows of each instance, variant and draw.

        Raises:
            NotApplicable: The method cannot be run here, or on another model, or its scores cannot be compared.
        """
        batches = [_ComparedBatch.of(batch) for batch in explained]
        for stage, randomised in cascade(model, batches[0].batch, self.seed):
            for batch in batches:
                batch.add(stage, randomised)
        return Scores(frame([row for batch in batches for case in batch.cases for row in case.rows()]))


@dataclass(eq=False)
class _Case:
    """One draw of an instance's explanation: the scores by the model itself, and by stage those with re-drawn weights."""

    instance: Instance
    draw: int
    clean: Views
    randomised: dict[str, Views] = field(default_factory=dict)

    def rows(self) -> Iterator[dict[str, Any]]:
        """One score row for each variant: over the stages, of the last stage, and of each stage, of every view that is compared.

        Where the method scores no words, the first row is an undefined `absolute` that says where its scores are compared. The
        mean over the stages is undefined where one of them is, with that stage's reason.
        """
        if "" not in self.clean:
            yield self._row("absolute", np.nan, NO_WORDS.format(next(iter(self.clean))))
        for view, clean in self.clean.items():
            stages = {stage: views[view] for stage, views in self.randomised.items()}
            for name, form in (("absolute", np.abs), ("signed", np.positive)):
                values = {stage: rank_correlation(form(clean), form(scores)) for stage, scores in stages.items()}
                undefined = next((reason for _, reason in values.values() if reason), "")
                mean = np.nan if undefined else float(np.mean([value for value, _ in values.values()]))
                yield self._row(f"{view}{name}", mean, undefined)
                yield self._row(f"{view}{name}/last", *list(values.values())[-1])
                if name == "absolute":
                    for stage, (value, reason) in values.items():
                        yield self._row(f"{view}{name}/{stage}", value, reason)

    def _row(self, variant: str, value: float, reason: str) -> dict[str, Any]:
        return score_row(self.instance, variant, value, self.draw, reason)


@dataclass(frozen=True, eq=False)
class _ComparedBatch:
    """What is needed to explain a batch again, and its cases; not its explanations, since stored ones can be large."""

    batch: Batch
    explain: Callable[..., list[Explanation]]
    words: Bool[np.ndarray, "batch tokens"]
    cases: tuple[_Case, ...]

    @classmethod
    def of(cls, explained: ExplainedBatch) -> _ComparedBatch:
        """The cases of an explained batch.

        Raises:
            NotApplicable: The method cannot be run here, or its scores cannot be compared.
        """
        if explained.explain is None:
            raise NotApplicable(METHOD_MISSING)
        words = removable(explained.batch).cpu().numpy()
        cases = tuple(_Case(case.instance, case.draw, compared(case.explanation, words[case.row])) for case in explained.draws())
        return cls(explained.batch, explained.explain, words, cases)

    def add(self, stage: str, model: FlowModel) -> None:
        """Explains the batch on a model with other weights."""
        explanations = self.explain(replace(self.batch, cache={}), model)
        again = [compared(draw, self.words[row]) for row, each in enumerate(explanations) for draw in each.each()]
        for case, views in zip(self.cases, again, strict=True):
            case.randomised[stage] = views


def compared(explanation: Explanation, words: Bool[np.ndarray, " padded"]) -> Views:
    """The scores of an explanation that are compared: of words, else of states and of heads, whichever it has.

    Args:
        explanation: One draw.
        words: Which tokens are compared, if words are.

    Raises:
        NotApplicable: It has none of them.

    >>> compared(Explanation(tokens=np.array([0.5, -1.0, 2.0])), np.array([False, True, True, False]))
    {'': array([-1.,  2.])}
    """
    if explanation.tokens is not None:
        return {"": explanation.tokens[words[: len(explanation.tokens)]]}
    views, nodes = Views(), node_scores(explanation)
    if nodes is not None:
        views["nodes/"] = nodes.ravel()
    with suppress(NotApplicable):
        views["heads/"] = head_scores(explanation).ravel()
    if not views:
        raise NotApplicable(f"the method gives {describe_views(explanation)}, and no scores of words, states or heads.")
    return views


def rank_correlation(clean: Float[np.ndarray, " scores"], randomised: Float[np.ndarray, " scores"]) -> tuple[float, str]:
    """Spearman's correlation of two rows of scores, or NaN and why it is undefined.

    >>> rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([1.0, 30.0, 20.0]))
    (0.5, '')
    """
    if len(clean) < 2:
        return np.nan, FEW
    sides = [np.round(scores / (np.abs(scores).max() or 1), DECIMALS) for scores in (clean, randomised)]
    for side, model in zip(sides, ("of the model itself", "with weights re-drawn"), strict=True):
        if len(np.unique(side)) < 2:
            return np.nan, NO_RANKS.format(model)
    return round(float(spearmanr(*sides).statistic), 12), ""
