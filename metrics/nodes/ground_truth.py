"""Agreement with a path that is known because it was planted: nodes, words, heads, and the path as a whole.

Variants, each one number an instance. Nodes are those of hidden[0..L-1], since every method has the target at hidden[L]:

    nodes/auroc         AUROC of a layer's nodes, averaged over layers: one of N is planted (the ranked one)
    nodes/auroc/pooled  the same over the nodes of all layers at once, for methods whose layers have one scale
    nodes/f1            F1 of as many nodes as are planted, the best of all layers together
    tokens/auroc        AUROC of the sizes of token scores: the first word of the path is planted
    heads/auroc, heads/f1   the same of the heads that carry the path
    path                whether the path with the most influence is the planted one, at the embedding level
    path/known_word     the same among the paths that start at the planted word
    path/heads          whether the path with the most influence is the planted one with its heads and skips
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from ...core.errors import NotApplicable
from ...methods.explanation import Explanation
from ...methods.views import describe_views, head_scores, node_flows, score_nodes, token_scores
from ...models.flow.flow_model import FlowModel
from ...models.flow.graph import Patterns
from ...tasks.instance import Instance
from ..base import BatchMetric, ExplainedBatch
from ..patterns.pattern_cases import MIXED, NO_HEADS, single_heads, single_paths
from ..registry import metric

NO_PATH = "the task's instances have no planted path: use a task planted/*."


class PlantedPath(NamedTuple):
    """The planted path of an instance: positions at depth 0..L, and the head of each layer, -1 where the skip carries."""

    path: Int[np.ndarray, " depths"]
    heads: Int[np.ndarray, " layers"]


@metric(
    "ground_truth", reads="nodes", ranked="nodes/auroc", higher_is_better=True, unit="AUROC", bounds=(0.0, 1.0),
    source="truth by construction; AUROC as Mann & Whitney 1947",
    misleads="The paths are planted in models with weights set by hand, where nothing else carries the answer: a method that "
    "finds them may fail on trained models. AUROC is high when most nodes are in order although the first is wrong: "
    "read F1 and `path` beside it.",
)  # fmt: skip
@dataclass(frozen=True)
class GroundTruth(BatchMetric):
    """How well an explanation of the gold answer finds the path that was planted in the model.

    Nodes and words are ranked by the size of their scores, heads by the scores. AUROC is the share of pairs (planted, not
    planted) in the right order, ties half; chance .5. F1 counts ties at the cut by the share of them that fits.
    `path` is 0 or 1, and is read from patterns (the one with the most |influence|), else from flows (the strongest node a layer
    of the word with the largest score), else from nodes (the strongest a layer). In [0, 1]; undefined without such a view.
    """

    def batch_rows(self, model: FlowModel, explained: ExplainedBatch) -> Iterator[dict[str, Any]]:
        """One score row for each instance, variant and draw."""
        for case in explained.draws():
            planted = planted_of(case.instance, model.n_layers)
            yield from case.score_rows(agreement(case.explanation, planted, case.size))


def planted_of(instance: Instance, n_layers: int) -> PlantedPath:
    """The planted path of an instance, for a model of `n_layers`.

    Raises:
        NotApplicable: There is none, or it was planted in a model with another number of layers.
    """
    if not {"path", "heads"} <= set(instance.truth):
        raise NotApplicable(NO_PATH)
    planted = PlantedPath(np.asarray(instance.truth["path"]), np.asarray(instance.truth["heads"]))
    if len(planted.heads) != n_layers:
        raise NotApplicable(
            f"the path was planted in {len(planted.heads)} layers, and the model has {n_layers}: name no model, "
            "so that the task's own is explained."
        )
    return planted


def agreement(explanation: Explanation, planted: PlantedPath, size: int) -> dict[str, tuple[float, str]]:
    """The value of each variant, or NaN and why it is undefined.

    Args:
        explanation: One draw.
        planted: The planted path.
        size: Number of tokens of the instance.
    """
    path, heads, target = planted.path, planted.heads, int(planted.path[-1])

    def nodes() -> tuple[np.ndarray, np.ndarray]:
        return score_nodes(explanation, size, target, "absolute")[:-1], marked(path[:-1], size)

    def words() -> tuple[np.ndarray, np.ndarray]:
        return np.abs(token_scores(explanation)), marked(path[:1], size)[0]

    def carriers() -> tuple[np.ndarray, np.ndarray]:
        scores = head_scores(explanation)
        return scores.ravel(), marked(heads, scores.shape[1]).ravel()

    def by_layer() -> float:
        return float(np.mean([auroc(*layer) for layer in zip(*nodes(), strict=True)]))

    variants: dict[str, Callable[[], float]] = {
        "nodes/auroc": by_layer,
        "nodes/auroc/pooled": lambda: auroc(*(part.ravel() for part in nodes())),
        "nodes/f1": lambda: f1(*(part.ravel() for part in nodes())),
        "tokens/auroc": lambda: auroc(*words()),
        "heads/auroc": lambda: auroc(*carriers()),
        "heads/f1": lambda: f1(*carriers()),
        "path": lambda: float(np.array_equal(strongest_path(explanation, size, target), path)),
        "path/known_word": lambda: float(np.array_equal(strongest_path(explanation, size, target, int(path[0])), path)),
        "path/heads": lambda: float(_strongest_with_heads(explanation, planted)),
    }
    return {name: _value(compute) for name, compute in variants.items()}


def _value(compute: Callable[[], float]) -> tuple[float, str]:
    try:
        return compute(), ""
    except NotApplicable as reason:
        return np.nan, str(reason)


def marked(positions: Int[np.ndarray, " rows"], size: int) -> Bool[np.ndarray, "rows columns"]:
    """An array that is True at each row's position; rows with a negative position have none.

    >>> marked(np.array([1, -1]), 2).tolist()
    [[False, True], [False, False]]
    """
    marks: np.ndarray = positions[:, None] == np.arange(size)
    return marks


def auroc(scores: Float[np.ndarray, " some"], planted: Bool[np.ndarray, " some"]) -> float:
    """AUROC: the share of pairs (planted, not planted) in the right order, ties half.

    Of n scores with mean ranks, k of them planted: (sum of the planted ranks - k (k + 1) / 2) / (k (n - k)) (Mann and Whitney
    1947). scikit-learn's function gives the same number and spends a millisecond on each of many thousand layers.

    Raises:
        NotApplicable: Everything is planted, or nothing.

    >>> auroc(np.array([3.0, 2.0, 2.0, 1.0]), np.array([False, True, False, False]))
    0.5
    """
    from scipy.stats import rankdata

    count = int(planted.sum())
    if count in (0, len(planted)):
        raise NotApplicable("every node is planted, or none is, so there are no pairs to order.")
    pairs = count * (len(planted) - count)
    return float((rankdata(scores)[planted].sum() - count * (count + 1) / 2) / pairs)


def f1(scores: Float[np.ndarray, " some"], planted: Bool[np.ndarray, " some"]) -> float:
    """F1 of the best-scored entries, as many as are planted; of ties at the cut, the share that fits counts.

    Precision and recall are equal, for both sets have one size.

    Raises:
        NotApplicable: Nothing is planted.

    >>> f1(np.array([3.0, 2.0, 2.0, 1.0]), np.array([True, True, False, False]))
    0.75
    """
    count = int(planted.sum())
    if not count:
        raise NotApplicable("no node is planted.")
    cut = np.sort(scores)[-count]
    above, tied = scores > cut, scores == cut
    hits = planted[above].sum() + planted[tied].sum() * (count - above.sum()) / tied.sum()
    return float(hits / count)


def strongest_path(explanation: Explanation, size: int, target: int, word: int | None = None) -> Int[np.ndarray, " depths"]:
    """The path with the most influence by an explanation, of all words or of one; empty where that word has none.

    Args:
        explanation: One draw.
        size: Number of tokens.
        target: The position that q reads, where the path ends.
        word: The position where the path starts; None: any.

    Raises:
        NotApplicable: The patterns are bundles, or nodes cannot be ranked.
    """
    if explanation.patterns is not None:
        paths = single_paths(explanation.patterns)
        if paths is None:
            raise NotApplicable(MIXED)
        best = _strongest(explanation.patterns, word)
        return paths[best] if best is not None else np.zeros(0, int)
    flows = node_flows(explanation, target)
    if flows is not None:
        if word is None:
            own = np.abs(explanation.tokens) if explanation.tokens is not None else flows[np.arange(size), 0, np.arange(size)]
            word = int(own.argmax())
        path = flows[word].argmax(-1)
    else:
        path = score_nodes(explanation, size, target, "absolute").argmax(-1)
    path[0], path[-1] = path[0] if word is None else word, target
    return path


def _strongest(patterns: Patterns, word: int | None) -> int | None:
    """The index of the pattern with the most |influence|, of all words or of one; None where there is none."""
    size = np.abs(patterns.influence) if word is None else np.where(patterns.source == word, np.abs(patterns.influence), -1.0)
    best = int(size.argmax()) if len(size) else None
    return None if best is None or size[best] < 0 else best


def _strongest_with_heads(explanation: Explanation, planted: PlantedPath) -> bool:
    patterns = explanation.patterns
    if patterns is None:
        raise NotApplicable(f"the method gives {describe_views(explanation)}, and the path with its heads is read from patterns.")
    heads, paths, best = single_heads(patterns), single_paths(patterns), _strongest(patterns, None)
    if heads is None or paths is None:
        raise NotApplicable(NO_HEADS)
    return best is not None and np.array_equal(paths[best], planted.path) and np.array_equal(heads[best], planted.heads)
