"""The control method: scores drawn from a uniform distribution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import PositiveInt

from ..core.settings import Settings
from ..models.batch import Batch
from ..models.layered import Layered
from .base import method
from .explanation import Explanation


@method(
    "random",
    gives={"tokens", "nodes", "units"},
    stochastic=True,
    source="Lu et al. 2021, Influence Patterns for Explaining Information Flow in BERT, section 4.4",
    misleads="It is the floor and no explanation. On few instances, a method that cannot be separated from it has not been "
    "shown to be wrong.",
)
@dataclass(frozen=True)
class Random(Settings):
    """Uniform random scores, a control that every other method must exceed (Lu et al. 2021).

    Tokens, nodes and attention-level units score independently in [0, 1). Source: the random baseline of Lu et al. 2021,
    section 4.4.

    Attributes:
        draws: Number of independent draws for each instance; metrics average over them and show their spread.
    """

    draws: PositiveInt = 20

    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """Draws the scores of every instance from its own seed."""
        explained = []
        for seed, n in zip(batch.seeds, batch.lengths, strict=True):
            rng = np.random.default_rng(seed)
            nodes = rng.random((self.draws, model.n_layers + 1, n), dtype=np.float32)
            units = rng.random((self.draws, model.n_layers, n, model.n_heads + 1), dtype=np.float32)
            tokens = rng.random((self.draws, n), dtype=np.float32)
            views = zip(tokens, nodes, units, strict=True)
            explained.append(Explanation(draws=tuple(Explanation(tokens=t, nodes=h, units=u) for t, h, u in views)))
        return explained
