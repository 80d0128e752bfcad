"""Plug-ins by name, by entry point and by file; settings and refusals."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import cast

import pytest

from flowgauge.core import registry as module
from flowgauge.core.errors import UnknownName, UsageError
from flowgauge.core.plugin_docs import PluginDocs
from flowgauge.core.plugin_source import source_hash
from flowgauge.core.registry import Registry, Spec, load_file, settings
from flowgauge.methods.base import method
from flowgauge.methods.registry import METHODS

PLUGIN = '''
from flowgauge import explanations, method


@method("ones", gives={"tokens"})
def ones(model, batch, scale: float = 2.0):
    """Ones."""
    return []


@method("twos", gives={"tokens"})
class Twos:
    """Twos."""

    def __init__(self, power: int = 2) -> None:
        if power < 0:
            raise ValueError("power must not be negative")
        self.power = power

    def explain(self, model, batch):
        return []
'''


class Plain:
    """A plug-in with two settings."""

    def __init__(self, rule: str = "midpoint", samples: int = 50) -> None:
        if samples < 1:
            raise ValueError("samples must be positive")
        self.rule, self.samples = rule, samples


@pytest.fixture
def plain() -> Registry:
    return Registry("method", "flowgauge.nothing", {"plain": "plain_plugin:Plain"})


@pytest.fixture
def factory(monkeypatch: pytest.MonkeyPatch, plain: Registry) -> Registry:
    """The registry, with the module that its entry names."""
    monkeypatch.setitem(sys.modules, "plain_plugin", cast(ModuleType, SimpleNamespace(Plain=Plain)))
    return plain


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    return path


@pytest.mark.parametrize(
    ("text", "name", "given"),
    [
        ("plain", "plain", {}),
        ("plain:samples=8", "plain", {"samples": 8}),
        ("plain:samples=8,rule=paper", "plain", {"samples": 8, "rule": "paper"}),
        ("plain:rule=", "plain", {"rule": None}),
        ("mine.py:ones", "mine.py:ones", {}),
        ("mine.py:ones:scale=0.5", "mine.py:ones", {"scale": 0.5}),
        ("plain:rule=flips:.05,samples=8", "plain", {"rule": "flips:.05", "samples": 8}),
        ("a=b/mine.py:scale=0.5", "a=b/mine.py", {"scale": 0.5}),
        ({"name": "plain", "samples": 3}, "plain", {"samples": 3}),
    ],
)
def test_specs(text, name: str, given: dict[str, object]) -> None:
    assert Spec.parse(text) == Spec(name, given)


def test_specs_that_cannot_be_read_are_refused() -> None:
    with pytest.raises(UsageError, match="write name:key=value"):
        Spec.parse("plain:samples=8,rule")
    with pytest.raises(UsageError, match="needs the key `name`"):
        Spec.parse({"samples": 8})


def test_settings_go_in_and_can_be_read_back(factory: Registry) -> None:
    assert settings(factory.create("plain")) == {"rule": "midpoint", "samples": 50}
    assert settings(factory.create("plain:samples=8")) == {"rule": "midpoint", "samples": 8}


def test_unknown_names_suggest_near_ones(factory: Registry) -> None:
    with pytest.raises(UnknownName, match="no method is called 'plane': did you mean plain"):
        factory.create("plane")
    with pytest.raises(UnknownName, match=r"known: plain.*flowgauge list methods"):
        factory.create("zzz")
    with pytest.raises(UnknownName, match="no setting of method 'plain' is called 'sample': did you mean samples"):
        factory.create("plain:sample=8")


def test_refused_values_are_usage_errors_with_the_reason(factory: Registry) -> None:
    with pytest.raises(UsageError, match=r"refused its settings \{'samples': 0\}: samples must be positive"):
        factory.create("plain:samples=0")


@pytest.mark.parametrize(
    "spec",
    [
        f"{name}:samples=0"
        for name in ("influence-patterns", "conductance", "internal-influence", "integrated-gradients", "repl-skip")
    ]
    + ["conductance:samples=1,rule=paper", "conductance:samples=100000000000000000000", "attattr:steps=100000000000000000000"],
)
def test_numbers_of_samples_that_no_rule_can_use_are_refused_before_a_run(spec: str) -> None:
    with pytest.raises(UsageError, match=r"(needs [12] to 1000000 samples|steps must be at most 1000000), got"):
        METHODS.create(spec)


def test_settings_that_may_be_left_out_have_a_type_too() -> None:
    assert settings(METHODS.create("raw-attention:depth=2")) == {"depth": 2}
    assert settings(METHODS.create("raw-attention:depth=")) == {"depth": None}
    with pytest.raises(UsageError, match=r"method 'raw-attention': depth must be a whole number, got 1\.5"):
        METHODS.create("raw-attention:depth=1.5")


def test_a_file_gives_its_plug_ins(plain: Registry, file: Path) -> None:
    assert plain.create(f"{file}:ones:scale=3").options == {"scale": 3}
    assert plain.create(f"{file}:twos").power == 2
    with pytest.raises(UsageError, match=r"defines several methods \(ones, twos\)"):
        plain.create(str(file))
    with pytest.raises(UnknownName, match="did you mean ones"):
        plain.create(f"{file}:one")
    with pytest.raises(UsageError, match="power must not be negative"):
        plain.create(f"{file}:twos:power=-1")


def test_a_file_without_plug_ins_of_the_kind_is_refused(file: Path) -> None:
    with pytest.raises(UsageError, match=r"defines no metric: decorate one with @flowgauge.metric"):
        Registry("metric", "flowgauge.nothing", {}).create(str(file))


def test_faults_in_a_file_are_reported_with_their_line(tmp_path: Path) -> None:
    for text, expected in (
        ("x = 1\ny = 1 / 0\n", "line 2: division by zero"),
        ("x = 1\n\nif:\n", "line 3: this is not Python: "),
    ):
        path = tmp_path / "bad.py"
        path.write_text(text)
        with pytest.raises(UsageError, match=expected):
            load_file(path)
    path.write_text("from flowgauge import method\nmethod('a', gives={'nodes'}, needs={'layered'})\n")
    with pytest.raises(UsageError, match=r"bad\.py, line 2: method 'a'"):
        load_file(path)
    with pytest.raises(UsageError, match="there is no file"):
        load_file(tmp_path / "missing.py")


def test_the_source_of_a_plug_in_file_is_hashed_and_that_of_a_built_in_is_not(plain: Registry, file: Path) -> None:
    before = source_hash(plain.create(f"{file}:twos"))
    assert source_hash(plain.create(f"{file}:ones")) == before
    file.write_text(PLUGIN + "\n")
    assert len(before) == 64
    assert source_hash(plain.create(f"{file}:twos")) != before
    from flowgauge.methods.attention.attention_paths import AttentionPaths

    assert source_hash(AttentionPaths()) == ""


def test_entry_points_are_found_and_cannot_replace_what_is_built_in(monkeypatch: pytest.MonkeyPatch, plain: Registry) -> None:
    points = [EntryPoint(name, "elsewhere:Thing", "flowgauge.nothing") for name in ("plain", "other")]
    monkeypatch.setattr(module, "entry_points", lambda group: points if group == "flowgauge.nothing" else [])
    assert plain.entries() == {"plain": "plain_plugin:Plain", "other": "elsewhere:Thing"}
    assert plain.docs() == {"plain": PluginDocs(), "other": PluginDocs("from elsewhere")}


def test_entry_points_are_read_once_until_the_path_of_python_changes(
    monkeypatch: pytest.MonkeyPatch, plain: Registry, tmp_path: Path
) -> None:
    reads: list[str] = []

    def read(group: str) -> list[EntryPoint]:
        reads.append(group)
        return []

    monkeypatch.setattr(module, "entry_points", read)
    for _ in range(2):
        assert plain.entries() == {"plain": "plain_plugin:Plain"}
    monkeypatch.syspath_prepend(tmp_path)
    plain.docs()
    assert reads == ["flowgauge.nothing"] * 2


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("influence-patterns:samples=abc", "samples must be a whole number, got 'abc'"),
        ("influence-patterns:samples=2.5", "samples must be a whole number, got 2.5"),
        ("influence-patterns:rule=abc", "rule must be midpoint or paper or"),
        ("influence-patterns:exact=abc", "exact must be true or false, got 'abc'"),
        ("integrated-gradients:nodes=3", "nodes must be true or false, got 3"),
        ("attention:residual=.nan", "residual must be a number, got nan"),
        ("random:draws=null", "draws must be a whole number, got None"),
        ("random:draws=2,draws=3", "each key once"),
        ("random:draws={", "cannot read the settings"),
    ],
)
def test_settings_have_the_types_of_their_annotations(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        METHODS.create(spec)


def test_a_whole_number_may_stand_for_a_fraction() -> None:
    assert METHODS.create("attention:residual=1").residual == 1


def test_settings_without_a_default_must_be_given(tmp_path: Path) -> None:
    path = tmp_path / "needs.py"
    path.write_text(PLUGIN.replace("scale: float = 2.0", "scale: float"))
    with pytest.raises(UsageError, match=r"method '.*needs\.py:ones' needs a value for 'scale'"):
        METHODS.create(f"{path}:ones")


@pytest.mark.parametrize("name", ["", "../evil", "a b", "é/x"])
def test_names_that_cannot_stand_in_a_folder_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be called"):
        method(name, gives="tokens")


def test_a_plug_in_that_leaves_python_is_reported_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "leaves.py"
    path.write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(UsageError, match=r"leaves\.py, line 2: it ended Python with the exit code 0"):
        load_file(path)


@pytest.mark.parametrize(
    ("text", "value"), [("5e-4", 5e-4), ("1E3", 1000.0), ("2.5e-1", 0.25), ("e5", "e5"), ("5", 5), ("true", True)]
)
def test_numbers_are_read_as_people_write_them(text, value) -> None:
    parsed = Spec.parse(f"name:key={text}").settings["key"]
    assert parsed == value and type(parsed) is type(value)


def test_a_file_is_found_in_a_folder_whose_name_has_a_dot_py(tmp_path: Path) -> None:
    folder = tmp_path / "my.pyfiles"
    folder.mkdir()
    (folder / "mine.py").write_text(PLUGIN)
    METHODS.require(f"{folder}/mine.py:ones")
    assert METHODS.factory(f"{folder}/mine.py:ones").name == "ones"  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="there is no file"):
        METHODS.require(f"{folder}/none.py")
