"""Models that flowgauge makes itself, by name: built by hand, or trained when first used and then kept in the store."""

from __future__ import annotations

from ..core.registry import Registry

MODELS = Registry("model", "flowgauge.models", {})
"""The models that are made; those that come as files are in `models.zoo`."""
