"""What is trained once: probes of methods, and models that flowgauge makes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.benchmark.conftest import PLUGINS

from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.loading.trained_weights import TrainedWeights

TASK, METHOD = f"{PLUGINS}:splits", f"{PLUGINS}:amortised"


def fits(store: Path) -> list[Path]:
    return sorted((store / "fits").iterdir()) if (store / "fits").is_dir() else []


@pytest.fixture
def plan(make_plan, tmp_path):
    def make(method: str = METHOD, **fields):
        return make_plan(tasks=[TASK], methods=[method], fit_limit=8, **fields)

    return make


def test_a_method_is_trained_once_and_its_probe_and_curve_are_kept(plan, tmp_path) -> None:
    results = run(plan())
    assert results.exit_code == 0, results.records[0].error
    (folder,) = fits(tmp_path / "store")
    fit = json.loads((folder / "fit.json").read_text())
    assert fit["status"] == "done" and [row["step"] for row in fit["curve"]] == list(range(1, 21))
    assert fit["outcome"] == {"converged": False, "warnings": ["it still moves"], "restarts": 2, "numbers": {"margin": 0.5}}
    assert not (folder / "checkpoint.safetensors").exists()
    stamp = (folder / "weights.safetensors").stat().st_mtime_ns
    run(plan(limit=6))  # other instances, the same training
    assert fits(tmp_path / "store") == [folder] and (folder / "weights.safetensors").stat().st_mtime_ns == stamp


def test_seed_settings_and_training_instances_make_another_fit(plan, tmp_path) -> None:
    run(plan(seeds=(0, 1)))
    zero, one = (load_file(f / "weights.safetensors")["mean"] for f in fits(tmp_path / "store"))
    assert abs(float((zero - one).mean())) == pytest.approx(1)
    run(plan(f"{METHOD}:breaks_at=99"))
    assert len(fits(tmp_path / "store")) == 3
    run(plan(split="test").model_copy(update={"fit_limit": 4}))
    assert len(fits(tmp_path / "store")) == 4


def test_a_killed_training_goes_on_and_ends_with_the_same_weights(plan, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("flowgauge.benchmark.loading.trained_weights.PAUSE", 0.0)
    with pytest.raises(KeyboardInterrupt):
        run(plan(f"{METHOD}:breaks_at=7"))
    (folder,) = fits(tmp_path / "store")
    assert (folder / "checkpoint.safetensors").exists() and not (folder / "fit.json").exists()
    assert run(plan(f"{METHOD}:breaks_at=7")).exit_code == 0
    steps = [row["step"] for row in json.loads((folder / "fit.json").read_text())["curve"]]
    assert steps == list(range(1, 21)), "no step twice, none left out"
    run(plan(store=str(tmp_path / "other")))
    (straight,) = fits(tmp_path / "other")
    resumed, whole = (load_file(f / "weights.safetensors")["mean"] for f in (folder, straight))
    assert (resumed == whole).all()


def test_a_training_that_fails_is_a_failed_cell_with_its_curve_and_is_tried_again(plan, tmp_path) -> None:
    results = run(plan(f"{METHOD}:breaks_at=-1"))
    assert results.exit_code == 1 and results.records[0].error == "the mean diverged: lower lr."
    (folder,) = fits(tmp_path / "store")
    fit = TrainedWeights(str(tmp_path / "store")).read(str(folder))
    assert fit is not None and fit.status == "failed" and len(fit.curve) == 1
    assert not (folder / "weights.safetensors").exists()
    assert run(plan(f"{METHOD}:breaks_at=-1")).exit_code == 1


def test_a_curve_that_is_no_number_can_be_read_again(tmp_path) -> None:
    fits = TrainedWeights(str(tmp_path))

    def fit(training):
        training.log(1, 2, loss=math.inf, size=math.nan)
        return {"mean": torch.ones(2)}

    fits.weights("m", {"a": 1}, 0, fit)
    fits.weights("m", {"a": 1}, 0, lambda training: pytest.fail("trained again"))
    stored = fits.read(fits.folder("m", {"a": 1}))
    assert stored is not None and stored.curve[0]["loss"] == math.inf and math.isnan(stored.curve[0]["size"])
    assert "NaN" not in Path(fits.folder("m", {"a": 1}), "fit.json").read_text()


def test_weights_of_which_a_byte_is_wrong_are_trained_anew(tmp_path, caplog) -> None:
    fits = TrainedWeights(str(tmp_path))
    one = fits.weights("m", {"a": 1}, 0, lambda training: {"mean": torch.ones(2)})
    path = Path(fits.folder("m", {"a": 1}), "weights.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    assert torch.equal(fits.weights("m", {"a": 1}, 0, lambda training: {"mean": torch.ones(2)})["mean"], one["mean"])
    assert "weights.safetensors is damaged: it is trained again" in caplog.text


def test_any_changed_byte_of_a_record_or_a_checkpoint_is_noticed(tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setattr("flowgauge.benchmark.loading.trained_weights.PAUSE", 0.0)
    fits, starts = TrainedWeights(str(tmp_path)), []

    def fit(training):
        starts.append(training.resume())
        training.checkpoint({"mean": torch.ones(2)})
        if len(starts) < 3:
            raise KeyboardInterrupt
        return {"mean": torch.ones(2)}

    folder = Path(fits.folder("m", {"a": 1}))
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            fits.weights("m", {"a": 1}, 0, fit)
        path = folder / "checkpoint.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"\x40")
    fits.weights("m", {"a": 1}, 0, fit)
    assert starts == [{}, {}, {}] and caplog.text.count("a damaged checkpoint is left out; training starts") == 2
    path = folder / "fit.json"
    path.write_bytes(path.read_bytes().replace(b'"seconds": ', b'"seconds": 1'))
    assert fits.read(str(folder)) is None and "fit.json is damaged: its weights are trained again" in caplog.text


def test_the_checkpoint_of_another_training_is_left_out(plan, tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setattr("flowgauge.benchmark.loading.trained_weights.PAUSE", 0.0)
    for seed in (0, 1):
        with pytest.raises(KeyboardInterrupt):
            run(plan(f"{METHOD}:breaks_at=7", seeds=(seed,)))
    one, other = fits(tmp_path / "store")
    (other / "checkpoint.safetensors").write_bytes((one / "checkpoint.safetensors").read_bytes())
    with pytest.raises(KeyboardInterrupt):
        run(plan(f"{METHOD}:breaks_at=7", seeds=(0, 1)))
    assert "a checkpoint of another training is left out; training starts from the beginning" in caplog.text


def test_two_processes_that_train_the_same_both_end(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("flowgauge.benchmark.loading.trained_weights.PAUSE", 0.0)
    fits = TrainedWeights(str(tmp_path))

    def fit(training):
        training.checkpoint({"mean": torch.ones(2)})
        if fits.read(folder) is None:
            TrainedWeights(str(tmp_path)).weights("m", {"a": 1}, 0, lambda other: fit_other(other))
        return {"mean": torch.ones(2)}

    def fit_other(training):
        assert training.resume()["mean"].tolist() == [1, 1]
        return {"mean": torch.ones(2)}

    folder = fits.folder("m", {"a": 1})
    assert fits.weights("m", {"a": 1}, 0, fit)["mean"].tolist() == [1, 1]
    assert sorted(path.name for path in Path(folder).iterdir()) == ["fit.json", "weights.safetensors"]


def test_a_removal_that_another_process_was_first_with_is_no_failure(tmp_path, monkeypatch) -> None:
    def gone(path):
        raise FileNotFoundError(path)

    fits = TrainedWeights(str(tmp_path))
    monkeypatch.setattr("flowgauge.benchmark.loading.trained_weights.PAUSE", 0.0)
    monkeypatch.setattr(fits.files, "remove", gone)

    def fit(training):
        training.checkpoint({"mean": torch.ones(2)})
        return {"mean": torch.ones(2)}

    assert fits.weights("m", {"a": 1}, 0, fit)["mean"].tolist() == [1, 1]
