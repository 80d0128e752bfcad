"""Trains an embedded model on sentences of the grammar, in a way that can be interrupted.

Every step draws its sentences from (seed, step), so that a run that continues from a checkpoint gives the same weights as one
that was not interrupted.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from flowgauge.core.errors import UsageError

from .grammar import GrammarSentence, load_grammar
from .recipe import Recipe
from .tokenizer import save

log = logging.getLogger(__name__)
CHECKPOINT = "checkpoint.pt"
EVERY = 250
"""Steps between checkpoints."""
BatchLoss = Callable[[PreTrainedModel, Sequence[GrammarSentence], random.Random], Tensor]
"""The loss of a model on some sentences; the generator draws whatever the loss draws."""


def seeded(architecture: type[PreTrainedModel], config: PreTrainedConfig, seed: int) -> PreTrainedModel:
    """The untrained model, whose weights a seed determines; the state of torch's own generator is left as it was.

    Args:
        architecture: The class of the model.
        config: Its configuration.
        seed: Of the initial weights.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return architecture(config)


def train_model(
    out: Path, recipe: Recipe, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, batch_loss: BatchLoss
) -> PreTrainedModel:
    """Trains a model from scratch, or continues from `out/checkpoint.pt`; the weights are saved in float16.

    Args:
        out: The folder that receives the model.
        recipe: The settings of the training.
        model: The untrained model.
        tokenizer: Saved with the model.
        batch_loss: What is minimised.

    Raises:
        UsageError: The checkpoint is that of other settings.
    """
    grammar = load_grammar()
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    first = _resume(out, recipe, model, optimiser)
    model.train()
    began = time.monotonic()
    for step in range(first, recipe.updates):
        rng = random.Random(f"{recipe.seed}/{step}")
        loss = batch_loss(model, [grammar.sentence(rng) for _ in range(recipe.batch)], rng)
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate_at(step)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if (step + 1) % 100 == 0:
            log.info("step %d of %d: loss %.4f, %.0f s", step + 1, recipe.updates, loss.item(), time.monotonic() - began)
        if (step + 1) % EVERY == 0 or step + 1 == recipe.updates:
            _write_checkpoint(out, recipe, model, optimiser, step + 1)
    save(model, tokenizer, recipe, out)
    (out / CHECKPOINT).unlink(missing_ok=True)
    return model


def _write_checkpoint(out: Path, recipe: Recipe, model: PreTrainedModel, optimiser: torch.optim.Optimizer, step: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    state = {"recipe": asdict(recipe), "step": step, "model": model.state_dict(), "optimiser": optimiser.state_dict()}
    torch.save(state, out / "checkpoint.tmp")
    (out / "checkpoint.tmp").replace(out / CHECKPOINT)


def _resume(out: Path, recipe: Recipe, model: PreTrainedModel, optimiser: torch.optim.Optimizer) -> int:
    """Loads the checkpoint, if there is one, and returns the step from which training continues."""
    path = out / CHECKPOINT
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    if state["recipe"] != asdict(recipe):
        raise UsageError(f"{path} belongs to another recipe, {state['recipe']}: remove it or choose another --out.")
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    log.info("continuing from step %d", state["step"])
    return int(state["step"])
