"""Forged: the training behind a cell."""

from __future__ import annotations

from pathlib import Path

from .catalogue import caught_by
from .edits import planted_training


@caught_by("its name is not the hash of its key")
def a_training_in_another_folder(bundle: Path) -> None:
    planted_training(bundle, "diffmask-input-000000000000")


@caught_by("its weights are not those whose sum its fit.json holds")
def a_training_with_other_weights(bundle: Path) -> None:
    planted_training(bundle, weights="0" * 64)


@caught_by("its weights are not those whose sum its fit.json holds")
def a_training_with_an_empty_sum(bundle: Path) -> None:
    planted_training(bundle, weights="")


@caught_by("its fit.json cannot be read")
def a_training_of_another_kind(bundle: Path) -> None:
    planted_training(bundle, seconds="1")


@caught_by("it took -1.0 seconds")
def a_training_of_negative_length(bundle: Path) -> None:
    planted_training(bundle, seconds=-1.0)
