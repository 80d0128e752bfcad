"""Fine-tunes an encoder for a task with Hugging Face's Trainer; a killed run continues from its last checkpoint."""

from __future__ import annotations

import importlib.util
import logging
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import transformers

from ...core.errors import FlowgaugeError, UsageError, how_to_install
from ...core.progress import Progress
from ...core.registry import Spec
from ...models.checkpoint import open_checkpoint
from ...models.interventions.random_replacement import RandomReplacement
from ...models.load import Base, check_device, load_base
from ...tasks.fingerprint import fingerprint
from ...tasks.instance import Instance
from ...tasks.registry import load_task
from ..engine.resolve import with_data, with_where
from ..loading.model_fingerprint import model_fingerprint
from ..loading.model_handle import model_source, quieten, shown_name
from ..store.listing import check_listing, write_listing
from ..store.sums import DamagedFile
from .fine_tuned_model import FineTunedModel, FineTuningConfig, OutputFolder
from .heads import FineTuningHead, HeadScore, head_of
from .reduced_training import ReducedStatesTrainer

log = logging.getLogger(__name__)
Rows = dict[str, list[dict[str, Any]]]
"""What the Trainer reads: one mapping a text, by the name of the split."""
CHECKPOINT_SHARE = 0.05
"""Steps between two checkpoints, as a share of all steps."""


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
    columns: Mapping[str, str] | None = None,
    where: Mapping[str, str] | None = None,
    ablation_robust: bool = False,
    replaced_share: float = RandomReplacement.share,
    replaced_rate: float = RandomReplacement.rate,
) -> FineTunedModel:
    """Fine-tunes an encoder on a task's `train` split and measures it on all of `validation`: accuracy, or exact match and F1.

    The optimiser is AdamW with weight decay 0.01 and a linear schedule with 10 % warm-up; the defaults are among those of Devlin
    et al. 2019, A.3. The folder, which appears complete or not at all, has weights, tokenizer, class names, a model card and
    `training.json`. Until it is complete, work is in `<out>.training`. The same call again continues a killed run, and does
    nothing once the folder exists.

    Args:
        model: An embedded model's name, a Hugging Face name or a folder; a head of another size is replaced.
        task: The name of a task with classes or spans, with settings after a colon.
        out: The folder that is written.
        data_dir: Folder of published data sets; None: $FLOWGAUGE_DATA, else the Hub.
        revision: Branch, tag or commit on the Hub.
        epochs: Passes over the data.
        lr: Largest learning rate.
        batch_size: Texts a step.
        max_length: Most tokens a text; None: 128 (spans: 384). Longer texts are cut, of two texts the longer one first, with a
            warning that counts them. Training questions whose answer is cut off are left out and counted.
        seed: Seed of the new head, the order of the data, dropout, and the sample that `limit` draws.
        limit: Training texts; None: all.
        device: `auto` (the GPU if there is one), `cpu` or `cuda`. One device is used, so that settings mean the same everywhere.
        quiet: Shows no progress bar.
        columns: The file's name of each of flowgauge's columns, for a task from a folder of `datasets`.
        where: Values of columns that rows must have, for such a task.
        ablation_robust: Replaces states by zeros at random in training, so that ablations are in distribution.
        replaced_share: Of `RandomReplacement`.
        replaced_rate: Of `RandomReplacement`.

    Returns:
        The fine-tuned model with its accuracy on the validation split.

    Raises:
        UsageError: accelerate is missing; the task has no classes, spans or data; the model cannot be used; a setting is out of
            range; the folder holds something else or a model of other settings, or another process is writing it.
        FlowgaugeError: The training diverged: weights are not finite.
    """
    if importlib.util.find_spec("accelerate") is None:
        raise UsageError(f"training needs the package accelerate: {how_to_install('train')}.")
    _check_settings(seed, epochs=epochs, lr=lr, batch_size=batch_size, max_length=max_length, limit=limit)
    replaced = _replaced(replaced_share, replaced_rate) if ablation_robust else {}
    cpu = check_cpu(device)
    quieten()
    loaded_task = load_task(with_where(with_data(Spec.parse(task), data_dir), where or {}), columns)
    head = head_of(loaded_task)
    splits = {"train": loaded_task.instances("train", limit, seed), "validation": loaded_task.instances("validation", None, 0)}
    open_checkpoint(model, revision).check_family()
    base, base_fingerprint = None, model_fingerprint(model_source(model), revision)
    if base_fingerprint is None:
        base = _load(model, head, revision, seed)  # which brings its files to this machine
        base_fingerprint = model_fingerprint(model_source(model), revision) or ""
    config = FineTuningConfig(
        model=shown_name(model), model_fingerprint=base_fingerprint, task=loaded_task.name, task_version=loaded_task.version,
        train=fingerprint(splits["train"]), validation=fingerprint(splits["validation"]), limit=limit, epochs=epochs, lr=lr,
        batch_size=batch_size, max_length=max_length or head.longest, seed=seed, **replaced,
    )  # fmt: skip
    if (finished := (output := OutputFolder(Path(out).expanduser(), config)).finished()) is not None:
        return finished
    base = base or _load(model, head, revision, seed)
    return _train_into(output, base, head, splits, source=str(loaded_task.source), cpu=cpu, quiet=quiet)


def _train_into(
    output: OutputFolder,
    base: Base,
    head: FineTuningHead,
    splits: Mapping[str, Sequence[Instance]],
    source: str,
    cpu: bool,
    quiet: bool,
) -> FineTunedModel:
    """Trains on the split `train`, measures on the split `validation`, and writes the output folder."""
    max_length = output.config.max_length
    _check_length(base, max_length, len(splits["train"][0].segments))
    rows = {name: head.rows(base, instances, max_length, name) for name, instances in splits.items()}
    with output.claim():
        finished = output.finished()  # another process may have trained the same in the meantime
        if finished is not None:
            return finished
        measure = partial(head.measure, base, splits["validation"], max_length)
        score = _fit(base, rows, measure, output.config, output.checkpoints, cpu=cpu, quiet=quiet)
        result = FineTunedModel.of(
            output.out, score.correct, len(rows["validation"]), trained_on=len(rows["train"]), source=source, f1=score.f1
        )
        return output.publish(base, result)


def check_cpu(device: str) -> bool:
    """Whether to train on the CPU.

    Args:
        device: `auto`, `cpu` or `cuda`.

    Raises:
        UsageError: Another device, or `cuda` where there is no GPU.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"training runs on auto, cpu or cuda, got {device!r}; choose among GPUs with CUDA_VISIBLE_DEVICES.")
    import torch

    check_device("cpu" if device == "auto" else device)
    return device == "cpu" or not torch.cuda.is_available()


def _check_settings(seed: int, **settings: float | None) -> None:
    if not 0 <= seed < 2**32:
        raise UsageError(f"seed must lie in 0 to {2**32 - 1}, got {seed}.")
    for name, value in settings.items():
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise UsageError(f"{name.replace('_', '-')} must be above 0, got {value}.")


def _replaced(share: float, rate: float) -> dict[str, float]:
    """The settings of the replaced states.

    Raises:
        UsageError: One of them is no share, or none would be replaced.
    """
    for name, value in (("replaced-share", share), ("replaced-rate", rate)):
        if not 0 < value <= 1:
            raise UsageError(f"{name} must lie above 0 and at most at 1, got {value}.")
    return {"replaced_share": share, "replaced_rate": rate}


def _load(model: str, head: FineTuningHead, revision: str | None, seed: int) -> Base:
    transformers.set_seed(seed)  # a new head is drawn at random
    return load_base(model, head.classes, revision)


def _check_length(base: Base, max_length: int, texts: int) -> None:
    """Checks that the model reads as many tokens, and that each of an instance's `texts` keeps at least one."""
    limit = base.max_tokens
    if limit is not None and max_length > limit:
        raise UsageError(f"the model reads {limit} tokens, so max-length cannot be {max_length}.")
    least = texts + int(base.tokenizer.num_special_tokens_to_add(pair=texts > 1))
    if max_length < least:
        raise UsageError(f"max-length must be at least {least}, special tokens and one of each text, got {max_length}.")


def _fit(
    base: Base, rows: Rows, measure: Callable[[Any], HeadScore], config: FineTuningConfig, folder: Path, cpu: bool, quiet: bool
) -> HeadScore:
    """Trains from the last complete checkpoint on, and measures on the validation split."""
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), seed=config.seed, num_train_epochs=config.epochs, learning_rate=config.lr,
        per_device_train_batch_size=config.batch_size, per_device_eval_batch_size=4 * config.batch_size,
        weight_decay=config.weight_decay, warmup_steps=config.warmup, save_strategy="steps", save_steps=CHECKPOINT_SHARE,
        logging_strategy="no", report_to="none", disable_tqdm=True, use_cpu=cpu,
        dataloader_pin_memory=not cpu,
    )  # fmt: skip
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several GPUs would multiply the batch size without a word in the config
    steps = math.ceil(math.ceil(len(rows["train"]) / config.batch_size) * config.epochs)
    with Progress(steps, quiet) as progress:
        trainer = _trainer(
            base, config, args=arguments, train_dataset=rows["train"], eval_dataset=rows["validation"],
            data_collator=transformers.DataCollatorWithPadding(base.tokenizer), callbacks=[_Watcher(progress)],
        )  # fmt: skip
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train(resume_from_checkpoint=last_checkpoint(folder))
        if not all(bool(weight.isfinite().all()) for weight in base.hf.parameters()):
            raise FlowgaugeError(
                f"the training diverged: weights are not finite after it. Delete {folder.parent} and try a smaller --lr."
            )
        progress.step("measuring", 0)
        return measure(trainer.predict(rows["validation"]))


def _trainer(base: Base, config: FineTuningConfig, **options: Any) -> transformers.Trainer:
    """The Trainer of the whole model, or of reduced ones where the settings say so."""
    if config.replaced_share is None or config.replaced_rate is None:
        return transformers.Trainer(base.hf, **options)
    return ReducedStatesTrainer(base, RandomReplacement(config.replaced_share, config.replaced_rate), **options)


class _Watcher(transformers.TrainerCallback):  # type: ignore[misc]
    """Shows the Trainer's steps on flowgauge's progress bar, and keeps its last checkpoint with the sums of its files."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def on_save(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Completes a checkpoint with the sums of its files; the one before is kept until then."""
        folder = Path(args.output_dir)
        write_listing(folder / f"checkpoint-{state.global_step}")
        for path in folder.glob("checkpoint-*"):
            if _step(path) != state.global_step:
                shutil.rmtree(path)

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        self.progress.step("training", state.global_step - self.progress.done)


def last_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint of a folder of which every file is as it was written, None where there is none; others are deleted.

    The list of a checkpoint's files with their sums is written last, so that one without it is incomplete.
    """
    for path in sorted(folder.glob("checkpoint-*"), key=_step, reverse=True):
        try:
            check_listing(path)
            return str(path)
        except DamagedFile as error:
            log.warning("%s The training continues from the checkpoint before, or starts anew where there is none.", error)
        shutil.rmtree(path)
    return None


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])
