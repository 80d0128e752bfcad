"""Models by name: those that flowgauge builds, and those that come with a task."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import load_file
from tests.benchmark.conftest import PLUGINS

from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.loading.model_handle import ModelHandle, shown_name

TASK, METHOD = f"{PLUGINS}:splits", f"{PLUGINS}:amortised"


def fits(store: Path) -> list[Path]:
    return sorted((store / "fits").iterdir()) if (store / "fits").is_dir() else []


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


def test_a_plan_trains_it_once_on_its_own_data_folder_and_names_no_folder(make_plan, tiny_bert, tiny_data, tmp_path) -> None:
    name = f"sst-gru:embeddings={tiny_bert},task=sst/binary,epochs=1"
    plan = make_plan(model=name, tasks=["sst/binary"], methods=["random:draws=1"], data_dir=str(tiny_data), limit=None)
    results = run(plan)
    assert results.exit_code == 0, results.records[0].error
    assert results.records[0].model == f"sst-gru:embeddings={tiny_bert.name},task=sst/binary,epochs=1"
    (folder,) = (tmp_path / "store" / "fits").iterdir()
    assert str(tiny_bert) not in (folder / "fit.json").read_text()
    assert json.loads((folder / "fit.json").read_text())["key"]["settings"]["task"] == "sst/binary"
    assert shown_name("toy-counting") == "toy-counting"


def test_an_edit_of_a_users_own_model_is_another_model_and_trains_it_again(tmp_path: Path) -> None:
    file, seen = tmp_path / "mine.py", set[tuple[str, float]]()
    for size in (1.0, 2.0):
        file.write_text(
            "import flowgauge, torch\n\n\nclass Net:\n    def to(self, device, dtype):\n        return self\n\n"
            "    def fingerprint(self):\n        return 'the same'\n\n\n@flowgauge.model('mine')\nclass Mine:\n"
            f"    def fit(self, training):\n        return {{'bias': torch.tensor({size})}}\n\n"
            "    def build(self, weights):\n        net = Net()\n        net.bias = float(weights['bias'])\n        return net\n"
        )
        handle = ModelHandle(str(file), str(tmp_path / "store"))
        seen.add((handle.fingerprint(), handle.load().bias))  # type: ignore[attr-defined]
    assert len({fingerprint for fingerprint, _ in seen}) == 2 and {bias for _, bias in seen} == {1.0, 2.0}
