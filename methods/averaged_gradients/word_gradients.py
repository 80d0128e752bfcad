"""Gradients of q at many word vectors, each times a direction of its own: what the methods of this room add up."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...models.batch import Batch
from ...models.layered import Layered
from ...models.memory import rows_at_once
from ...models.shapes import Words
from ..perturbation.captum_words import ROWS, forward_of_words

Points = Callable[[Tensor], tuple[Words, Words]]
"""Word vectors and directions of the points with these numbers."""


def gradient_products(
    model: Layered, batch: Batch, row: Int[Tensor, " rows"], words: Words, directions: Words
) -> Float[Tensor, "rows tokens"]:
    """The gradient of q at other word vectors times a direction, <dq/dz_j, d_j>.

    Args:
        model: The model.
        batch: The instances.
        row: The instance of each point.
        words: The word vectors z of each point.
        directions: The directions d of each point.

    Returns:
        The products of every word (R, N), in units of q.
    """
    with torch.enable_grad():
        leaf = words.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(forward_of_words(model, batch)(leaf, row).sum(), [leaf])
    return torch.einsum("rne,rne->rn", gradient, directions)


def summed_products(model: Layered, batch: Batch, row: Int[Tensor, " points"], points: Points) -> Float[Tensor, "batch tokens"]:
    """The sums of `gradient_products` over the points of each instance, as many points at once as the memory budget allows.

    Args:
        model: The model.
        batch: The instances.
        row: The instance of each point.
        points: Computes the points with some numbers, indices of `row`; it is called once for each, in order.

    Returns:
        The sums of every word (B, N) in float64, 0 at positions that the model does not allow to be masked.
    """
    tokens = torch.zeros(batch.ids.shape, dtype=torch.float64, device=row.device)
    for part in torch.arange(len(row), device=row.device).split(rows_at_once(model, batch.ids.shape[1], ROWS, gradients=True)):
        products = gradient_products(model, batch, row[part], *points(part))
        tokens.index_add_(0, row[part], products.double())
    return tokens * model.maskable(batch)
