"""A BERT whose weights are set by hand, so that number travels to [CLS] along known routes (`tasks.planted`).

Directions. Hidden states are sums of orthonormal directions, random and orthogonal to (1, ..., 1): one for each position, one of
number for words and one for each route and layer, one of the feature of fillers, and some that distinguish words. Their mean is
0, and the position's part is so large that the norm hardly depends on the words: LayerNorm only rescales, by 1 % or less.

Heads. Queries and keys depend on positions alone. A head that carries a route attends, from the route's next position, to its
present one, and from everywhere else to [SEP], whose state carries no number. It reads the direction in which the route was last
written and writes that of its own layer, so that no head reads the copies that skips leave behind. Feed-forward layers are zero
but for saturation and noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...core.errors import UsageError
from ...tasks.planted import FILLERS, NOUNS, NUMBERS, SKIP, SPLITS, TARGET, PlantedTask, Route, Wiring, route_heads, routes
from ..batch import Rows
from ..flow.flow_model import FlowModel
from ..inputs.encode import encode
from .builder import model

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
NORM = 16.0
"""Norm of the position's part of a hidden state, in which the number's part has norm 1."""
IDENTITIES, IDENTITY = 8, 0.5
"""How many directions distinguish words, and the norm of a word's part in them."""
FOCUS, DECOY_FOCUS = 10.0, 12.0
"""Attention scores of the position that a head attends to, while others have 0: .9996 of the weight among ten tokens."""
SHARP = 20.0
"""Steepness of the saturation's corner: relu(y) is computed as gelu(SHARP y) / SHARP."""
STEEP, LOGIT = 0.5, 5.0
"""The readout: logits are -LOGIT and LOGIT times tanh(STEEP * number)."""
PROBED, MARGIN = 100, 0.02
"""Sentences of each condition and split that a model must answer right when it is built, by at least this margin of number."""


@model("planted")
@dataclass(frozen=True)
class PlantedBert(Wiring):
    """A hand-built BERT classifier in which a noun's number takes a known path to [CLS]."""

    def build(self, weights: Mapping[str, Tensor]) -> FlowModel:
        """Builds the model in float32 on the CPU.

        Args:
            weights: Not used; nothing is trained.

        Raises:
            UsageError: With these settings the model does not answer every sentence right.
        """
        from transformers import BertForSequenceClassification

        tokenizer = make_tokenizer()
        config = _config(self, len(tokenizer))
        with torch.random.fork_rng(devices=[]):
            hf = BertForSequenceClassification(config)
        with torch.no_grad():
            for name, tensor in hf.named_parameters():
                tensor.fill_(NORM / math.sqrt(config.hidden_size) if name.endswith("LayerNorm.weight") else 0.0)
            _wire(hf, self, tokenizer.get_vocab())
        model = FlowModel(hf, tokenizer, self.name)  # type: ignore[attr-defined]  # the decorator names it
        _balance_and_check(model, self)
        return model


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A fast tokenizer with one token for each word, which writes `[CLS] A [SEP]`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = (*SPECIAL, *(noun + ending for noun in NOUNS for ending in ("", "s")), *FILLERS)
    raw = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    ends = [(end, SPECIAL.index(end)) for end in ("[CLS]", "[SEP]")]
    raw.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    names = {f"{name.strip('[]').lower()}_token": name for name in SPECIAL}
    return PreTrainedTokenizerFast(tokenizer_object=raw, model_input_names=["input_ids", "attention_mask"], **names)


def _config(wiring: Wiring, vocabulary: int) -> Any:
    from transformers import BertConfig

    size = max(wiring.tokens, math.ceil((sum(_counts(wiring)) + 1) / wiring.heads))
    names = dict(enumerate(NUMBERS.values()))
    return BertConfig(
        vocab_size=vocabulary, hidden_size=wiring.heads * size, num_hidden_layers=wiring.depth,
        num_attention_heads=wiring.heads, intermediate_size=2 * wiring.heads * size, max_position_embeddings=wiring.tokens,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, pad_token_id=0,
        id2label=names, label2id={name: index for index, name in names.items()},
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Directions:
    """The unit vectors of which hidden states are sums.

    Attributes:
        position: The direction of each position.
        words: The direction of number in a word vector.
        channel: The direction in which layer l writes the number of a route. These and `words` have the cosine `overlap` with
            `filler`.
        filler: The direction of the feature of fillers, the words without number.
        identity: The directions that distinguish words.
    """

    position: Float[Tensor, "tokens width"]
    words: Float[Tensor, " width"]
    channel: Float[Tensor, "routes layers width"]
    filler: Float[Tensor, " width"]
    identity: Float[Tensor, "some width"]

    def read(self, wiring: Wiring, route: Route, layer: int) -> Float[Tensor, " width"]:
        """The direction in which a route's number was last written before a layer."""
        written = [below for below in range(layer) if route.heads[below] != SKIP]
        if not written:
            return self.words
        writer = route_heads(wiring)[written[-1]].tolist().index(route.heads[written[-1]])
        return self.channel[writer, written[-1]]


def _counts(wiring: Wiring) -> list[int]:
    """The number of directions of position, number, the feature of fillers and identity."""
    return [wiring.tokens, 1 + wiring.ways * wiring.depth, 1, IDENTITIES]


def directions(wiring: Wiring, width: int, draw: torch.Generator) -> Directions:
    """Random orthonormal directions with mean 0; those of number are then turned towards `filler`.

    Args:
        wiring: The settings, `overlap` among them.
        width: D.
        draw: The generator of the random directions.
    """
    counts = _counts(wiring)
    columns = torch.randn(width, 1 + sum(counts), generator=draw, dtype=torch.float64)
    columns[:, 0] = 1.0
    position, number, filler, identity = torch.linalg.qr(columns).Q[:, 1:].T.split(counts)
    number = math.sqrt(1 - wiring.overlap**2) * number + wiring.overlap * filler
    return Directions(position, number[0], number[1:].unflatten(0, (-1, wiring.depth)), filler[0], identity)


def _wire(hf: Any, wiring: Wiring, ids: Mapping[str, int]) -> None:
    """Sets every weight of the model that is not 0."""
    draw = torch.Generator().manual_seed(wiring.seed)
    along = directions(wiring, hf.config.hidden_size, draw)
    embeddings = hf.bert.embeddings
    embeddings.position_embeddings.weight.copy_(NORM * along.position)
    _word_vectors(embeddings.word_embeddings.weight, along, ids, draw)
    for index, layer in enumerate(hf.bert.encoder.layer):
        _wire_layer(layer.attention, wiring, index, along, draw)
        if wiring.saturation:
            _saturate(layer.intermediate.dense, layer.output.dense, wiring, index, along)
    arrived = [along.read(wiring, route, wiring.depth) for route in routes(wiring)]
    hf.bert.pooler.dense.weight[0] = STEEP * torch.stack(arrived).sum(0)
    hf.classifier.weight[:, 0] = torch.tensor([-LOGIT, LOGIT])
    if wiring.noise:
        for tensor in hf.bert.encoder.parameters():
            if tensor.ndim == 2:
                tensor += wiring.noise / math.sqrt(hf.config.hidden_size) * torch.randn(tensor.shape, generator=draw)


def _word_vectors(table: Tensor, along: Directions, ids: Mapping[str, int], draw: torch.Generator) -> None:
    """Sets the word vectors: number for nouns (singular -1, plural 1), their own feature for fillers, and identities for both.

    Vectors of special tokens, [MASK] among them, stay 0, so that the baseline has no number.
    """
    own = torch.randn(len(NOUNS) + len(FILLERS), IDENTITIES, generator=draw, dtype=torch.float64)
    own = IDENTITY * torch.nn.functional.normalize(own, dim=1) @ along.identity
    for noun, vector in zip(NOUNS, own, strict=False):
        table[ids[noun]], table[ids[noun + "s"]] = vector - along.words, vector + along.words
    for index, (filler, vector) in enumerate(zip(FILLERS, own[len(NOUNS) :], strict=True)):
        table[ids[filler]] = vector + (-1) ** index * along.filler


def _wire_layer(attention: Any, wiring: Wiring, layer: int, along: Directions, draw: torch.Generator) -> None:
    """Sets the attention of a layer, head by head in the order of `route_heads`: routes, decoys, idle heads.

    Idle heads attend to [SEP] alone.
    """
    every, heads = routes(wiring), route_heads(wiring)[layer].tolist()
    edges = [(r.positions[layer + 1], r.positions[layer]) for r in every if r.heads[layer] != SKIP]
    size = attention.self.query.out_features // wiring.heads
    for rank, head in enumerate(heads):
        rows = slice(head * size, (head + 1) * size)
        read, write = attention.self.value.weight[rows][0], attention.output.dense.weight[:, rows][:, 0]
        own, focus = list[tuple[int, int]](), FOCUS
        if rank < len(every) and every[rank].heads[layer] == head:
            route = every[rank]
            own = [(route.positions[layer + 1], route.positions[layer])]
            read.copy_(along.read(wiring, route, layer))
            write.copy_((wiring.weight(rank) if own[0][0] == TARGET else 1.0) * along.channel[rank, layer])
        elif len(every) <= rank < len(every) + wiring.decoys:
            own, focus = edges, DECOY_FOCUS
            source, destination = torch.randperm(IDENTITIES, generator=draw)[:2].tolist()
            read.copy_(along.identity[source])
            write.copy_(along.identity[destination])
        _attend(attention.self.query.weight[rows], attention.self.key.weight[rows], own, along.position, focus)


def _saturate(inner: Any, outer: Any, wiring: Wiring, layer: int, along: Directions) -> None:
    """Replaces the number x of planted routes that hop first in this layer by clip(x, -a, a) / a, a = 1 / (1 + saturation).

    clip(x, -a, a) = relu(x + a) - relu(x - a) - a, with gelu(SHARP y) / SHARP for relu(y); and x = gelu(x) - gelu(-x), exactly.
    """
    limit = 1 / (1 + wiring.saturation)
    hopping = [index for index, route in enumerate(routes(wiring)[: wiring.routes]) if _first_hop(route) == layer]
    for rank, index in enumerate(hopping):
        along_route, units = along.channel[index, layer], slice(4 * rank, 4 * rank + 4)
        inner.weight[units] = torch.outer(SHARP * torch.tensor([1.0, 1.0, 1.0, -1.0]).to(along_route), along_route)
        inner.bias[units] = SHARP * limit * torch.tensor([1.0, -1.0, 0.0, 0.0])
        weights = torch.tensor([1 / limit, -1 / limit, -1.0, 1.0]).to(along_route) / SHARP
        outer.weight[:, units] = torch.outer(along_route, weights)
        outer.bias -= along_route.to(outer.bias)


def _first_hop(route: Route) -> int:
    """The first layer in which a head carries the route."""
    return next(layer for layer, head in enumerate(route.heads) if head != SKIP)


def _attend(query: Tensor, key: Tensor, edges: Sequence[tuple[int, int]], position: Tensor, focus: float) -> None:
    """Makes each edge's first position attend to its second, and all others to the last one, [SEP], with the score `focus`."""
    scale = math.sqrt(focus * math.sqrt(len(query))) / NORM
    sink, count = len(position) - 1, len(position)
    attended = torch.zeros(count, count, dtype=position.dtype)
    for to, source in edges:
        attended[source, to] = 1
    attended[sink] += ~attended.any(0)
    query[:count], key[:count] = scale * attended @ position, scale * position


@torch.no_grad()
def _balance_and_check(model: FlowModel, wiring: Wiring) -> None:
    """Sets the readout's threshold half way between the two numbers, which noise shifts, and tests every kind of sentence.

    Raises:
        UsageError: The model does not answer all of them right.
    """
    task = PlantedTask(**{field.name: getattr(wiring, field.name) for field in fields(Wiring)}, sentences=PROBED)
    batch = encode(model, [i for split in SPLITS for i in task.instances(split)])
    (trace,) = model.run(Rows(batch, model.embed(model.words(batch), batch)))
    last = trace.site("hidden", model.n_layers)
    pooler = model.hf.bert.pooler.dense
    number, plural = last[:, TARGET] @ pooler.weight[0], batch.answer[:, 0] == 1
    pooler.bias[0] = -(number[plural].mean() + number[~plural].mean()) / 2
    margin = torch.where(plural, 1, -1) * (number + pooler.bias[0]) / STEEP
    right = (margin > MARGIN).double().mean()
    if right < 1:
        raise UsageError(
            f"the model {task.model!r} answers only {100 * right:.1f} % of the sentences right and by a margin, so that it does "
            "not compute what was planted: lower strength, distractors, overlap, saturation or noise."
        )
