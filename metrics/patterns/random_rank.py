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
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field, NonNegativeInt, PositiveInt
from scipy.special import ndtr

from ...models.baseline import moving_words
from ...models.flow.flow_model import FlowModel
from ...models.flow.graph import SKIP, Attends
from ...models.flow.pattern_influence import pattern_influence
from ...models.flow.trace import PathSettings, PathTrace
from ..base import ExplainedBatch, ExplainedDraw, Scores, frame, score_row
from ..registry import metric
from ..summary import summarise
from .pattern_cases import MIXED, NO_HEADS, pattern_cases, single_heads, single_paths

NO_PATTERN = "the method gives no pattern of this word."
LEVELS = ("embedding", "attention", "heads")


class Draws(NamedTuple):
    """The pattern of each word, then its random patterns.

    Attributes:
        paths: Positions at depths 0..L.
        heads: Heads and skips, or None at the embedding level.
    """

    paths: Int[np.ndarray, "words patterns depths"]
    heads: Int[np.ndarray, "words patterns layers"] | None = None


@metric(
    "random_rank",
    version=2,
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

    A word's random patterns are independent. The words of an instance share the random numbers they are drawn with, and thereby
    most of the work: a mean over words still has each word's expectation, and its error falls with instances, not with words.

    The paper draws 1000 patterns, and has 50 samples: `patterns=1000,samples=50`. The share of random patterns with less
    influence has a standard error of at most .5 / sqrt(patterns) for one word, which is .05 at 100, and p is no less than
    1 / (1 + patterns). 16 samples are too few to measure an influence, but move that share by far less than so few patterns
    (docs/measurements.md).

    Attributes:
        patterns: How many random patterns are drawn for a word.
        words: How many words are ranked, of all instances together.
        samples: Number of nodes of the rule, fewer than explanations have, since a rank needs fewer.
        seed: Of the choice of words and of the random patterns.
    """

    patterns: Annotated[int, Field(ge=2)] = 100
    words: PositiveInt = 100
    samples: int = 16
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
                rows += self._instance(trace.one(traced), cases[row], sources[index][row][words[row]])
        table = frame(rows)
        return Scores(table, tuple(replace(a, sd_draws=None) for a in summarise(table, (0.0, None))))

    def _instance(self, trace: PathTrace, case: ExplainedDraw, sources: Int[np.ndarray, " words"]) -> Iterator[dict[str, Any]]:
        """Score rows of some words of an instance, whose positions are `sources`."""
        patterns = [next(iter(np.flatnonzero(case.patterns.source == source)), None) for source in sources]
        known = np.array([pattern for pattern in patterns if pattern is not None], int)
        drawn = self._draw(trace, case, known)
        found = {level: draws if isinstance(draws, str) else influences(trace, *draws) for level, draws in drawn.items()}
        place = {int(pattern): row for row, pattern in enumerate(known)}
        for turn, (source, pattern) in enumerate(zip(sources, patterns, strict=True)):
            sign = -1 if float(trace.g[0, source]) < 0 else 1
            for level, influence in found.items():
                reason = influence if isinstance(influence, str) else NO_PATTERN if pattern is None else ""
                if pattern is None or isinstance(influence, str):
                    ranks = dict.fromkeys(("beaten", "p", "normal_p"), np.nan)
                else:
                    own = sign * influence[place[int(pattern)]]
                    ranks = rank(own[0], own[1:])
                for name, value in ranks.items():
                    undefined = "all random patterns have the same influence." if np.isnan(value) else ""
                    yield score_row(case.instance, f"{level}/{name}", value, turn, reason or undefined)

    def _draw(self, trace: PathTrace, case: ExplainedDraw, words: Int[np.ndarray, " words"]) -> dict[str, Draws | str]:
        """The patterns of some words and the random ones of each, by level; or why there is none."""
        paths, heads = single_paths(case.patterns), single_heads(case.patterns)
        if paths is None:
            return dict.fromkeys(LEVELS, MIXED)
        if not len(words):
            return dict.fromkeys(LEVELS, NO_PATTERN)

        def rng(level: str) -> np.random.Generator:
            return np.random.default_rng([self.seed, trace.batch.seeds[0], LEVELS.index(level)])

        attends = trace.model.attends(case.size)
        free = np.stack([random_paths(paths[word], self.patterns, case.size, rng("embedding"), attends) for word in words])
        if heads is None:
            reason = NO_HEADS if case.patterns.heads is None else "an edge of the pattern holds several heads at once."
            return {"embedding": Draws(free), "attention": reason, "heads": reason}
        fixed = np.repeat(paths[words][:, None], self.patterns + 1, 1)
        drawn: dict[str, Draws | str] = {"embedding": Draws(free)}
        for level, walks in (("attention", free), ("heads", fixed)):
            pairs = zip(walks, heads[words], strict=True)
            drawn[level] = Draws(walks, np.stack([random_heads(*pair, trace.model.n_heads, rng(level)) for pair in pairs]))
        return drawn


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
    drawn: np.ndarray = (rng.random(same.shape) * (n_heads + same)).astype(int)  # one number each, so that words share them
    drawn[drawn == n_heads] = SKIP
    drawn[0] = heads
    return drawn


def influences(
    trace: PathTrace,
    paths: Int[np.ndarray, "words patterns depths"],
    heads: Int[np.ndarray, "words patterns layers"] | None = None,
) -> Float[np.ndarray, "words patterns"]:
    """Influence of each path (units of q), for the trace of one instance; equal paths get equal numbers.

    Args:
        trace: Path samples of one instance.
        paths: Positions at depths 0..L.
        heads: Heads and skips of each path; None: all of them.
    """
    nodes, units = (None if x is None else torch.from_numpy(np.concatenate(x)).to(trace.g.device) for x in (paths, heads))
    assert nodes is not None
    with torch.no_grad():
        influence: np.ndarray = pattern_influence(trace, 0, nodes, units).double().cpu().numpy()
    return influence.reshape(paths.shape[:2])


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
