"""How much patterns differ between the instances of one template.

Variants (bits unless said otherwise):

    union              the union of Pi_+ (the paper's Fig. 5b)
    slot/<name>        the pattern of the word in one slot (Fig. 5a)
    <either>/used      mean over the nodes that any instance uses, instead of all N (L+1)
    influence/<name>   mean |g| of the word in that slot (units of q)
    q                  mean q over all instances, wrongly predicted ones included (units of q)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from ...core.errors import NotApplicable
from ...methods.explanation import Explanation
from ...methods.views import positive_words
from ...models.flow.flow_model import FlowModel
from ...models.inputs.encode import token_slots
from ...models.outputs import value
from ...tasks.instance import Instance
from ..base import Aggregate, ExplainedBatch, ExplainedDraw, Scores, frame, score_row
from ..registry import metric
from ..summary import Drawn, summarise, summarise_sums
from .pattern_cases import pattern_cases

ALIKE = "and entropy compares the same slot in different sentences."
NEEDS = 32
"""Instances from which on the interval covers the entropy of many instances (a test holds this)."""
NodeSets = dict[str, list[Bool[np.ndarray, " nodes"]]]


@metric(
    "pattern_entropy",
    scope="set",
    reads="patterns",
    ranked="union",
    higher_is_better=False,
    unit="bits",
    bounds=(0.0, 1.0),
    source="Lu et al. 2021, section 4.3",
    reference="influence-patterns",
    misleads="A method that gives one path whatever the sentence says has entropy 0. Values shrink with tokens and layers, and "
    "are too low for few instances.",
)
@dataclass(frozen=True)
class PatternEntropy:
    """How much patterns differ between the instances of one template (bits).

    Mean over nodes n of the binary entropy of p_n, the share of instances whose pattern contains n, over all N (L+1) nodes of
    the embedding level, conditions pooled. Nodes that no instance uses count, so values shrink with N and L: `used` leaves them
    out. The words of Pi_+ and |g| are those of the reference. In [0, 1]; lower is more consistent. Source:
    Lu et al. 2021, section 4.3, which names no base and gives no intervals. The value is the paper's plug-in estimate, which is
    biased downwards for few instances; the interval is corrected for the bias, which the aggregate states, by the jackknife.
    """

    def score(self, model: FlowModel, explained: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """Aggregates of the whole set; rows hold each instance's |g| and q.

        Raises:
            NotApplicable: Instances of different templates, or without one.
        """
        template, instances = list[str](), list[Instance]()
        sets: NodeSets = {}
        rows: list[dict[str, Any]] = []
        for batch, matched in zip(explained, reference or explained, strict=True):
            q = instance_q(model, batch)
            for case in pattern_cases([batch]):
                if case.draw:
                    continue
                names = slot_names(case)
                template = template or names
                if names != template:
                    raise NotApplicable(f"the instances are of different templates, {ALIKE}")
                for name, nodes in node_sets(case, names, matched.gold[case.row]):
                    sets.setdefault(name, []).append(nodes)
                instances.append(case.instance)
                rows += influence_rows(case, names, matched.gold[case.row])
                rows.append(score_row(case.instance, "q", q[case.row]))
        entropies = [
            aggregate
            for name, used in sets.items()
            if np.any(used)
            for aggregate in entropy_aggregates(name, np.array(used), instances)
        ]
        table = frame(rows)
        return Scores(table, (*entropies, *summarise(table)))


def slot_names(case: ExplainedDraw) -> list[str]:
    """The slot of each token; repeated names get a number.

    Raises:
        NotApplicable: The instance has no slots.
    """
    if not case.instance.slots:
        raise NotApplicable(f"the instances have no template, {ALIKE}")
    return token_slots(case.explained.batch, case.row, case.instance)


def node_sets(case: ExplainedDraw, names: Sequence[str], reference: Explanation) -> Iterator[tuple[str, np.ndarray]]:
    """The nodes of the union of Pi_+ and of each word's pattern, as flat indicators.

    Args:
        case: The patterns of one instance.
        names: The slot of each token.
        reference: The explanation whose Pi_+ names the words.
    """
    patterns, size = case.patterns, case.size
    if reference.tokens is not None:
        yield "union", patterns.select(np.isin(patterns.source, positive_words(reference))).subgraph(size).nodes.ravel()
    for position, name in enumerate(names):
        yield f"slot/{name}", patterns.select(patterns.source == position).subgraph(size).nodes.ravel()


def influence_rows(case: ExplainedDraw, names: Sequence[str], reference: Explanation) -> list[dict[str, Any]]:
    """Score rows of |g| of the word in each slot; none where the reference has no token scores."""
    if reference.tokens is None:
        return []
    return [score_row(case.instance, f"influence/{name}", abs(float(g))) for name, g in zip(names, reference.tokens, strict=True)]


@torch.no_grad()
def instance_q(model: FlowModel, explained: ExplainedBatch) -> list[float]:
    """q of every instance, with the gold answer (units of q)."""
    return [float(q) for q in value(model.outputs(explained.batch), explained.batch)]


def entropy_aggregates(name: str, used: Bool[np.ndarray, "instances nodes"], instances: Sequence[Drawn]) -> tuple[Aggregate, ...]:
    """The mean entropy over all nodes, and over the nodes that any instance uses, with intervals.

    Args:
        name: The variant of the first; that of the second ends in `/used`.
        used: Which nodes the pattern of each instance contains.
        instances: The instances, with condition and cluster.
    """
    ever = int(used.any(0).sum())
    features = np.concatenate([used.astype(float), np.ones((len(used), 1))], 1)

    def both(sums: np.ndarray) -> np.ndarray:
        total = binary_entropy(sums[..., :-1] / sums[..., -1:]).sum(-1)
        return np.stack([total / used.shape[1], total / ever], -1)

    return summarise_sums((name, f"{name}/used"), features, instances, both, (0.0, 1.0), needs=NEEDS)


def binary_entropy(p: Float[np.ndarray, "*some"]) -> Float[np.ndarray, "*some"]:
    """-p log2 p - (1 - p) log2(1 - p), in bits.

    >>> binary_entropy(np.array([0.0, 0.5, 1.0])).tolist()
    [0.0, 1.0, 0.0]
    """
    p = np.clip(p, 0, 1)
    total = np.zeros_like(p)
    for part in (p, 1 - p):
        total -= part * np.log2(np.where(part > 0, part, 1))
    return total + 0.0
