"""Models that flowgauge makes itself, by name: built by hand, or trained when first used and then kept in the store."""

from __future__ import annotations

from ..core.registry import Entry, Registry, Spec

MODELS = Registry(
    "model",
    "flowgauge.models",
    {
        "toy-counting": Entry(
            "flowgauge.models.built.toy_counting:ToyCounting",
            "Counts digits of toy/counting: a feed-forward network and a GRU, trained here, above 99 % on held-out examples.",
        ),
        "sst-gru": Entry(
            "flowgauge.models.built.sentence_gru:SentenceGru",
            "A GRU over the frozen word vectors of an encoder (embeddings=MODEL), trained here on sst or another task.",
        ),
        "planted": Entry(
            "flowgauge.models.built.planted_bert:PlantedBert",
            "A hand-built BERT classifier in which a noun's number takes a known path to [CLS].",
        ),
    },
)
"""The models that are made; those that come as files are in `models.zoo`."""


def is_built(name: str) -> bool:
    """Whether flowgauge makes this model itself: a registered name or `file.py[:name]`, with settings if wanted."""
    spec = Spec.parse(name)
    return spec.name in MODELS.entries() or ".py" in spec.name
