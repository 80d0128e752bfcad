"""How many random patterns carry less influence than an explanation's pattern.

Variants, for the levels `embedding` (random nodes), `attention` (random nodes, then random valid heads and skips) and `heads`
(random valid heads and skips on the pattern's own nodes):

    <level>/beaten     random patterns with less influence, in the direction of g (count)
    <level>/p          (1 + number with at least as much) / (1 + patterns)
    <level>/normal_p   upper tail at the pattern's influence, were random influences normal (the paper's)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field, NonNegativeInt, PositiveInt
from scipy.special import ndtr

from ...models.baseline import moving_words
from ...models.flow.chain_rule import pattern_influence
from ...models.flow.flow_model import FlowModel
from ...models.flow.graph import SKIP, Attends
from ...models.flow.trace import PathSettings, PathTrace
from ..base import ExplainedBatch, ExplainedDraw, Scores, frame, score_row
from ..registry import metric
from ..summary import summarise
from .pattern_cases import MIXED, NO_HEADS, pattern_cases, single_heads, single_paths

NO_PATTERN = "the method gives no pattern of this word."
CHUNK = 256
"""How many patterns' influence is computed at once."""


@metric(
    "random_rank",
    reads="patterns",
    needs={"transformer", "path_samples"},
    ranked="embedding/beaten",
    higher_is_better=True,
    unit="random patterns",
    bounds=(0.0, None),
    source="Lu et al. 2021, appendix B.2",
    misleads="Random paths are easy to beat: the published patterns beat 999.96 of 1000 on average (Lu et al. 2021, appendix "
    "B.2), so that good methods can hardly be told apart.",
)
@dataclass(frozen=True)
class RandomRank(PathSettings):
    """How many random patterns carry less influence than the explanation's, with p-values.

    For each of some words, drawn with a seed (one an instance, then a second, ...) and the same for every method, its pattern's
    influence I(x, pi) is ranked among those of random patterns from the same word to the target, in the direction of g. Random
    heads and skips are valid choices only: no skip between two positions. So are random nodes where not every position attends to
    every other (decoders, windows): each path that exists is as likely. Every influence is computed anew on the same path
    samples, so patterns of any method can be ranked. Higher counts are better. Source: Lu et al. 2021, appendix B.2.

    Attributes:
        patterns: How many random patterns are drawn for a word.
        words: How many words are ranked.
        seed: Of the choice of words and of the random patterns.
    """

    patterns: Annotated[int, Field(ge=2)] = 1000
    words: PositiveInt = 100
    seed: NonNegativeInt = 0

    def score(self, model: FlowModel, explained: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """One score row for each word and variant; `draw` is the index of the word among those of its instance."""
        sources = [[np.flatnonzero(row) for row in moving_words(model, b.batch, self.baseline).cpu().numpy()] for b in explained]
        sizes = [[len(words) for words in batch] for batch in sources]
        chosen = draw_words(sizes, [batch.batch.seeds for batch in explained], self.words, self.seed)
        rows: list[dict[str, Any]] = []
        for index, words in sorted(chosen.items()):
            batch = explained[index]
            picked = sorted(words)
            part = batch.batch.rows(torch.tensor(picked, device=batch.batch.ids.device))
            trace = self.trace(model, part)
            cases = {case.row: case for case in pattern_cases([batch]) if case.draw == 0}
            for traced, row in enumerate(picked):
                for turn, word in enumerate(words[row]):
                    rng = np.random.default_rng([self.seed, part.seeds[traced], turn])
                    rows += self._word(trace.one(traced), cases[row], int(sources[index][row][word]), turn, rng)
        table = frame(rows)
        return Scores(table, tuple(replace(a, sd_draws=None) for a in summarise(table, (0.0, None))))

    def _word(
        self, trace: PathTrace, case: ExplainedDraw, source: int, turn: int, rng: np.random.Generator
    ) -> Iterator[dict[str, Any]]:
        """Score rows of one word, whose position is `source`."""
        paths, heads = single_paths(case.patterns), single_heads(case.patterns)
        sign = -1 if float(trace.g[0, source]) < 0 else 1
        word = next(iter(np.flatnonzero(case.patterns.source == source)), None)
        lacks = MIXED if paths is None else NO_PATTERN
        levels: dict[str, tuple[np.ndarray, np.ndarray | None] | str] = dict.fromkeys(("embedding", "attention", "heads"), lacks)
        if paths is not None and word is not None:
            free = random_paths(paths[word], self.patterns, case.size, rng, trace.model.attends(case.size))
            fixed = np.repeat(paths[word][None], self.patterns + 1, 0)
            levels["embedding"] = free, None
            levels |= dict.fromkeys(
                ("attention", "heads"),
                NO_HEADS if case.patterns.heads is None else "an edge of the pattern holds several heads at once.",
            )
            if heads is not None:
                levels["attention"] = free, random_heads(free, heads[word], trace.model.n_heads, rng)
                levels["heads"] = fixed, random_heads(fixed, heads[word], trace.model.n_heads, rng)
        for level, random in levels.items():
            if isinstance(random, str):
                yield from (
                    score_row(case.instance, f"{level}/{name}", np.nan, turn, random) for name in ("beaten", "p", "normal_p")
                )
                continue
            influence = sign * influences(trace, *random)
            for name, value in rank(influence[0], influence[1:]).items():
                reason = "all random patterns have the same influence." if np.isnan(value) else ""
                yield score_row(case.instance, f"{level}/{name}", value, turn, reason)


def draw_words(
    sizes: Sequence[Sequence[int]], seeds: Sequence[Sequence[int]], words: int, seed: int
) -> dict[int, dict[int, list[int]]]:
    """Which words to rank: every instance gives one word before any gives a second.

    An instance draws from its own generator, so that the choice depends on neither batches nor their order.

    Args:
        sizes: Number of words of each instance, batch by batch.
        seeds: Seed of each instance, batch by batch.
        words: How many words to draw; all, if there are fewer.
        seed: Of the choice.

    Returns:
        The indices of the chosen words, by batch and by row.
    """
    order: list[tuple[int, float, int, int, int]] = []
    for batch, rows in enumerate(sizes):
        for row, size in enumerate(rows):
            rng = np.random.default_rng([seed, seeds[batch][row]])
            order += [(turn, rng.random(), batch, row, int(word)) for turn, word in enumerate(rng.permutation(size))]
    chosen: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for _, _, batch, row, word in sorted(order)[:words]:
        chosen[batch][row].append(word)
    return {batch: dict(rows) for batch, rows in chosen.items()}


def random_paths(
    path: Int[np.ndarray, " depths"], count: int, size: int, rng: np.random.Generator, attends: Attends | None = None
) -> Int[np.ndarray, "patterns depths"]:
    """The path itself, then `count` paths drawn uniformly among all that have its ends.

    Args:
        path: Positions at depths 0..L.
        count: How many random paths to draw.
        size: Number of tokens.
        rng: Draws the nodes.
        attends: The edges that there are; None: from every position to every other. With them a node is drawn in proportion to
            the number of paths that go on from it to the end.
    """
    paths = np.repeat(path[None], count + 1, 0)
    if attends is None:
        paths[1:, 1:-1] = rng.integers(0, size, (count, len(path) - 2))
        return paths
    ways = [np.eye(size)[path[-1]]]
    for layer in attends[:0:-1]:
        ways.append(ways[-1] @ layer)
    for depth, onward in enumerate(ways[:0:-1], start=1):
        open_to = attends[depth - 1][:, paths[1:, depth - 1]].T * onward  # (count, size)
        shares = open_to.cumsum(1)
        paths[1:, depth] = (shares <= rng.random((count, 1)) * shares[:, -1:]).sum(1).clip(max=size - 1)
    return paths


def random_heads(
    paths: Int[np.ndarray, "patterns depths"], heads: Int[np.ndarray, " layers"], n_heads: int, rng: np.random.Generator
) -> Int[np.ndarray, "patterns layers"]:
    """The pattern's own heads for the first path, then uniform choices among the heads and, at equal positions, the skip.

    Args:
        paths: Positions at depths 0..L, the pattern's own path first.
        heads: Heads and skips of the pattern.
        n_heads: Heads a layer.
        rng: Draws the heads.
    """
    same = paths[:, 1:] == paths[:, :-1]
    drawn: np.ndarray = rng.integers(0, n_heads + same)
    drawn[drawn == n_heads] = SKIP
    drawn[0] = heads
    return drawn


def influences(
    trace: PathTrace, paths: Int[np.ndarray, "patterns depths"], heads: Int[np.ndarray, "patterns layers"] | None
) -> Float[np.ndarray, " patterns"]:
    """Influence of each path (units of q), for the trace of one instance; equal paths get equal numbers.

    Args:
        trace: Path samples of one instance.
        paths: Positions at depths 0..L.
        heads: Heads and skips of each path; None: all of them.
    """
    whole = paths if heads is None else np.concatenate([paths, heads], 1)
    _, first, back = np.unique(whole, axis=0, return_index=True, return_inverse=True)
    distinct = []
    with torch.no_grad():
        for part in np.array_split(first, -(-len(first) // CHUNK)):
            nodes = torch.from_numpy(paths[part]).to(trace.g.device)
            units = None if heads is None else torch.from_numpy(heads[part]).to(trace.g.device)
            distinct.append(pattern_influence(trace, 0, nodes, units).double().cpu().numpy())
    influence: np.ndarray = np.concatenate(distinct)[back.reshape(-1)]
    return influence


def rank(influence: float, random: Float[np.ndarray, " patterns"]) -> dict[str, float]:
    """The rank of an influence among random ones: how many it beats, and its p-values.

    >>> rank(2.0, np.array([1.0, 2.0, 3.0]))
    {'beaten': 1.0, 'p': 0.75, 'normal_p': 0.5}
    """
    spread = random.std(ddof=1)
    return {
        "beaten": float((random < influence).sum()),
        "p": float((1 + (random >= influence).sum()) / (1 + len(random))),
        "normal_p": float(ndtr((random.mean() - influence) / spread)) if spread > 0 else np.nan,
    }
