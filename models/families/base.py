"""What a family's adapter returns: `ModelParts`, the submodules of a Hugging Face model that `FlowModel` runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from ...tasks.instance import Head
from ..batch import Batch
from ..layers.base import Layer
from ..problem_types import ProblemType

LastHidden = Float[Tensor, "*rows hidden"]
Embed = Callable[[Tensor, Batch], Tensor]
Readout = Callable[[LastHidden], Tensor]


@dataclass(frozen=True, eq=False)
class ModelParts:
    """The parts of a Hugging Face model, each made of the model's own submodules.

    Attributes:
        word_embedding: The lookup table of word vectors (V, E).
        embed: Word vectors (R, N, E) to hidden[0] (R, N, D): position and token-type embeddings, norm, a projection from E to D.
        layers: The L layers, first to last.
        readout: hidden[L] to logits: at the target, or of a span head (start, end) at every position.
        head: What the readout predicts.
        n_heads: Attention (query) heads of a layer.
        width: Width of hidden states (D).
        inner_width: Width of the feed-forward block's inner vectors.
        max_tokens: The most tokens that the model has positions for; None: no limit is stated.
        problem_type: What the outputs of a sequence-classification head are.
        reads_last_token: Whether q is read at the last real token, as decoders do, and not at a gap or at the first token.
    """

    word_embedding: nn.Embedding
    embed: Embed
    layers: tuple[Layer, ...]
    readout: Readout
    head: Head
    n_heads: int
    width: int
    inner_width: int
    max_tokens: int | None
    problem_type: ProblemType = "single_label_classification"
    reads_last_token: bool = False
