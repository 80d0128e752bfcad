"""What fine-tuning leaves behind: a folder that appears whole, its recipe, and its model card. No torch."""

from __future__ import annotations

import json
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

RECORD = "training.json"
PACKAGES = ("flowgauge", "torch", "transformers", "accelerate", "tokenizers")


@dataclass(frozen=True)
class FineTuningConfig:
    """Everything that may change the weights; data and base model by their fingerprints.

    Attributes:
        train: Fingerprint of the training texts.
        validation: Fingerprint of the texts that accuracy is measured on.
        warmup: Share of the steps in which the learning rate rises.
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

    def differences(self, stored: Mapping[str, Any]) -> list[str]:
        """Settings that a stored recipe has otherwise; a base model goes by what it is, not by what it is called."""
        mine = asdict(self)
        return [
            f"{name}: {stored.get(name)!r} there, {value!r} now"
            for name, value in mine.items()
            if name != "model" and stored.get(name) != value
        ]


@dataclass(frozen=True)
class FineTunedModel:
    """A fine-tuned model.

    Attributes:
        folder: Where it is, as `--model` takes it.
        accuracy: Share of right answers on the validation split; of spans, the exact matches.
        low: Of its 95 % interval (Wilson).
        high: Of the same.
        correct: Right answers.
        count: Texts they were given on.
        trained_on: Training texts.
        source: Where the data came from.
        f1: Of spans, the mean overlap with the right answer.
        fresh: Whether this call trained it, or it was there.
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
        """With the interval that belongs to the counts.

        >>> made = FineTunedModel.of(Path("m"), 9, 10, 100, "data")
        >>> round(made.low, 3), round(made.high, 3)
        (0.596, 0.982)
        """
        interval = binomtest(correct, count).proportion_ci(method="wilson")
        return cls(folder, correct / count, float(interval.low), float(interval.high), correct, count, trained_on, source, f1)

    @property
    def measure(self) -> str:
        """What accuracy is called here, and its value with its interval and, of spans, F1.

        >>> FineTunedModel.of(Path("m"), 9, 10, 100, "data", 0.95).measure
        'exact match 0.9000 [0.5958, 0.9821], F1 0.9500'
        """
        overlap = "" if self.f1 is None else f", F1 {self.f1:.4f}"
        return (
            f"{'accuracy' if self.f1 is None else 'exact match'} {self.accuracy:.4f} [{self.low:.4f}, {self.high:.4f}]{overlap}"
        )


@dataclass(frozen=True)
class OutputFolder:
    """The folder to be written and, until it is whole, `<out>.training` beside it.

    Attributes:
        out: What the user named.
        recipe: What goes into it.
    """

    out: Path
    recipe: FineTuningConfig

    @property
    def work(self) -> Path:
        """Where an unfinished training is."""
        return self.out.with_name(f"{self.out.name}.training")

    @property
    def checkpoints(self) -> Path:
        """Where the Trainer keeps its own."""
        return self.work / "checkpoints"

    def finished(self) -> FineTunedModel | None:
        """The model, if it is there already by the same recipe.

        Raises:
            UsageError: Something else is there.
        """
        if not self.out.exists() or (self.out.is_dir() and not any(self.out.iterdir())):
            return None
        stored = _read(self.out / RECORD)
        if stored is None:
            raise UsageError(f"{self.out} holds something that `flowgauge train` did not write; choose another --out.")
        self._demand_same(stored, self.out, "choose another --out, or delete it")
        shutil.rmtree(self.work, ignore_errors=True)
        return replace(FineTunedModel(folder=self.out, **stored["result"]), fresh=False)

    def claim(self) -> AbstractContextManager[Any]:
        """Makes the work folder, or finds that of a killed run of the same recipe; no other process may work there meanwhile.

        Raises:
            UsageError: Another process works there, an unfinished training with other settings is there, or the folder cannot be
                written.
        """
        stored = _read(self.work / RECORD)
        if stored is not None:
            self._demand_same(stored, self.work, "finish it with those, choose another --out, or delete it")
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            held = FileLock(self.work / "lock").acquire(blocking=False)  # the system takes it from a killed process
            _write(self.work / RECORD, {"recipe": asdict(self.recipe)})
        except Timeout as error:
            raise UsageError(
                f"another process is training {self.out}: wait until it is done, or choose another --out."
            ) from error
        except OSError as error:
            raise UsageError(f"cannot write {self.work}: {error.strerror}; choose another --out.") from error
        return held

    def publish(self, base: Any, result: FineTunedModel) -> FineTunedModel:
        """Saves model, tokenizer, card and record, and renames the whole folder to its place."""
        whole = self.work / "whole"
        shutil.rmtree(whole, ignore_errors=True)
        base.hf.save_pretrained(whole)
        base.tokenizer.save_pretrained(whole)
        stored = {key: value for key, value in asdict(result).items() if key not in ("folder", "fresh")}
        packages = versions(PACKAGES)
        _write(whole / RECORD, {"recipe": asdict(self.recipe), "result": stored, "packages": packages})
        (whole / "README.md").write_text(card(self.out.name, self.recipe, result, base, packages), encoding="utf-8")
        if self.out.exists():
            self.out.rmdir()
        os.replace(whole, self.out)
        shutil.rmtree(self.work, ignore_errors=True)
        return result

    def _demand_same(self, stored: Mapping[str, Any], folder: Path, remedy: str) -> None:
        other = self.recipe.differences(stored["recipe"])
        if other:
            raise UsageError(f"{folder} was made with other settings ({'; '.join(other)}): {remedy}.")


def card(name: str, recipe: FineTuningConfig, result: FineTunedModel, base: Any, packages: Mapping[str, str]) -> str:
    """The model card: what it is, on what data, by which recipe, how good."""
    spans = result.f1 is not None
    classes = ", ".join(f"{number} {label}" for number, label in sorted(base.hf.config.id2label.items()))
    what = "Outputs: where the answer starts and where it ends." if spans else f"Classes: {classes}."
    taken = "all" if recipe.limit is None else f"a sample (seed {recipe.seed})"
    return f"""---
base_model: {recipe.model}
library_name: transformers
pipeline_tag: {"question-answering" if spans else "text-classification"}
---

# {name}

`{type(base.hf).__name__}`: `{recipe.model}` fine-tuned for the task `{recipe.task}` by `flowgauge train`. {what}

**On the validation split: {result.measure}** ({result.correct} of {result.count} right; 95 % interval of \
Wilson 1927). The last step's weights; no choice was made on this split.

| | |
| --- | --- |
| data | {result.source} |
| trained on | {result.trained_on} texts, {taken}; sha256 {recipe.train} |
| measured on | {result.count} texts; sha256 {recipe.validation} |
| base model | sha256 {recipe.model_fingerprint} |
| recipe | AdamW, learning rate {recipe.lr:g}, weight decay {recipe.weight_decay:g}; linear, {recipe.warmup:.0%} warm-up |
| | {recipe.epochs:g} epochs, {recipe.batch_size} texts a step, at most {recipe.max_length} tokens, seed {recipe.seed}, float32 |
| versions | {", ".join(f"{package} {version}" for package, version in packages.items())} |

Licences of the base model and of the data apply. Use: `flowgauge run --model {name} --task {recipe.task}`.
"""


def _read(path: Path) -> dict[str, Any] | None:
    try:
        stored = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return stored if isinstance(stored, dict) and "recipe" in stored else None


def _write(path: Path, value: Mapping[str, Any]) -> None:
    """Under a temporary name first."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)
