"""Ways to cheat with a bundle, by name: each changes a copy of an honest bundle, whose sums are made to fit afterwards.

The bundle has four cells of four sentences: `saliency`, `random` and `influence-patterns`, which are done, and `diffmask-input`,
which is not applicable since the task has no train split. `ablated_accuracy` and `pattern_entropy` do not apply to saliency. The
other files of this folder enter their ways here when they are imported, one file for each thing that is forged.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Tamper = Callable[[Path], None]
TAMPERINGS: dict[str, tuple[Tamper, str]] = {}
"""Each way to cheat, with words of the problem that it has to be."""
OF_RECORDS: dict[str, tuple[Tamper, str]] = {}
"""Ways whose records must stay as they write them: only the sums of the manifest are made to fit."""
OF_BUNDLES: dict[str, tuple[Tamper, str]] = {}
"""Ways that come after sums were made to fit, and must be refused before anything else is read."""
ACCURACY, AOPC, ENTROPY, SHARE = "ablated_accuracy@1", "comprehensiveness@1", "pattern_entropy@1", "concentration@1"
"""Scores of the bundle."""


def caught_by(words: str, name: str = "") -> Callable[[Tamper], Tamper]:
    """Enters a way to cheat into the table."""

    def enter(tamper: Tamper) -> Tamper:
        return _entered(TAMPERINGS, name or tamper.__name__, tamper, words)

    return enter


def refused_by(words: str, table: dict[str, tuple[Tamper, str]] = OF_BUNDLES) -> Callable[[Tamper], Tamper]:
    """Enters a way to cheat into another table."""

    def enter(tamper: Tamper) -> Tamper:
        return _entered(table, tamper.__name__, tamper, words)

    return enter


def _entered(table: dict[str, tuple[Tamper, str]], name: str, tamper: Tamper, words: str) -> Tamper:
    assert name not in table, f"two ways to cheat are called {name}"
    table[name] = (tamper, words)
    return tamper
