"""What is trained once: probes of methods, and models that flowgauge makes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.engine.trained_weights import TrainedWeights
from flowgauge.core.errors import UsageError
from flowgauge.models.inputs.encode import batches

PLUGINS = Path(__file__).with_name("plugins.py")
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
    monkeypatch.setattr("flowgauge.benchmark.engine.trained_weights.PAUSE", 0.0)
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


def test_the_checkpoint_of_another_training_is_left_out(plan, tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setattr("flowgauge.benchmark.engine.trained_weights.PAUSE", 0.0)
    for seed in (0, 1):
        with pytest.raises(KeyboardInterrupt):
            run(plan(f"{METHOD}:breaks_at=7", seeds=(seed,)))
    one, other = fits(tmp_path / "store")
    (other / "checkpoint.safetensors").write_bytes((one / "checkpoint.safetensors").read_bytes())
    with pytest.raises(KeyboardInterrupt):
        run(plan(f"{METHOD}:breaks_at=7", seeds=(0, 1)))
    assert "a checkpoint of another training is left out; training starts from the beginning" in caplog.text


def test_two_processes_that_train_the_same_both_end(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("flowgauge.benchmark.engine.trained_weights.PAUSE", 0.0)
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
    monkeypatch.setattr("flowgauge.benchmark.engine.trained_weights.PAUSE", 0.0)
    monkeypatch.setattr(fits.files, "remove", gone)

    def fit(training):
        training.checkpoint({"mean": torch.ones(2)})
        return {"mean": torch.ones(2)}

    assert fits.weights("m", {"a": 1}, 0, fit)["mean"].tolist() == [1, 1]


def test_the_train_split_is_encoded_once_for_all_methods(plan, monkeypatch) -> None:
    asked = []

    def counted(*given, **settings):
        asked.append(1)
        return batches(*given, **settings)

    monkeypatch.setattr("flowgauge.benchmark.engine.method_trainer.batches", counted)
    run(plan(seeds=(0, 1)))
    assert asked == [1]


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seeds_that_no_generator_takes_are_refused(plan, seed) -> None:
    with pytest.raises(UsageError, match=rf"seeds\.0: .* got {seed}"):
        plan(seeds=(seed,))


def test_a_task_without_a_train_split_is_not_applicable_with_the_reason(make_plan) -> None:
    results = run(make_plan(tasks=["sva/wsc:sentences=600"], methods=[METHOD]))
    assert results.exit_code == 0
    assert results.records[0].status == "not-applicable"
    assert "nothing to train it on" in results.records[0].error and "'train'" in results.records[0].error


def test_a_method_that_was_not_trained_says_so() -> None:
    from tests.benchmark.plugins import Slow

    with pytest.raises(UsageError, match="has not been trained"):
        Slow().demand_weights()


def test_a_made_model_is_trained_once_and_named_with_its_settings(make_plan, tmp_path) -> None:
    name = f"{PLUGINS}:noise-then-model:seed=1"
    results = run(make_plan(model=name))
    assert results.exit_code == 0
    (folder,) = fits(tmp_path / "store")
    assert float(load_file(folder / "weights.safetensors")["bias"]) == 1.25
    assert results.records[0].key["fingerprint"] == run(make_plan(model=name)).records[0].key["fingerprint"]
    other = run(make_plan(model=name.replace("=1", "=2")))
    assert other.records[0].key["fingerprint"] != results.records[0].key["fingerprint"]


def test_without_a_model_the_one_of_the_task_is_explained(make_plan) -> None:
    results = run(make_plan(model=None, tasks=[TASK, "sva/obj"]))
    assert {r.model for r in results.records} == {"agreement-bert"}


def test_trained_and_other_methods_stand_in_one_table(make_plan, tmp_path) -> None:
    from flowgauge.leaderboards.stored.comparable_cells import groups

    results = run(make_plan(tasks=[TASK], methods=[METHOD, f"{PLUGINS}:by-position"], fit_limit=8))
    (group,) = groups(results.records)
    assert set(group.labels) == {"amortised", "by-position"}


def test_on_the_toy_task_its_model_is_trained_and_metrics_apply_or_say_why_not(make_plan, monkeypatch) -> None:
    """Every metric is asked about a recurrent model: none fails."""
    from flowgauge.metrics.registry import METRICS
    from flowgauge.models.built import toy_counting
    from flowgauge.models.built.recurrent_training import RecurrentTrainingConfig

    monkeypatch.setattr(toy_counting, "RECIPE", RecurrentTrainingConfig(epochs=1, batch_size=500, lr=1e-3))
    monkeypatch.setattr(toy_counting, "ENOUGH", 0.0)
    results = run(
        make_plan(model=None, tasks=["toy/counting"], methods=["random:draws=2"], metrics=list(METRICS.builtin), limit=9)
    )
    record = next(r for r in results.records if r.method == "random")
    assert record.model == "toy-counting" and record.status == "done", record.error
    states = {score.name: score.status for score in record.scores.values()}
    assert states["ground_truth_divergence"] == states["comprehensiveness"] == "done"
    reasons = {score.name: score.reason for score in record.scores.values() if score.status == "not-applicable"}
    assert reasons["head_pruning"] == "it works inside a transformer, and toy-counting is none."
    assert "has no mask token; choose baseline" in reasons["infidelity"]
