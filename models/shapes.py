"""Tensor types by axis: R rows, B batch, N tokens, L layers, A heads, D hidden, E word width, d head size, S samples."""

from jaxtyping import Bool, Float, Int
from torch import Tensor

Words = Float[Tensor, "rows tokens word"]
Hidden = Float[Tensor, "rows tokens hidden"]
Heads = Float[Tensor, "*rows heads size"]
Attention = Float[Tensor, "rows heads tokens tokens"]
Outputs = tuple[Float[Tensor, "rows outputs"], ...]
PerRow = Float[Tensor, " rows"]
Ids = Int[Tensor, "batch tokens"]
Mask = Bool[Tensor, "batch tokens"]
