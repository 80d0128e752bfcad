"""Models that flowgauge builds, by name: with weights set by hand, or trained when first used and then kept in the store."""

from __future__ import annotations

from ..core.registry import Registry, Spec

MODELS = Registry(
    "model",
    "flowgauge.models",
    {
        "toy-counting": "flowgauge.models.built.toy_counting:ToyCounting",
        "sst-gru": "flowgauge.models.built.sentence_gru:SentenceGru",
        "planted": "flowgauge.models.built.planted_bert:PlantedBert",
    },
)
"""The models that flowgauge builds; those that come as files are in `models.zoo`."""


def is_built(name: str) -> bool:
    """Whether flowgauge builds this model: a registered name or `file.py[:name]`, with or without settings.

    >>> is_built("planted:depth=6"), is_built("agreement-bert")
    (True, False)
    """
    spec = Spec.parse(name)
    return spec.name in MODELS.entries() or ".py" in spec.name
