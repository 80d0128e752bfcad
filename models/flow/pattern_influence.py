"""The influence of many given patterns of one instance, from the words and from the target to an edge in the middle.

A pattern's influence is a tangent, carried from its word along its nodes, times a gradient, carried from the target back along
its nodes. With M_l the Jacobian of the step to its node at depth l, t the tangent of its word and m any edge (Lu et al. 2021,
proposition 1):

    I(x, pi) = E_z [ <(M_L ... M_(m+2))^T dq/dh_L, M_(m+1) M_m ... M_1 t> ]

Patterns that begin alike share tangents, and those that end alike share gradients, also where their words differ. A step costs
some 12 D^2 products for each sample (D^2 of the output projection, 8 D^2 of the feed-forward block, 3 D^2 of query, key and
value), and meeting 2 D at most. So the work is the number of different beginnings below the edge and of different endings above
it. Of R patterns that are drawn uniformly and continued alike for W words, there are at most min(R, N^k) endings of k free
positions, and W min(R, N^k) beginnings; with a head drawn too, (N A + 1)^k in place of N^k; on one path a word,
(A + 1)^k of each, for each word that has a path of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..layers.base import Projected, select
from ..memory import affordable, memory_budget
from .chain_rule import Nodes, State, advance, context_pull, context_tangents, project, skip_tangents, start_tangents
from .graph import ALL_HEADS, SKIP
from .trace import PathTrace

KEPT, STEP = 1 / 4, 1 / 16
"""Shares of the memory budget: of the tangents and gradients of all patterns that are kept, and of one step of some of them."""
AT_ONCE = 4096
"""Tangents of single samples that take one step at once: more are no faster, since they leave the processor's cache."""


def pattern_influence(
    trace: PathTrace, row: int, positions: Int[Tensor, "patterns depths"], heads: Int[Tensor, "patterns layers"] | None = None
) -> Float[Tensor, " patterns"]:
    """I(x, pi) of arbitrary paths of one instance (units of q, signed).

    Args:
        trace: Path samples.
        row: The instance.
        positions: Token positions for l = 0..L; the last must be the target.
        heads: The head of each edge, or -1 for the skip, which carries nothing where positions differ; None: every head and the
            skip together.

    Returns:
        Equal paths have equal numbers, to the last bit.
    """
    if not len(positions):
        return trace.g.new_zeros(0)
    one = trace.one(row)
    edges = torch.full_like(positions[:, 1:], ALL_HEADS) if heads is None else heads
    path = _branches(positions.flip(1), edges.flip(1))[-1].of  # numbered by endings, so that a part of the paths has few
    distinct = path.new_zeros(int(path.max()) + 1).scatter_(0, path, torch.arange(len(path), device=path.device))
    parts = min(len(distinct), math.ceil(len(distinct) * _kept_bytes(one) / (KEPT * memory_budget())))
    influence = list[Tensor]()
    for some in distinct.tensor_split(parts):
        paths = _Paths(positions[some], edges[some])
        influence.append(torch.stack([paths.influence(piece) for piece in one.pieces()]).sum(0))
    return torch.cat(influence)[path]


def _kept_bytes(trace: PathTrace) -> int:
    """An estimate of what a pattern keeps where it shares nothing: tangents and their projections, context vectors, gradients."""
    return 8 * trace.samples_at_once * trace.model.width * trace.g.element_size()


class _Branches(NamedTuple):
    """The different beginnings of paths up to one depth; of paths turned round, their different endings."""

    parent: Int[Tensor, " branches"]
    """The beginning that is one node shorter."""
    edge: Int[Tensor, " branches"]
    """The head, `SKIP` or `ALL_HEADS` by which it is continued."""
    node: Int[Tensor, " branches"]
    """The position to which it is continued."""
    of: Int[Tensor, " patterns"]
    """The beginning of each path."""


def _branches(positions: Int[Tensor, "patterns depths"], edges: Int[Tensor, "patterns layers"]) -> list[_Branches]:
    """The beginnings of the paths at each depth."""
    nodes, of = positions[:, 0].unique(return_inverse=True)
    found = [_Branches(nodes, nodes, nodes, of)]
    for edge, node in zip(edges.T, positions.T[1:], strict=True):
        codes, size = edge - ALL_HEADS, int(node.max()) + 1
        kinds = int(codes.max()) + 1
        key, of = ((of * kinds + codes) * size + node).unique(return_inverse=True)
        parent = key // (kinds * size)
        found.append(_Branches(parent, key // size % kinds + ALL_HEADS, key % size, of))
    return found


class _Reached(NamedTuple):
    """Where beginnings have come to: the last node of each, its tangent, and those of its query, key and value vectors."""

    node: Int[Tensor, " branches"]
    tangent: State
    moved: Projected


class _Left(NamedTuple):
    """What endings still ask of the layer below: the first node of each, and q's gradients at its skip and context vectors."""

    node: Int[Tensor, " branches"]
    skip: State
    context: Float[Tensor, "rows branches 1 heads size"]


class _Paths:
    """Paths of one instance, and the edge at which tangents from their beginnings meet gradients from their endings."""

    def __init__(self, positions: Int[Tensor, "patterns depths"], edges: Int[Tensor, "patterns layers"]) -> None:
        self.beginnings = _branches(positions, edges)
        self.endings = _branches(positions.flip(1), edges.flip(1))[::-1]
        self.layer = meeting_layer([len(b.node) for b in self.beginnings], [len(b.node) for b in self.endings])
        self.edge = edges[:, self.layer]

    def influence(self, trace: PathTrace) -> Float[Tensor, " patterns"]:
        """The influence of every path, or what the samples of a piece add to it."""
        layer, of, after = self.layer, self.beginnings[self.layer].of, self.endings[self.layer + 1].of
        start, end = self._start(trace), self._end(trace)
        size = trace.batch.ids.shape[1]
        pairs, pair = (of * size + end.node[after]).unique(return_inverse=True)
        parent, to = pairs // size, _nodes(pairs % size)
        (context,) = _in_steps(trace, len(pairs), lambda some: (_context(trace, layer, start, parent[some], to[:, some]),))
        (skip,) = _in_steps(trace, len(pairs), lambda some: (_skip(trace, start, parent[some], to[:, some]),))

        def meet(some: slice) -> tuple[Tensor]:
            left, right, head = pair[some], after[some], self.edge[some]
            by_skip = (skip[:, left, 0] * end.skip[:, right, 0]).sum(-1)
            if (head == ALL_HEADS).any():
                heads, skips = _open(trace, head)
                by_heads = (context[:, left, 0] * end.context[:, right, 0]).sum(-1)
                return (trace.mean((by_heads * heads).sum(-1) + by_skip * skips),)
            one = head.clamp(min=0)  # far fewer numbers than those of every head
            by_head = (context[:, left, 0, one] * end.context[:, right, 0, one]).sum(-1)
            return (trace.mean(torch.where(head == SKIP, by_skip, by_head)),)

        return _in_steps(trace, len(self.edge), meet)[0][0]

    def _start(self, trace: PathTrace) -> _Reached:
        """The tangents of the beginnings at the lower end of the edge where they meet the endings."""
        nodes = self.beginnings[0].node
        reached = _projected(trace, 0, nodes, start_tangents(trace, _nodes(nodes)))
        for layer in range(self.layer):
            branch = self.beginnings[layer + 1]
            (tangent,) = _in_steps(trace, len(branch.node), partial(_step_up, trace, layer, reached, branch))
            reached = _projected(trace, layer + 1, branch.node, tangent)
        return reached

    def _end(self, trace: PathTrace) -> _Left:
        """The gradients of the endings at the upper end of that edge."""
        nodes, last = self.endings[-1].node, trace.model.n_layers - 1
        at = trace.at(_nodes(nodes))
        left = _Left(nodes, *(select(x[last].flatten(0, 1), at) for x in (trace.grad_skip, trace.grad_context)))
        for layer in range(last, self.layer, -1):
            branch = self.endings[layer]
            left = _Left(branch.node, *_in_steps(trace, len(branch.node), partial(_step_down, trace, layer, left, branch)))
        return left


def meeting_layer(beginnings: Sequence[int], endings: Sequence[int]) -> int:
    """The layer whose edges are the cheapest place to meet: with the fewest steps of tangents below and gradients above.

    Args:
        beginnings: How many different beginnings there are up to each depth 0..L.
        endings: How many different endings there are from each depth 0..L on.

    >>> meeting_layer([10, 1000, 5000, 9000], [9000, 121, 11, 1])
    0
    >>> meeting_layer([1, 11, 121, 1000], [1000, 121, 11, 1])
    1
    """
    layers = range(len(beginnings) - 1)
    return min(layers, key=lambda layer: sum(beginnings[: layer + 1]) + sum(endings[layer + 1 :]))


def _step_up(trace: PathTrace, layer: int, reached: _Reached, branch: _Branches, some: slice) -> tuple[Tensor]:
    """The tangents of beginnings that are one node longer."""
    parent, to = branch.parent[some], _nodes(branch.node[some])
    heads, skips = _open(trace, branch.edge[some])
    context = _context(trace, layer, reached, parent, to).mul_(heads[:, None, :, None])
    return (advance(trace, layer, to, _skip(trace, reached, parent, to).mul_(skips[:, None, None]), context),)


def _step_down(trace: PathTrace, layer: int, left: _Left, branch: _Branches, some: slice) -> tuple[Tensor, Tensor]:
    """The gradients of endings that are one node longer, at the skips and context vectors of the layer below."""
    source, to = _nodes(branch.node[some]), _nodes(left.node[branch.parent[some]])
    heads, skips = _open(trace, branch.edge[some])
    context = left.context[:, branch.parent[some]].mul_(heads[:, None, :, None])
    at, pulled = trace.at(source), context_pull(trace, layer, source, to, context)
    by_skip = left.skip[:, branch.parent[some]] * ((source == to)[0] * skips[:, None])[..., None]
    grad = trace.tangents[layer].project_vjp(at, pulled).add_(by_skip)
    return trace.tangents[layer - 1].finish_vjp(at, grad)


def _projected(trace: PathTrace, layer: int, nodes: Tensor, tangent: State) -> _Reached:
    step = lambda some: tuple(project(trace, layer, _nodes(nodes[some]), tangent[:, some]))  # noqa: E731
    return _Reached(nodes, tangent, Projected(*_in_steps(trace, len(nodes), step)))


def _context(trace: PathTrace, layer: int, reached: _Reached, parent: Tensor, to: Tensor) -> Tensor:
    """Tangents of the context vectors at `to`, from the nodes that some beginnings have reached."""
    moved = Projected(*(x[:, parent] for x in reached.moved))
    return context_tangents(trace, layer, _nodes(reached.node[parent]), to, moved)[:, :, :, 0]


def _skip(trace: PathTrace, reached: _Reached, parent: Tensor, to: Tensor) -> State:
    """Tangents of the residuals at `to`."""
    return skip_tangents(trace, _nodes(reached.node[parent]), to, reached.tangent[:, parent])


def _open(trace: PathTrace, edge: Int[Tensor, " branches"]) -> tuple[Tensor, Tensor]:
    """Whether each head (branches, A) and the skip (branches,) carry anything: 1 or 0."""
    heads = (edge[:, None] == torch.arange(trace.model.n_heads, device=edge.device)) | (edge == ALL_HEADS)[:, None]
    return heads.to(trace.g.dtype), ((edge == SKIP) | (edge == ALL_HEADS)).to(trace.g.dtype)


def _nodes(positions: Int[Tensor, " branches"]) -> Nodes:
    return positions[None, :, None]


def _in_steps(trace: PathTrace, count: int, step: Callable[[slice], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """What a step gives for all of `count` branches, computed for some at once and joined along the second axis."""
    inner = getattr(trace.model, "inner_width", 4 * trace.model.width)
    each = trace.samples_at_once * (12 * trace.model.width + 3 * inner) * trace.g.element_size()
    size = affordable(each, STEP, most=-(-AT_ONCE // trace.samples_at_once))
    parts = [step(slice(first, first + size)) for first in range(0, count, size)]
    return parts[0] if len(parts) == 1 else tuple(torch.cat(each, 1) for each in zip(*parts, strict=True))
