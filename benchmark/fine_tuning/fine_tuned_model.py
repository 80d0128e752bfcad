"""The folder of a fine-tuned model, which appears complete or not at all, with its settings and its model card."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from scipy.stats import binomtest

from ...core.errors import UsageError
from ..engine.provenance import versions
from ..store.atomic_files import write_file
from ..store.listing import folder_sums
from ..store.sums import DamagedFile, check, file_sum, sealed_json, without_seal

log = logging.getLogger(__name__)
RECORD = "training.json"
PACKAGES = ("flowgauge", "torch", "transformers", "accelerate", "tokenizers")


@dataclass(frozen=True)
class FineTuningConfig:
    """Everything that may change the weights. Data and base model are identified by their fingerprints.

    Attributes:
        train: Fingerprint of the training texts.
        validation: Fingerprint of the texts that accuracy is measured on.
        lr: Largest learning rate.
        max_length: Most tokens a text.
        warmup: Share of the steps in which the learning rate rises.
        replaced_share: Of the texts, share of which states are replaced (`--ablation-robust`); None: of none.
        replaced_rate: Largest share of a text's states that is replaced; None where none is.
    """

    model: str
    model_fingerprint: str
    task: str
    task_version: int
    train: str
    validation: str
    limit: int | None
    epochs: float
    lr: float
    batch_size: int
    max_length: int
    seed: int
    weight_decay: float = 0.01
    warmup: float = 0.1
    replaced_share: float | None = None
    replaced_rate: float | None = None

    @property
    def replacement(self) -> str:
        """A line on the replaced states for the model card; empty where none was replaced."""
        if self.replaced_share is None or self.replaced_rate is None:
            return ""
        return (
            f"| | states of {self.replaced_share:.0%} of the texts replaced by zeros at random, up to {self.replaced_rate:.0%} "
            "of them, so that ablations are in distribution |\n"
        )

    def differences(self, stored: Mapping[str, Any]) -> list[str]:
        """The settings that differ from stored ones. A base model is compared by its fingerprint, not by its name."""
        return [
            f"{name}: {stored.get(name)!r} there, {value!r} now"
            for name, value in asdict(self).items()
            if name != "model" and stored.get(name) != value
        ]


@dataclass(frozen=True)
class FineTunedModel:
    """A fine-tuned model and its accuracy on the validation split.

    Attributes:
        folder: The folder that it is in, as `--model` takes it.
        accuracy: Share of right answers; of spans, the share of exact matches.
        low: Lower end of the 95 % interval of the accuracy (Wilson 1927).
        high: Upper end of the same interval.
        correct: Number of right answers.
        count: Number of validation texts.
        trained_on: Number of training texts.
        source: Where the data came from.
        f1: Of spans, the mean F1 of predicted and right answers; None for classes.
        fresh: Whether this call trained it; otherwise it was there before.
    """

    folder: Path
    accuracy: float
    low: float
    high: float
    correct: int
    count: int
    trained_on: int
    source: str
    f1: float | None = None
    fresh: bool = field(default=True, compare=False)

    @classmethod
    def of(cls, folder: Path, correct: int, count: int, trained_on: int, source: str, f1: float | None = None) -> FineTunedModel:
        """A fine-tuned model with the accuracy and the interval of its counts.

        >>> model = FineTunedModel.of(Path("m"), 9, 10, 100, "data")
        >>> model.accuracy, round(model.low, 3), round(model.high, 3)
        (0.9, 0.596, 0.982)
        """
        interval = binomtest(correct, count).proportion_ci(method="wilson")
        return cls(
            folder=folder, accuracy=correct / count, low=float(interval.low), high=float(interval.high), correct=correct,
            count=count, trained_on=trained_on, source=source, f1=f1,
        )  # fmt: skip

    @property
    def measure(self) -> str:
        """The accuracy with its interval as text; of spans it is called exact match and F1 is added.

        >>> FineTunedModel.of(Path("m"), 9, 10, 100, "data", 0.95).measure
        'exact match 0.9000 [0.5958, 0.9821], F1 0.9500'
        """
        overlap = "" if self.f1 is None else f", F1 {self.f1:.4f}"
        return (
            f"{'accuracy' if self.f1 is None else 'exact match'} {self.accuracy:.4f} [{self.low:.4f}, {self.high:.4f}]{overlap}"
        )


@dataclass(frozen=True)
class OutputFolder:
    """The folder of a fine-tuned model and, until that is complete, the folder `<out>.training` beside it.

    Attributes:
        out: The folder that the user named.
        config: The settings of the model.
    """

    out: Path
    config: FineTuningConfig

    @property
    def work(self) -> Path:
        """The folder of an unfinished training."""
        return self.out.with_name(f"{self.out.name}.training")

    @property
    def checkpoints(self) -> Path:
        """The folder of the Trainer's checkpoints."""
        return self.work / "checkpoints"

    def finished(self) -> FineTunedModel | None:
        """The model, if the folder has one with the same settings; None where there is no folder or it is empty.

        Raises:
            UsageError: The folder has something else.
        """
        if not self.out.exists() or (self.out.is_dir() and not any(self.out.iterdir())):
            return None
        stored = _read(self.out / RECORD)
        if stored is None:
            raise UsageError(f"{self.out} holds something that `flowgauge train` did not write; choose another --out.")
        self._check_same(stored, self.out, "choose another --out, or delete it")
        for name, total in stored.get("files", {}).items():
            if not (self.out / name).is_file() or file_sum(self.out / name) != total:
                raise UsageError(
                    f"{self.out / name} is missing or damaged: delete {self.out}, and the same command trains again."
                )
        shutil.rmtree(self.work, ignore_errors=True)
        return replace(FineTunedModel(folder=self.out, **stored["result"]), fresh=False)

    def claim(self) -> AbstractContextManager[Any]:
        """Locks the work folder, which is created or is that of a killed run with the same settings.

        Returns:
            The lock, which keeps other processes out until it is released.

        Raises:
            UsageError: Another process works there, it has an unfinished training with other settings, or it cannot be written.
        """
        stored = _read(self.work / RECORD)
        if stored is not None:
            self._check_same(stored, self.work, "finish it with those, choose another --out, or delete it")
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.work / "lock").acquire(blocking=False)  # the system releases that of a killed process
            if stored is None:  # checkpoints whose settings are not known are of no use
                shutil.rmtree(self.checkpoints)
                self.checkpoints.mkdir()
            _write(self.work / RECORD, {"recipe": asdict(self.config)})
        except Timeout as error:
            raise UsageError(
                f"another process is training {self.out}: wait until it is done, or choose another --out."
            ) from error
        except OSError as error:
            raise UsageError(f"cannot write {self.work}: {error.strerror}; choose another --out.") from error
        return lock

    def publish(self, base: Any, result: FineTunedModel) -> FineTunedModel:
        """Saves model, tokenizer, card and record, and renames the complete folder to the one that the user named.

        Args:
            base: The trained model and its tokenizer.
            result: Its accuracy.
        """
        complete = self.work / "whole"
        shutil.rmtree(complete, ignore_errors=True)
        base.hf.save_pretrained(complete)
        base.tokenizer.save_pretrained(complete)
        stored = {key: value for key, value in asdict(result).items() if key not in ("folder", "fresh")}
        packages = versions(PACKAGES)
        recipe, sums = asdict(self.config), folder_sums(complete)
        _write(complete / RECORD, {"recipe": recipe, "result": stored, "packages": packages, "files": sums})
        (complete / "README.md").write_text(card(self.out.name, self.config, result, base, packages), encoding="utf-8")
        if self.out.exists():
            self.out.rmdir()
        os.replace(complete, self.out)
        shutil.rmtree(self.work, ignore_errors=True)
        return result

    def _check_same(self, stored: Mapping[str, Any], folder: Path, remedy: str) -> None:
        differences = self.config.differences(stored["recipe"])
        if differences:
            raise UsageError(f"{folder} was trained with other settings ({'; '.join(differences)}): {remedy}.")


def card(name: str, config: FineTuningConfig, result: FineTunedModel, base: Any, packages: Mapping[str, str]) -> str:
    """The model card, as the text of a README.

    Args:
        name: Name of the model's folder.
        config: The settings of the training.
        result: The accuracy on the validation split.
        base: The trained model and its tokenizer.
        packages: Versions of the packages that trained it.
    """
    spans = result.f1 is not None
    classes = ", ".join(f"{index} {label}" for index, label in sorted(base.hf.config.id2label.items()))
    outputs = "Outputs: where the answer starts and where it ends." if spans else f"Classes: {classes}."
    sample = "all" if config.limit is None else f"a sample (seed {config.seed})"
    return f"""---
base_model: {config.model}
library_name: transformers
pipeline_tag: {"question-answering" if spans else "text-classification"}
---

# {name}

`{type(base.hf).__name__}`: `{config.model}` fine-tuned for the task `{config.task}` by `flowgauge train`. {outputs}

**On the validation split: {result.measure}** ({result.correct} of {result.count} right; 95 % interval of \
Wilson 1927). The last step's weights; no choice was made on this split.

| | |
| --- | --- |
| data | {result.source} |
| trained on | {result.trained_on} texts, {sample}; sha256 {config.train} |
| measured on | {result.count} texts; sha256 {config.validation} |
| base model | sha256 {config.model_fingerprint} |
| recipe | AdamW, learning rate {config.lr:g}, weight decay {config.weight_decay:g}; linear, {config.warmup:.0%} warm-up |
| | {config.epochs:g} epochs, {config.batch_size} texts a step, at most {config.max_length} tokens, seed {config.seed}, float32 |
{config.replacement}| versions | {", ".join(f"{package} {version}" for package, version in packages.items())} |

Licences of the base model and of the data apply. Use: `flowgauge run --model {name} --task {config.task}`.
"""


def task_of(folder: Path) -> str:
    """The task that the model in a folder was fine-tuned for by `flowgauge train`; empty where it was not."""
    stored = _read(folder / RECORD)
    return "" if stored is None else str(stored["recipe"].get("task", ""))


def _read(path: Path) -> dict[str, Any] | None:
    """The stored record of a training; None where there is none or it is damaged."""
    try:
        data = path.read_bytes()
        check(data, str(path))
        stored = without_seal(json.loads(data))
    except OSError:
        return None
    except (ValueError, DamagedFile):
        log.warning("%s is damaged: what lies beside it is of no known settings, and an unfinished training starts anew.", path)
        return None
    return stored if isinstance(stored, dict) and "recipe" in stored else None


def _write(path: Path, value: Mapping[str, Any]) -> None:
    write_file(path, sealed_json(json.dumps(value, indent=1)))
