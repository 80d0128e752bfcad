"""Models that come with flowgauge, so that a first run needs no network."""

from importlib.resources import files
from pathlib import Path

ZOO = {"agreement-bert": Path(str(files(__package__) / "agreement-bert"))}
"""Embedded models by name, and their folders."""
SUMMARIES = {"agreement-bert": "6-layer, 8-head BERT trained on agreement sentences (1.2 M parameters); its card has the accuracies"}
