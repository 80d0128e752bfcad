"""The command line of an embedded model's script: it trains, measures and writes the card."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch

from .accuracy import Accuracy
from .recipe import RECIPE, Recipe

log = logging.getLogger(__name__)
R = TypeVar("R", bound=Recipe)


def run_command(
    purpose: str,
    recipe_class: type[R],
    train: Callable[[Path, R], object],
    measure: Callable[[Path], list[Accuracy]],
    card: Callable[[Mapping[str, object], Sequence[Accuracy]], str],
    arguments: Sequence[str] | None,
) -> None:
    """Trains if not told to measure alone, measures, and writes the card.

    Args:
        purpose: What the script does, for its help.
        recipe_class: The recipe, whose steps and seed are options.
        train: Trains a model in a folder.
        measure: The accuracy of the model in a folder.
        card: The card of a recipe and an accuracy.
        arguments: Of the command line; None: those of the process.
    """
    parser = argparse.ArgumentParser(description=purpose)
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--steps", type=int, default=recipe_class.steps)
    parser.add_argument("--seed", type=int, default=recipe_class.seed)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; the weights depend on it in the last bits")
    parser.add_argument("--evaluate", action="store_true", help="only measure the model in --out, and write its card")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(given.threads)
    if not given.evaluate:
        train(given.out, recipe_class(seed=given.seed, steps=given.steps))
    accuracy = measure(given.out)
    recipe = json.loads((given.out / RECIPE).read_text(encoding="utf-8"))
    (given.out / "README.md").write_text(card(recipe, accuracy), encoding="utf-8")
    log.info("%s", "\n".join(f"{row.task} {row.condition}: {row.right} of {row.count}" for row in accuracy))
