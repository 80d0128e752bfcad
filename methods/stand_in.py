"""What takes the place of words that are masked away, for methods that learn no vector for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from ..core.errors import NotApplicable, UsageError
from ..models.batch import Batch
from ..models.layered import Layered

StandIn = Literal["zero", "mask"]


def check_stand_in(baseline: str) -> None:
    """Refuses a setting that is no stand-in.

    Raises:
        UsageError: With those that there are.
    """
    if baseline not in get_args(StandIn):
        raise UsageError(f"baseline must be {' or '.join(get_args(StandIn))}, got {baseline!r}.")


@torch.no_grad()
def stand_in(model: Layered, batch: Batch, baseline: StandIn) -> Float[Tensor, " word"]:
    """The zero vector, or the mask token's word vector.

    Raises:
        NotApplicable: The tokenizer has no mask token.
    """
    one = batch.rows(torch.zeros(1, dtype=torch.long, device=batch.ids.device))
    if baseline == "zero":
        return torch.zeros_like(model.words(one)[0, 0])
    token = getattr(model.tokenizer, "mask_token_id", None)
    if token is None:
        raise NotApplicable(f"the tokenizer of {model.name!r} has no mask token: use baseline=zero.")
    return model.words(replace(one, ids=torch.full_like(one.ids, token), word_vectors=None, cache={}))[0, 0]
