"""The folder of a fine-tuned model: what is finished, what is refused, and what the card says."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from flowgauge.benchmark.fine_tuning.fine_tuned_model import FineTunedModel, FineTuningConfig, OutputFolder, card
from flowgauge.core.errors import UsageError

CONFIG = FineTuningConfig(
    model="bert", model_fingerprint="ab" * 32, task="sst2", task_version=1, train="11" * 32, validation="22" * 32, limit=None,
    epochs=3, lr=5e-5, batch_size=32, max_length=128, seed=0,
)  # fmt: skip


def publish(folder: Path, config: FineTuningConfig = CONFIG) -> FineTunedModel:
    result = FineTunedModel.of(folder, 9, 10, 100, "data")
    stored = {name: value for name, value in asdict(result).items() if name not in ("folder", "fresh")}
    folder.mkdir()
    (folder / "training.json").write_text(json.dumps({"recipe": asdict(config), "result": stored}))
    return result


def test_a_folder_is_finished_by_the_same_settings_only(tmp_path: Path) -> None:
    output = OutputFolder(tmp_path / "model", CONFIG)
    assert output.finished() is None
    result = publish(output.out)
    found = output.finished()
    assert found == result and found is not None and not found.fresh
    assert OutputFolder(output.out, replace(CONFIG, model="a copy of it")).finished() == result
    with pytest.raises(UsageError, match=r"trained with other settings \(epochs: 3 there, 4 now\): choose another --out"):
        OutputFolder(output.out, replace(CONFIG, epochs=4)).finished()


def test_only_one_process_works_on_a_folder(tmp_path: Path) -> None:
    output = OutputFolder(tmp_path / "model", CONFIG)
    with output.claim():
        assert output.checkpoints.is_dir() and output.work == tmp_path / "model.training"
        with pytest.raises(UsageError, match="another process is training"):
            OutputFolder(output.out, CONFIG).claim()
    with pytest.raises(UsageError, match=r"model.training was trained with other settings \(seed: 0 there, 1 now\): finish it"):
        OutputFolder(output.out, replace(CONFIG, seed=1)).claim()


def test_a_damaged_model_is_refused_and_checkpoints_of_unknown_settings_are_dropped(tmp_path: Path, caplog) -> None:
    output = OutputFolder(tmp_path / "model", CONFIG)
    publish(output.out)
    record = json.loads((output.out / "training.json").read_text())
    (output.out / "training.json").write_text(json.dumps(record | {"files": {"model.safetensors": "0" * 64}}))
    for weights in (None, b"changed"):
        if weights:
            (output.out / "model.safetensors").write_bytes(weights)
        with pytest.raises(UsageError, match=r"model.safetensors is missing or damaged: delete .*model, and the same command"):
            output.finished()
    with output.claim():
        (output.checkpoints / "checkpoint-5").mkdir()
    with output.claim():
        assert (output.checkpoints / "checkpoint-5").is_dir()
    stored = output.work / "training.json"
    stored.write_bytes(stored.read_bytes().replace(b'"seed": 0', b'"seed": 1'))
    with output.claim():
        assert list(output.checkpoints.iterdir()) == []
    assert "training.json is damaged: what lies beside it is of no known settings" in caplog.text


def test_something_else_in_the_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds something that `flowgauge train` did not write"):
        OutputFolder(tmp_path, CONFIG).finished()


def test_the_card_has_the_accuracy_and_the_settings() -> None:
    base = SimpleNamespace(hf=SimpleNamespace(config=SimpleNamespace(id2label={0: "negative", 1: "positive"})))
    text = card("mine", replace(CONFIG, limit=100), FineTunedModel.of(Path("mine"), 9, 10, 100, "data"), base, {"torch": "2.6"})
    for part in (
        "accuracy 0.9000 [0.5958, 0.9821]** (9 of 10 right", "Classes: 0 negative, 1 positive.",
        "100 texts, a sample (seed 0)", "learning rate 5e-05", "| versions | torch 2.6 |", "--model mine --task sst2",
    ):  # fmt: skip
        assert part in text
    spans = card("mine", CONFIG, FineTunedModel.of(Path("mine"), 9, 10, 100, "data", 0.95), base, {})
    assert "exact match 0.9000" in spans and "question-answering" in spans and "texts, all;" in spans
