"""Models that flowgauge makes itself, by name: built by hand, or trained when first used and then kept in the store."""

from __future__ import annotations

from ..core.registry import Entry, Registry

MODELS = Registry(
    "model",
    "flowgauge.models",
    {
        "planted": Entry(
            "flowgauge.models.planted:Planted",
            "A hand-built BERT classifier in which a noun's number takes a known path to [CLS].",
        ),
    },
)
"""The models that are made; those that come as files are in `models.zoo`."""
