"""What a model runs on: `Batch` (tokens, target, answers) and `Rows` (the layer at which they enter, and edits of sites)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..tasks.instance import Quantity

Site = Literal["hidden", "query", "key", "value", "attention", "context", "skip"]
Edit = Callable[[int, Tensor], Tensor]
SITES: tuple[Site, ...] = ("hidden", "query", "key", "value", "attention", "context", "skip")


def cell_seed(seed: int, name: str) -> int:
    """The seed of one instance, from sha256 of the cell's seed and the instance's id.

    Args:
        seed: The cell's seed.
        name: The instance's id.

    Returns:
        A number below 2 ** 56.

    >>> cell_seed(0, "sva/obj/SP/author")
    66742035721089717
    """
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:7], "big")


ROWS = ("ids", "attention_mask", "token_type_ids", "word_ids", "answer", "against", "target", "label", "counterpart")
"""Tensors of a batch with a row an instance."""
PADDING = {"attention_mask": False, "token_type_ids": 0, "word_ids": -1, "counterpart": -1}
"""Those of them with tokens as their second axis, besides the ids, and what fills it where `Batch.join` makes it longer."""


def padded(rows: Tensor, length: int, value: float) -> Tensor:
    """The rows with their second axis filled up to a length.

    >>> padded(torch.ones(1, 2), 3, -1).tolist()
    [[1.0, 1.0, -1.0]]
    """
    return torch.cat([rows, rows.new_full((len(rows), length - rows.shape[1], *rows.shape[2:]), value)], 1)


@dataclass(frozen=True, eq=False)
class Batch:
    """Tokenised instances and the quantity that is explained of each.

    Attributes:
        ids: Token ids, padded on the right.
        attention_mask: True where a token is real.
        token_type_ids: Index of the segment of each token.
        word_ids: Segment and blank-separated word of each token, counted from 0; -1 for special tokens and padding.
        answer: The explained output, one for each output head; of a span, the positions of its first and last token.
        against: The output that competes with the answer, fixed on the clean input.
        target: The one position that q reads, or None where q reads several.
        names: Instance ids.
        seeds: The seed of each instance (`cell_seed`), independent of batch size and order.
        quantity: The scalar q that is explained.
        pairwise: True where only answer and against compete for the prediction (minimal pairs).
        spans: True where answer and against are positions: the ends of spans.
        label: The label that each instance asks a multi-label head about, whose outputs are then no (0) and yes (1); else None.
        counterpart: Token ids of the same texts with what decides flipped (`Instance.counterpart`), token for token; -1
            throughout where an instance has none of as many tokens. None: no instance has one.
        word_vectors: Word vectors in place of the word-embedding lookup (path samples, baselines).
        cache: Shared work such as path samples, for exactly these rows.

    Raises:
        ValueError: A field has another number of rows than there are names.
    """

    ids: Int[Tensor, "batch tokens"]
    attention_mask: Bool[Tensor, "batch tokens"]
    token_type_ids: Int[Tensor, "batch tokens"]
    word_ids: Int[Tensor, "batch tokens 2"]
    answer: Int[Tensor, "batch outputs"]
    against: Int[Tensor, "batch outputs"]
    target: Int[Tensor, " batch"] | None
    names: tuple[str, ...]
    seeds: tuple[int, ...]
    quantity: Quantity = Quantity()
    pairwise: bool = False
    spans: bool = False
    label: Int[Tensor, " batch"] | None = None
    counterpart: Int[Tensor, "batch tokens"] | None = None
    word_vectors: Float[Tensor, "batch tokens word"] | None = None
    cache: dict[Any, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        size = len(self.names)
        for name in ROWS:
            value = getattr(self, name)
            if value is not None and len(value) != size:
                raise ValueError(f"a batch of {size} instances has {len(value)} rows of {name}; every field needs one row each.")
        if len(self.seeds) != size:
            raise ValueError(f"a batch of {size} instances has {len(self.seeds)} seeds; every instance needs one.")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def lengths(self) -> list[int]:
        """The number of real tokens of each instance."""
        return [int(n) for n in self.attention_mask.sum(1)]

    @property
    def positions(self) -> Int[Tensor, "batch tokens"]:
        """The position of each token, counted over real tokens from 0, so that padding on the left does not move them."""
        return (self.attention_mask.cumsum(1) - 1).clamp(min=0)

    @property
    def required_positions(self) -> Int[Tensor, "batch positions"]:
        """Positions without which q is not defined: the target, or the ends of the answer's and the competing span, or none."""
        if self.spans:
            return torch.cat([self.answer, self.against], 1)
        return self.answer[:, :0] if self.target is None else self.target[:, None]

    def rows(self, index: Int[Tensor, " rows"]) -> Batch:
        """The batch with its rows repeated, left out or reordered, and an empty cache.

        Args:
            index: The row of this batch that becomes each row of the new one.
        """
        picked = index.tolist()
        tensors = {name: value[index] for name in (*ROWS, "word_vectors") if (value := getattr(self, name)) is not None}
        names, seeds = tuple(self.names[i] for i in picked), tuple(self.seeds[i] for i in picked)
        return replace(self, **tensors, names=names, seeds=seeds, cache={})

    @classmethod
    def join(cls, batches: Sequence[Batch], padding: int) -> Batch:
        """One batch of the rows of several, padded on the right to the longest, with an empty cache.

        Args:
            batches: Batches of one task for one model, without `word_vectors`. Counterparts are dropped where a batch has none.
            padding: The token of padding (`padding_token`).
        """
        length = max(batch.ids.shape[1] for batch in batches)
        fill, tensors = {"ids": padding, **PADDING}, dict[str, Any]()
        for name in ROWS:
            parts = [value for batch in batches if (value := getattr(batch, name)) is not None]
            if name in fill:
                parts = [padded(part, length, fill[name]) for part in parts]
            tensors[name] = torch.cat(parts) if len(parts) == len(batches) else None
        names, seeds = (tuple(of_row for batch in batches for of_row in getattr(batch, field)) for field in ("names", "seeds"))
        return replace(batches[0], **tensors, names=names, seeds=seeds, cache={})

    def only(self, keep: Bool[Tensor, "batch tokens"]) -> Batch:
        """The batch with only these tokens, closed up; target and the ends of spans are counted anew.

        Args:
            keep: True at the tokens to keep; padding is dropped in any case.

        Raises:
            ValueError: A target, or an end of a span that q reads, is not kept.
        """
        keep = keep & self.attention_mask
        if not keep.gather(1, self.required_positions).all():
            raise ValueError("the tokens kept must include the target of every row (or the ends of its spans), where q is read.")
        counts = keep.sum(1)
        order = (~keep).to(torch.int8).argsort(dim=1, stable=True)[:, : int(counts.max())]
        kept = (torch.arange(len(order), device=order.device)[:, None], order)
        new_positions = (keep.cumsum(1) - 1).gather(1, self.required_positions)
        shorter = replace(
            self,
            ids=self.ids[kept],
            token_type_ids=self.token_type_ids[kept],
            attention_mask=torch.arange(order.shape[1], device=order.device) < counts[:, None],
            word_ids=self.word_ids[kept],
            counterpart=None if self.counterpart is None else self.counterpart[kept],
            word_vectors=None if self.word_vectors is None else self.word_vectors[kept],
            cache={},
        )
        if self.spans:
            answer, against = new_positions.chunk(2, 1)
            return replace(shorter, answer=answer, against=against)
        return shorter if self.target is None else replace(shorter, target=new_positions[:, 0])

    def generators(self) -> list[torch.Generator]:
        """A new random generator for each instance, on the CPU, with the instance's seed."""
        return [torch.Generator().manual_seed(seed) for seed in self.seeds]


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows that enter the loop over layers at `hidden[layer]`, with edits for these rows alone.

    Attributes:
        batch: The instance of each row.
        hidden: Their hidden states at `layer` (R, N, D).
        layer: The layer at which they enter, 0 to L.
        edits: Site to `(layer, value) -> value`; the loop continues with the value that the edit returns.

    Raises:
        ValueError: Another number of hidden states than of instances, or an unknown site.
    """

    batch: Batch
    hidden: Float[Tensor, "rows tokens hidden"]
    layer: int = 0
    edits: Mapping[Site, Edit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.batch) != len(self.hidden):
            raise ValueError(
                f"{len(self.hidden)} hidden states for a batch of {len(self.batch)}: repeat it with batch.rows(index)."
            )
        unknown = set(self.edits) - set(SITES)
        if unknown:
            raise ValueError(f"no site is called {sorted(unknown)}; sites are {', '.join(SITES)}.")


class Trace:
    """Kept sites of one group of rows.

    `whole(site, l)` is the tensor with which the loop continued, of all rows that ran together, so that autograd can give its
    gradient. `site(name, l)` is the part of it that belongs to these rows.

    Args:
        rows: These rows among all that ran together.
        kept: The kept tensors by site and layer.
        entered: The layer at which these rows entered.
    """

    def __init__(self, rows: slice, kept: Mapping[tuple[str, int], Tensor], entered: int = 0) -> None:
        self._rows, self._kept, self._entered = rows, kept, entered

    def whole(self, site: str, layer: int) -> Tensor:
        """The tensor at a site, of all rows that ran together.

        Raises:
            KeyError: The site was not kept.
        """
        if (site, layer) not in self._kept:
            raise KeyError(f"{site}[{layer}] was not kept: pass keep={{'{site}'}} to run, for a layer the rows reach.")
        return self._kept[site, layer]

    def site(self, site: str, layer: int) -> Tensor:
        """The value at a site for these rows.

        Raises:
            KeyError: The site was not kept, or these rows entered above it.
        """
        if layer < self._entered:
            raise KeyError(
                f"{site}[{layer}] is below hidden[{self._entered}], where these rows entered: they have no value there."
            )
        return self.whole(site, layer)[self._rows]
