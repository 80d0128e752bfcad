"""Explanations that know the answer: read off the construction of models that flowgauge wires or trains to count.

They are no methods to choose. Beside `random` they show what a metric can tell apart, in the report cards of metrics: the plan
`report-cards` names this file. What is known comes from the model (its wiring and the words before it), never from the task.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field, PositiveInt

from flowgauge import Batch, Explanation, Layered, NotApplicable, method
from flowgauge.core.registry import Spec
from flowgauge.core.settings import Settings
from flowgauge.tasks.planted import NOUNS, SKIP, Route, Wiring, routes

SOURCE = "flowgauge, docs/adr/0029-metric-report-cards.md"
NOUN_FORMS = {noun + ending for noun in NOUNS for ending in ("", "s")}


class Known(NamedTuple):
    """What is known to matter for one instance, True where it does; None where it is not known.

    Attributes:
        tokens: Words (N,).
        nodes: Hidden states (L+1, N).
        units: Heads at positions, and the skip last (L, N, A+1).
        mask: Words, then hidden states (L+2, N).
    """

    tokens: np.ndarray | None
    nodes: np.ndarray
    units: np.ndarray | None
    mask: np.ndarray


def known_of(model: Layered, batch: Batch) -> list[Known]:
    """What is known of every instance, from the model that is explained.

    Raises:
        NotApplicable: The model is neither a planted one nor toy-counting.
    """
    spec = Spec.parse(model.name)
    if spec.name == "planted":
        wiring = Wiring(**spec.settings)
        return [_planted(model, wiring, batch.ids[row, :n].tolist()) for row, n in enumerate(batch.lengths)]
    if spec.name == "toy-counting":
        columns = zip(batch.ids.tolist(), batch.token_type_ids.tolist(), batch.lengths, strict=True)
        return [_counted(np.array(ids[:n]), np.array(segments[:n])) for ids, segments, n in columns]
    raise NotApplicable(f"nobody knows what matters in the model {model.name}: use the tasks planted/* or toy/counting.")


def _planted(model: Layered, wiring: Wiring, ids: list[int]) -> Known:
    words = model.tokenizer.convert_ids_to_tokens(ids)
    route: Route = next(r for r in routes(wiring)[: wiring.routes] if words[r.positions[0]] in NOUN_FORMS)
    nodes = np.zeros((wiring.depth + 1, len(ids)), bool)
    nodes[np.arange(wiring.depth + 1), route.positions] = True
    units = np.zeros((wiring.depth, len(ids), wiring.heads + 1), bool)
    carriers = [wiring.heads if head == SKIP else head for head in route.heads]
    units[np.arange(wiring.depth), route.positions[1:], carriers] = True
    return Known(nodes[0], nodes, units, np.concatenate([nodes[:1], nodes]))


def _counted(ids: np.ndarray, segments: np.ndarray) -> Known:
    """Of a counting model, hidden[0] at the digits that the query names; of its words, every digit is needed to find these."""
    nodes = ((segments == 1) & np.isin(ids, ids[segments == 0]))[None]
    return Known(None, nodes, None, np.concatenate([np.ones_like(nodes), nodes]))


def _draws(
    model: Layered, batch: Batch, draws: int, stream: int, explain: Callable[[Known, np.random.Generator], Explanation]
) -> list[Explanation]:
    """Independent draws of every instance; streams of different numbers share no random number."""
    explained = []
    for seed, known in zip(batch.seeds, known_of(model, batch), strict=True):
        rng = np.random.default_rng([seed, stream])
        explained.append(Explanation(draws=tuple(explain(known, rng) for _ in range(draws))))
    return explained


def _noisy(known: np.ndarray | None, noise: float, rng: np.random.Generator) -> np.ndarray | None:
    return None if known is None else (known + noise * rng.random(known.shape)).astype(np.float32)


def _kept(known: np.ndarray, noise: float | None, rng: np.random.Generator) -> np.ndarray:
    """At each depth as many states as matter there: those with the largest score, known + noise * u, or u alone for None."""
    drawn = rng.random(known.shape)
    score = drawn if noise is None else known + noise * drawn
    rank = np.argsort(np.argsort(-score, axis=1), axis=1)
    return (rank < known.sum(1, keepdims=True)).astype(np.float32)


@method("oracle", gives={"tokens", "nodes", "units"}, stochastic=True, source=SOURCE)
@dataclass(frozen=True)
class Oracle(Settings):
    """What is known to matter, 1 or 0, plus `noise` times a uniform draw from [0, 1).

    The share of pairs (matters, does not) in the right order is 1 for noise up to 1, and 1 - (1 - 1 / noise)^2 / 2 above; as the
    noise grows, the order becomes that of `random`.

    Attributes:
        noise: Size of the noise.
        draws: Independent draws for each instance.
    """

    noise: Annotated[float, Field(ge=0, le=1000)] = 1.0
    draws: PositiveInt = 20

    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """The noisy truth of every instance, from its own seed."""

        def noisy(known: Known, rng: np.random.Generator) -> Explanation:
            tokens, nodes, units = (_noisy(view, self.noise, rng) for view in (known.tokens, known.nodes, known.units))
            return Explanation(tokens=tokens, nodes=nodes, units=units)

        return _draws(model, batch, self.draws, 1 + round(1000 * self.noise), noisy)


@method("oracle-mask", gives={"mask"}, stochastic=True, source=SOURCE)
@dataclass(frozen=True)
class OracleMask(Settings):
    """A mask that keeps, at each depth, as many states as matter there: the best by the noisy truth of `oracle`.

    Attributes:
        noise: Size of the noise; up to 1 the mask is right.
        draws: Independent draws for each instance.
    """

    noise: Annotated[float, Field(ge=0, le=1000)] = 1.0
    draws: PositiveInt = 20

    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """The mask of every instance, from its own seed."""
        stream = 1 + round(1000 * self.noise)
        return _draws(
            model, batch, self.draws, stream, lambda known, rng: Explanation(mask=_kept(known.mask, self.noise, rng))
        )  # fmt: skip


@method("random-mask", gives={"mask"}, stochastic=True, source=SOURCE)
@dataclass(frozen=True)
class RandomMask(Settings):
    """A mask that keeps as many states at each depth as `oracle-mask`, drawn at random.

    Attributes:
        draws: Independent draws for each instance.
    """

    draws: PositiveInt = 20

    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """The mask of every instance, from its own seed."""
        return _draws(model, batch, self.draws, 0, lambda known, rng: Explanation(mask=_kept(known.mask, None, rng)))
