"""Models that come with the package, so that a first run needs no network; `load_model` reads their folders."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from ...core.errors import UnknownName

__all__ = ["SUMMARIES", "ZOO", "zoo_path"]

SUMMARIES: Mapping[str, str] = MappingProxyType(
    {
        "agreement-bert": "A 6-layer, 8-head BERT, one token a word, for sva/* and ra/*; it bears states that are ablated.",
        "agreement-bert-plain": "agreement-bert before it was trained with replaced states, for comparison.",
        "agreement-gpt2": "A 6-layer, 8-head GPT-2, for sva/* and ra/* up to the gap; it bears states that are ablated.",
        "agreement-gpt2-plain": "agreement-gpt2 before it was trained with replaced states, for comparison.",
    }
)
"""The line of each embedded model in `flowgauge list models`."""
ZOO: Mapping[str, Path] = MappingProxyType({name: Path(str(files(__package__).joinpath(name))) for name in SUMMARIES})
"""The folder of each embedded model, a Hugging Face checkpoint."""


def zoo_path(name: str) -> Path:
    """The folder of an embedded model.

    Raises:
        UnknownName: No embedded model has this name.
    """
    if name not in ZOO:
        raise UnknownName("embedded model", name, ZOO)
    return ZOO[name]
