"""Methods that are run again."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors import numpy as safetensors

import flowgauge
from flowgauge.benchmark.store.store import Store
from flowgauge.benchmark.verification.explanation_difference import RerunOutcome
from flowgauge.benchmark.verification.named_plugins import job_of, method_of
from flowgauge.benchmark.verification.recompute_scores import ScoreRecomputer
from flowgauge.benchmark.verification.rerun_methods import MethodRerunner
from flowgauge.core.errors import FlowgaugeError, NotApplicable


def test_a_method_that_is_trained_is_trained_anew(tmp_path, tiny_folder, tiny_data):
    store = str(tmp_path / "store")
    flowgauge.run(
        tasks="sst2", model=str(tiny_folder("bert", "label")), data_dir=str(tiny_data), store=store, device="cpu", limit=4,
        methods="diffmask-input:steps=3,batch=4", metrics="share_masked", fit_limit=8,
    )  # fmt: skip
    (record,) = Store(store).records()
    assert record.status == "done", record.error
    recheck = ScoreRecomputer(str(tiny_folder("bert", "label")), str(tiny_data), "cpu")
    assert MethodRerunner(recheck)(Store(store), record, 4) == MethodRerunner(recheck)(Store(store), record, 4)
    assert MethodRerunner(recheck)(Store(store), record, 4).differing == 0
    (weights,) = (tmp_path / "store" / "fits").glob("*/weights.safetensors")
    arrays = {name: np.asarray(array * 3) for name, array in safetensors.load(weights.read_bytes()).items()}
    weights.write_bytes(safetensors.save(arrays))
    assert MethodRerunner(recheck)(Store(store), record, 4).differing == 0, "weights of the bundle are not used"


def test_stored_explanations_are_compared_with_new_ones(explained) -> None:
    (record,) = explained.records()
    rerunner = MethodRerunner(ScoreRecomputer(device="cpu"))
    assert rerunner(explained, record, 3) == RerunOutcome(3)
    unexplained = record.model_copy(update={"status": "not-applicable", "error": "it has no heads"})
    with pytest.raises(NotApplicable, match="it has no explanations: it has no heads"):
        rerunner(explained, unexplained, 3)


def test_a_record_of_another_training_is_refused(explained) -> None:
    (record,) = explained.records()
    trained = record.model_copy(update={"key": {**record.key, "trained_on": {}}})
    group, _ = ScoreRecomputer(device="cpu").encoded(explained, record)
    with pytest.raises(FlowgaugeError, match="gradient-x-input is not trained first, and its record says otherwise"):
        job_of(group, trained, method_of(record), explained)
