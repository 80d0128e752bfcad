"""Plans from files and flags, keys and names."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flowgauge.benchmark.engine.plan import Plan
from flowgauge.benchmark.engine.resolve import check_names
from flowgauge.benchmark.store.key import metric_id, short_hash
from flowgauge.benchmark.store.model_fingerprint import model_fingerprint
from flowgauge.benchmark.store.store import safe_name
from flowgauge.core.errors import UnknownName, UsageError
from flowgauge.core.registry import Spec


def test_flags_override_the_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("tasks: sva/obj\nmethods:\n  - attention\n  - {name: influence-patterns, beam: 4}\nlimit: 10\nseeds: 3\n")
    plan = Plan.load(path, limit=20, model=None)
    assert plan.limit == 20 and plan.seeds == (3,) and plan.model is None
    assert plan.methods == (Spec("attention", {}), Spec("influence-patterns", {"beam": 4}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tasks: sva/obj\nmethds: x", "no field 'methds': did you mean methods"),
        ("tasks: sva/obj\nlimit: 0", "limit: Input should be greater than 0, got 0"),
        ("tasks: sva/obj\ndtype: float8", "dtype: Input should be 'float32', 'float64', 'bfloat16' or 'float16', got 'float8'"),
        ("tasks: []", "tasks"),
        ("limit: 3", "tasks is missing"),
        ("tasks: [a\nlimit: 3", "plan.yaml, line 2: not YAML"),
        ("- a", "must be a mapping"),
        ("methods: [{beam: 3}]\ntasks: x", "needs a `name`"),
    ],
)
def test_faults_in_a_file(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as found:
        Plan.load(path)
    assert said in str(found.value) and "\n" not in str(found.value)


def test_plans_that_come_with_the_package() -> None:
    demo = check_names(Plan.load("demo", limit=2))
    assert len(demo.tasks) == 6 and demo.limit == 2
    with pytest.raises(UnknownName, match="did you mean demo"):
        Plan.load("demoo")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        Plan.load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("fields", "near"),
    [
        ({"tasks": "sva/objj"}, "sva/obj"),
        ({"methods": "atention"}, "attention"),
        ({"metrics": "ablated_acuracy"}, "ablated_accuracy"),
        ({"tasks": "sva/x*"}, "sva/"),
        ({"model": "./agreement-bert"}, "agreement-bert"),
    ],
)
def test_unknown_names_have_near_matches(fields: dict[str, str], near: str) -> None:
    with pytest.raises(UnknownName, match=near):
        check_names(Plan.make(**{"tasks": "sva/obj", **fields}))


def test_globs() -> None:
    plan = check_names(Plan.make(tasks=["sva/*", "sva/obj", "ra/na"]))
    assert [s.name for s in plan.tasks] == ["sva/obj", "sva/subj", "sva/wsc", "sva/app", "ra/na"]


def test_names_are_checked_without_torch() -> None:
    code = (
        "import sys\nfrom flowgauge.benchmark.engine.plan import Plan\n"
        "from flowgauge.benchmark.engine.resolve import check_names\n"
        "from flowgauge.benchmark.engine import jobs\n"
        "from flowgauge.benchmark.store import store, record, results, key, model_fingerprint, explanation_file\n"
        "check_names(Plan.make(tasks='sva/*'))\nassert not {'torch', 'transformers'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr == ""


def test_a_damaged_configuration_is_named(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text("{")
    with pytest.raises(UsageError, match=r"config.json is damaged, no JSON object"):
        model_fingerprint(str(tmp_path / "model"))


def test_fingerprint_sees_weights_and_configuration(tiny_model: Path, tmp_path: Path) -> None:
    def copy(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for file in tiny_model.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        return folder

    same, config, weights = copy("same"), copy("config"), copy("weights")
    text = (config / "config.json").read_text()
    (config / "config.json").write_text(text.replace('"layer_norm_eps": 1e-12', '"layer_norm_eps": 1e-6'))
    data = bytearray((weights / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (weights / "model.safetensors").write_bytes(data)
    first = model_fingerprint(str(tiny_model))
    assert first is not None and model_fingerprint(str(same)) == first
    assert len({first, model_fingerprint(str(config)), model_fingerprint(str(weights))}) == 3


class _Metric:
    name, version = "m", 2

    def __init__(self, k: int = 1) -> None:
        self.k = k


def test_metric_settings_are_part_of_its_name(monkeypatch) -> None:
    monkeypatch.setattr("flowgauge.benchmark.store.key.source_hash", lambda _: "")
    assert metric_id(_Metric()) == metric_id(_Metric(1)) == "m@2"
    assert metric_id(_Metric(3)) == "m@2-" + short_hash(({"k": 3}, ""), 8)


def test_safe_names_stay_inside() -> None:
    assert safe_name("a/../../b c") == "a/_/_/b_c"
    assert safe_name("/") == "_"
