"""Fine-tunes an encoder for a task with Hugging Face's Trainer; a killed run goes on at its last checkpoint."""

from __future__ import annotations

import importlib.util
import json
import logging
import math
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import transformers

from ...core.errors import FlowgaugeError, UsageError
from ...core.registry import Spec
from ...models.load import Base, check_device, load_base
from ...tasks.fingerprint import fingerprint
from ...tasks.registry import load_task
from ..engine.model_handle import model_source, quieten, shown_name
from ..engine.progress import Progress
from ..engine.resolve import with_data
from ..store.model_fingerprint import model_fingerprint
from .fine_tuned_model import FineTunedModel, FineTuningConfig, OutputFolder
from .heads import FineTuningHead, HeadScore, aim_of

log = logging.getLogger(__name__)
Rows = dict[str, list[dict[str, Any]]]
"""What the Trainer reads of each split, one mapping a text."""
CHECKPOINT_SHARE = 0.05
"""Of all steps, between two checkpoints."""


def train(
    model: str,
    task: str,
    out: str | Path,
    *,
    data_dir: str | None = None,
    revision: str | None = None,
    epochs: float = 3,
    lr: float = 5e-5,
    batch_size: int = 32,
    max_length: int | None = None,
    seed: int = 0,
    limit: int | None = None,
    device: str = "auto",
    quiet: bool = True,
) -> FineTunedModel:
    """Fine-tunes an encoder on a task's `train` split and measures it on all of `validation`: accuracy, or exact match and F1.

    AdamW with weight decay 0.01, a linear schedule with 10 % warm-up; the defaults are among those of Devlin et al. 2019, A.3.
    The folder appears whole: weights, tokenizer, class names, a model card and `training.json`. Until then work is beside it, in
    `<out>.training`. The same call again goes on where a killed one was, and does nothing once the folder is there.

    Args:
        model: An embedded model's name, a Hugging Face name or a folder; any head it has is replaced if it does not fit.
        task: A task with classes or spans by name, with settings after a colon.
        out: The folder to write.
        data_dir: Folder of published data sets; None: $FLOWGAUGE_DATA, else the Hub.
        revision: Branch, tag or commit on the Hub.
        epochs: Passes over the data.
        lr: Largest learning rate.
        batch_size: Texts a step.
        max_length: Tokens a text, None: 128 (spans: 384); longer ones are cut, of two texts the longer one first, with a warning
            that counts them. Training questions whose answer is cut off are left out and counted.
        seed: Of the new head, the order of the data, dropout, and the sample that `limit` draws.
        limit: Training texts; None: all.
        device: `auto` (the GPU if there is one), `cpu` or `cuda`. One device is used, so that a recipe means one thing.
        quiet: Shows no progress bar.

    Raises:
        UsageError: accelerate is missing, a task without classes, spans or data, a model that cannot be used, settings out of
            range, a folder that holds something else, or the same with other settings, or that another process is writing.
        FlowgaugeError: Weights that are not finite.
    """
    if importlib.util.find_spec("accelerate") is None:
        raise UsageError("training needs the package accelerate: pip install 'flowgauge[train]'.")
    _check(epochs=epochs, lr=lr, batch_size=batch_size, max_length=max_length, limit=limit)
    if not 0 <= seed < 2**32:
        raise UsageError(f"seed must lie in 0 to {2**32 - 1}, got {seed}.")
    cpu = check_cpu(device)
    quieten()
    made = load_task(with_data(Spec.parse(task), data_dir))
    aim = aim_of(made)
    most = max_length or aim.longest
    split = {"train": made.instances("train", limit, seed), "validation": made.instances("validation", None, 0)}
    base = None
    known = model_fingerprint(model_source(model), revision)
    if known is None:
        base = _load(model, aim, revision, seed)
        known = model_fingerprint(model_source(model), revision) or ""
    recipe = FineTuningConfig(
        model=shown_name(model), model_fingerprint=known, task=made.name, task_version=made.version,
        train=fingerprint(split["train"]), validation=fingerprint(split["validation"]), limit=limit, epochs=epochs, lr=lr,
        batch_size=batch_size, max_length=most, seed=seed,
    )  # fmt: skip
    place = OutputFolder(Path(out).expanduser(), recipe)
    done = place.finished()
    if done is not None:
        return done
    base = base or _load(model, aim, revision, seed)
    _demand_room(base, most, len(split["train"][0].segments))
    rows = {name: aim.rows(base, instances, most, name) for name, instances in split.items()}
    with place.claim():
        done = place.finished()  # by another process, in the meantime
        if done is not None:
            return done
        measure = partial(aim.measure, base, split["validation"], most)
        measured = _fit(base, rows, measure, recipe, place.checkpoints, cpu, quiet)
        counts = measured.correct, len(rows["validation"]), len(rows["train"])
        result = FineTunedModel.of(place.out, *counts, str(made.source), measured.f1)
        return place.publish(base, result)


def check_cpu(device: str) -> bool:
    """Whether to train on the CPU.

    Raises:
        UsageError: Neither auto, cpu nor cuda, or a GPU that is not there.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"training runs on auto, cpu or cuda, got {device!r}; choose among GPUs with CUDA_VISIBLE_DEVICES.")
    import torch

    check_device("cpu" if device == "auto" else device)
    return device == "cpu" or not torch.cuda.is_available()


def _check(**settings: float | None) -> None:
    for name, value in settings.items():
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise UsageError(f"{name.replace('_', '-')} must be above 0, got {value}.")


def _load(model: str, aim: FineTuningHead, revision: str | None, seed: int) -> Base:
    transformers.set_seed(seed)
    return load_base(model, aim.classes, revision)


def _demand_room(base: Base, most: int, texts: int) -> None:
    limit = base.max_tokens
    if limit is not None and most > limit:
        raise UsageError(f"the model reads {limit} tokens, so max-length cannot be {most}.")
    least = texts + int(base.tokenizer.num_special_tokens_to_add(pair=texts > 1))
    if most < least:
        raise UsageError(f"max-length must be at least {least}, special tokens and one of each text, got {most}.")


def _fit(
    base: Base, rows: Rows, measure: Callable[[Any], HeadScore], recipe: FineTuningConfig, folder: Path, cpu: bool, quiet: bool
) -> HeadScore:
    """Trains from the last whole checkpoint on, and measures on the validation split."""
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), seed=recipe.seed, num_train_epochs=recipe.epochs, learning_rate=recipe.lr,
        per_device_train_batch_size=recipe.batch_size, per_device_eval_batch_size=4 * recipe.batch_size,
        weight_decay=recipe.weight_decay, warmup_steps=recipe.warmup, save_strategy="steps", save_steps=CHECKPOINT_SHARE,
        save_total_limit=1, logging_strategy="no", report_to="none", disable_tqdm=True, use_cpu=cpu,
        dataloader_pin_memory=not cpu,
    )  # fmt: skip
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several GPUs would multiply the batch size behind the recipe's back
    steps = math.ceil(math.ceil(len(rows["train"]) / recipe.batch_size) * recipe.epochs)
    with Progress(steps, quiet) as progress:
        trainer = transformers.Trainer(
            base.hf, arguments, train_dataset=rows["train"], eval_dataset=rows["validation"],
            data_collator=transformers.DataCollatorWithPadding(base.tokenizer), callbacks=[_Bar(progress)],
        )  # fmt: skip
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train(resume_from_checkpoint=last_checkpoint(folder))
        if not all(bool(weight.isfinite().all()) for weight in base.hf.parameters()):
            raise FlowgaugeError(
                f"the training diverged: weights are not finite after it. Delete {folder.parent} and try a smaller --lr."
            )
        progress.step("measuring", 0)
        return measure(trainer.predict(rows["validation"]))


class _Bar(transformers.TrainerCallback):  # type: ignore[misc]
    """The Trainer's steps on the house's progress bar."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        self.progress.step("training", state.global_step - self.progress.done)


def last_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that is whole; what a killed run left half-written is removed.

    The Trainer writes `trainer_state.json` last, so a checkpoint with a readable one that counts its own steps has all the rest.
    """
    for path in sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.rpartition("-")[2])):
        try:
            if json.loads((path / "trainer_state.json").read_bytes())["global_step"] == int(path.name.rpartition("-")[2]):
                return str(path)
        except (OSError, ValueError, KeyError):
            log.warning("the checkpoint %s is not whole; going on from the one before.", path.name)
        shutil.rmtree(path)
    return None
