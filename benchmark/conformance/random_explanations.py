"""Random explanations that have every view, so that a metric is checked on each view that it can read."""

from __future__ import annotations

import numpy as np

from ...methods.explanation import Explanation
from ...models.circuits.circuit_graph import CircuitGraph
from ...models.flow.graph import SKIP, Patterns
from .subject import Subject


def random_explanations(subject: Subject) -> tuple[dict[str, Explanation], dict[str, Explanation]]:
    """Random gold and predicted explanations by instance; for every second instance both are the same object."""
    rng, batch, model = np.random.default_rng(0), subject.batch(), subject.model
    assert batch.target is not None
    gold: dict[str, Explanation] = {}
    predicted: dict[str, Explanation] = {}
    for index, (name, n, target) in enumerate(zip(batch.names, batch.lengths, batch.target.tolist(), strict=True)):
        gold[name] = _explanation(rng, n, target, model.n_layers, model.n_heads, model.width)
        predicted[name] = gold[name] if index % 2 else _explanation(rng, n, target, model.n_layers, model.n_heads, model.width)
    return gold, predicted


def _explanation(rng: np.random.Generator, n: int, target: int, layers: int, heads: int, width: int) -> Explanation:
    tokens, graph = rng.normal(size=n), CircuitGraph(layers, heads)
    return Explanation(
        tokens=tokens,
        nodes=rng.random((layers + 1, n)),
        flows=rng.normal(size=(n, layers + 1, n)),
        units=rng.random((layers, n, heads + 1)),
        heads=rng.random((layers, heads)),
        edges=rng.random((layers, heads, n, n)),
        mask=rng.random((layers + 2, n)),
        gate=rng.random((layers + 2, n)),
        fill=np.zeros((layers + 2, width)),
        circuit=rng.normal(size=graph.shape) * graph.edges(),
        patterns=_patterns(rng, tokens, target, layers, heads),
        values={"completeness_error": 0.01, "q": 2.0, "q_baseline": 0.5},
    )


def _patterns(rng: np.random.Generator, tokens: np.ndarray, target: int, layers: int, heads: int) -> Patterns:
    """One path a word through random heads, or skips where the position stays, with a random share of the word's influence."""
    n = len(tokens)
    positions = rng.integers(0, n, (n, layers + 1, 1))
    positions[:, 0, 0], positions[:, -1, 0] = np.arange(n), target
    stays = (positions[:, 1:] == positions[:, :-1])[..., None]
    codes = np.where(stays & (rng.random((n, layers, 1, 1)) < 0.5), SKIP, rng.integers(0, heads, (n, layers, 1, 1)))
    return Patterns(np.arange(n), tokens, tokens * rng.random(n), positions, tokens * rng.random(n) / 2, codes)
