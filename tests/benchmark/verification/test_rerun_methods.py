"""Methods that are run again."""

from __future__ import annotations

import numpy as np
from safetensors import numpy as safetensors

import flowgauge
from flowgauge.benchmark.store.store import Store
from flowgauge.benchmark.verification.recompute_scores import ScoreRecomputer
from flowgauge.benchmark.verification.rerun_methods import MethodRerunner


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
