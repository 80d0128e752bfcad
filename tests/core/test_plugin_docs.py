"""What is read of a plug-in from its source file: the same as an import would say, without the import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flowgauge.core.plugin_docs import PluginDocs, imported_docs, plugin_docs
from flowgauge.core.registry import Registry
from flowgauge.methods.registry import METHODS
from flowgauge.metrics.registry import METRICS
from flowgauge.models.registry import MODELS
from flowgauge.tasks.registry import TASKS

MODULE = '''
SOURCE = "Doe 2019, A " "constant."


@method("named", source=SOURCE)
class Named:
    """Named.

    A paragraph
    on two lines. Source: nobody.

    Attributes:
        size: Not read.
    """


@method("literal", source="Doe 2020, A literal.")
def literal(): ...


def sentence():
    """First line.

    Text. Source: Doe 2021, section 3. More text.
    """


def paragraph():
    """First line.

    Source: J. Doe 2022. A title with stops.
    """
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "documented_plugins.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return "documented_plugins"


def test_summary_paragraphs_and_source_are_read(module: str) -> None:
    text = "A paragraph on two lines. Source: nobody."
    declared = {"source": "Doe 2019, A constant."}
    assert plugin_docs(f"{module}:Named") == PluginDocs("Named.", (text,), "Doe 2019, A constant", declared=declared)
    assert plugin_docs(f"{module}:literal").source == "Doe 2020, A literal"
    assert plugin_docs(f"{module}:sentence").source == "Doe 2021, section 3"
    assert plugin_docs(f"{module}:paragraph").source == "J. Doe 2022. A title with stops"
    assert module not in sys.modules


@pytest.mark.parametrize("target", ["documented_plugins:Nothing", "no_such_package.module:Name", "sys:path"])
def test_what_has_no_source_is_empty(target: str, module: str) -> None:
    assert plugin_docs(target) == PluginDocs()


@pytest.mark.parametrize("registry", [METHODS, METRICS, TASKS, MODELS], ids=lambda registry: registry.kind)
def test_every_builtin_is_read_as_it_is_imported(registry: Registry) -> None:
    for name in registry.builtin:
        factory, docs = registry.factory(name), registry.docs()[name]
        assert docs.summary == (factory.__doc__ or "").partition("\n")[0] != "", name
        if registry.kind in ("method", "metric"):
            imported = imported_docs(factory)
            assert docs.source == imported.source != "", f"{registry.kind} {name}: add source= to its decorator"
            assert {k: v for k, v in docs.declared.items() if k not in ("frozen", "source")} == {
                k: imported.declared[k] for k in docs.declared if k not in ("frozen", "source")
            }, name
            assert docs.paragraphs == imported.paragraphs


def test_reading_imports_neither_the_plugins_nor_torch() -> None:
    registries = "; ".join(f"from flowgauge.{kind}s.registry import {kind.upper()}S as {kind}s" for kind in KINDS)
    names = ", ".join(f"{kind}s" for kind in KINDS)
    code = f"import sys; {registries}; [r.docs() for r in ({names})]; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)})
    assert (done.stdout, done.stderr) == ("False\n", "")


KINDS = ("method", "metric", "task", "model")
