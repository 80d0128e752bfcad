"""How much accuracy a model loses to triggers that are mined from an explanation's strongest edges.

Variants (shares of instances unless said otherwise; <c> is the gold answer):

    drop                       accuracy lost, mean over the triggers chosen for the instance's class (the ranked variant)
    control/drop               the same for triggers of positions drawn at random, searched and chosen in the same way
    class/<c>/original         accuracy without a trigger
    class/<c>/drop             `drop` of the class
    class/<c>/trigger/<n>      accuracy lost by the n-th trigger of the class; the two halves have their own
    found/<c>/<half><n> {...}  the same, with the trigger's wordpieces
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from jaxtyping import Bool, Int
from pydantic import Field, PositiveInt

from ...core.settings import Settings
from ...methods.explanation import Explanation
from ...models.flow.flow_model import FlowModel
from ..base import ExplainedBatch, Scores, frame, score_row
from ..heads.head_importance import halves
from ..registry import metric
from .trigger_attack import Attack
from .trigger_mining import Trigger, TriggerScore, TriggerSentence, WordPiece, read_trigger, strongest_edges

Search = Callable[[Explanation, TriggerSentence], list[tuple[int, int, float]]]
"""From an explanation and its sentence to the two edges (i, p, score) that a trigger is read from."""
MinedTriggers = dict[str, list[Trigger]]
"""The triggers of each instance, by its id."""
LARGE = 1e9
"""More than any `least`: a random trigger is not discarded for its score."""
NONE = "no trigger was found in the other half of the instances."


@metric(
    "trigger_drop",
    reads="edges",
    pools=True,
    ranked="drop",
    higher_is_better=True,
    unit="share of instances",
    bounds=(-1.0, 1.0),
    source="Hao et al. 2021, section 5.3",
    misleads="Inserted words make sentences odd, which costs accuracy by itself: compare with the triggers of `random`. On "
    "small classes the best of few triggers is partly luck.",
)
@dataclass(frozen=True)
class TriggerDrop(Settings):
    """How much accuracy a model loses to triggers that are mined from an explanation's strongest edges.

    Of an instance, explained for its predicted answer, the head map with the largest score gives its two largest entries; the
    wordpieces that they connect, at most four, are a trigger. It attacks every sentence of a class: its pieces are inserted in
    the same segment at the same relative places. The triggers that cost a class most accuracy are kept for it. Source: Hao et al.
    2021, section 5.3, tables 1 and 2. In [-1, 1]; higher is better: the explanation points at the words that mislead the model.

    Triggers are found and chosen on one half of the instances and scored on the other half, and the same the other way round,
    each class split evenly; the paper mines the training set, and chooses on the set it reports. Where its released code departs
    from its text, the defaults are the code's, which its tables report: a trigger scores the sum of its two entries (text: the
    largest), the second entry counts only from a fifth of the first on (text: both). Words of obvious sentiment are barred for
    every task (text: for sentiment; code: never). A trigger loses its special tokens, which the code does before inserting it.

    Attributes:
        score_by: What a trigger scores: the `sum` or the `max` of its entries.
        least: Triggers with less are discarded (units of the explanation; published for probabilities).
        ratio: Share of the first entry that the second must reach; 0: both always.
        lexicon: Whether words of obvious sentiment (`sentiment.toml`) are barred.
        shortest: Sentences with fewer tokens are not mined (the code's choice for SST-2: 15).
        candidates: How many triggers, those with the highest score, are tried in each half.
        best: How many are kept for a class.
        longest: Most tokens of an attacked sentence.
        seed: Of the halves and of the control's random positions.

    Raises:
        UsageError: The score is unknown, there is no candidate or no trigger to keep, the ratio lies outside [0, 1], or
            sentences are too short to hold a word.
    """

    score_by: TriggerScore = "sum"
    least: float = 0.02
    ratio: Annotated[float, Field(ge=0, le=1)] = 0.2
    lexicon: bool = True
    shortest: int = 0
    candidates: PositiveInt = 10
    best: PositiveInt = 3
    longest: Annotated[int, Field(ge=3)] = 128
    seed: int = 0

    def score(self, model: FlowModel, explained: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """One score row for each instance and variant."""
        searches: dict[str, Search] = {
            "": lambda explanation, sentence: strongest_edges(explanation),
            "control/": lambda explanation, sentence: _random_edges(len(sentence.ids), f"{self.seed}/{sentence.name}"),
        }
        mined: dict[str, MinedTriggers] = {name: {} for name in searches}
        sentences = []
        for batch in explained:
            for name, search in searches.items():
                mined[name] |= self._mine(model, batch, search)
            sentences.append((batch.batch, batch.instances))
        attack = Attack(model, sentences, self.longest)
        half = halves([instance.id for instance in attack.instances], attack.classes, self.seed)
        chosen = {name: [self._choose(attack, half != scored, mined[name]) for scored in (0, 1)] for name in searches}
        return Scores(frame(list(_rows(attack, half, chosen))))

    def _mine(self, model: FlowModel, explained: ExplainedBatch, search: Search) -> MinedTriggers:
        """The triggers of every instance, by its id."""
        mined = {}
        for row, (instance, explanation) in enumerate(zip(explained.instances, explained.predicted, strict=True)):
            real = explained.batch.attention_mask[row]
            ids, words = explained.batch.ids[row][real].tolist(), explained.batch.word_ids[row][real].tolist()
            texts = tuple(tuple(text.split()) for text in instance.segments)
            sentence = TriggerSentence(instance.id, ids, [(s, w) for s, w in words], texts, model.tokenizer.mask_token_id)
            edges = [search(draw, sentence) for draw in explanation.each()]
            triggers = [read_trigger(two, sentence, self.score_by, self.ratio, self.lexicon) for two in edges]
            mined[instance.id] = [t for t in triggers if t is not None and len(ids) >= self.shortest and t.score >= self.least]
        return mined

    def _choose(self, attack: Attack, mining: Bool[np.ndarray, " instances"], mined: MinedTriggers) -> dict[str, list[Trigger]]:
        """The triggers that cost each class most, found in some of the instances and tried on the same instances."""
        members = np.flatnonzero(mining)
        best: dict[tuple[WordPiece, ...], Trigger] = {}
        for trigger in (t for index in members for t in mined[attack.instances[index].id]):
            best[trigger.pieces] = max(trigger, best.get(trigger.pieces, trigger), key=lambda t: t.score)
        tried = sorted(best.values(), key=lambda t: (-t.score, t.pieces))[: self.candidates]
        lost = attack.lost([(int(index), trigger) for trigger in tried for index in members]).reshape(len(tried), len(members))
        classes = np.array(attack.classes)[members]
        return {
            name: [tried[n] for n in np.argsort(-lost[:, classes == name].mean(1), kind="stable")[: self.best]]
            for name in sorted(set(classes.tolist()))
        }


def _random_edges(size: int, seed: str) -> list[tuple[int, int, float]]:
    """Two random edges (i, p, score) of an instance, of one score that no threshold discards."""
    rng = np.random.default_rng(list(hashlib.sha256(seed.encode()).digest()))
    score = LARGE + rng.random()
    return [(int(i), int(p), score) for i, p in rng.integers(0, size, (2, 2))]


def _rows(
    attack: Attack, half: Int[np.ndarray, " instances"], chosen: Mapping[str, Sequence[Mapping[str, list[Trigger]]]]
) -> Iterator[dict[str, Any]]:
    """Every instance under the triggers that the other half chose for its class."""
    classes = attack.classes
    triggers = {name: [sets[h].get(c, []) for h, c in zip(half, classes, strict=True)] for name, sets in chosen.items()}
    jobs = [(index, trigger) for by_instance in triggers.values() for index, own in enumerate(by_instance) for trigger in own]
    lost = iter(attack.lost(jobs))
    costs = {name: [[float(next(lost)) for _ in own] for own in by_instance] for name, by_instance in triggers.items()}
    for index, instance in enumerate(attack.instances):
        group, cost = f"class/{classes[index]}", costs[""][index]
        yield score_row(instance, "drop", **_mean(cost))
        yield score_row(instance, "control/drop", **_mean(costs["control/"][index]))
        yield score_row(instance, f"{group}/original", float(attack.clean[index]))
        yield score_row(instance, f"{group}/drop", **_mean(cost))
        for rank, (trigger, value) in enumerate(zip(triggers[""][index], cost, strict=True), 1):
            yield score_row(instance, f"{group}/trigger/{rank}", value)
            pieces = ", ".join(attack.model.tokenizer.convert_ids_to_tokens([p.id for p in trigger.pieces]))
            yield score_row(instance, f"found/{classes[index]}/{'ab'[half[index]]}{rank} {{{pieces}}}", value)


def _mean(costs: Sequence[float]) -> dict[str, Any]:
    """The value and reason of a score row: the mean cost, or NaN where there is no trigger."""
    return {"value": float(np.mean(costs)), "reason": ""} if costs else {"value": np.nan, "reason": NONE}
