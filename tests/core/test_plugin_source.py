"""The hash of a plug-in covers the modules of the user's that it imports, and stays what it was for a file by itself."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowgauge.core.errors import UsageError
from flowgauge.core.foreign_code import source_file
from flowgauge.core.plugin_source import source_hash
from flowgauge.core.registry import Registry, load_file
from flowgauge.methods.random import Random

BODY = '\n\n@flowgauge.method("mine", gives={"tokens"})\ndef mine(model, batch):\n    """Mine."""\n    return FACTOR\n'
PLAIN = "import json, flowgauge\nimport numpy as np\nFACTOR = 1\n" + BODY
METHODS = Registry("method", "flowgauge.nothing", {})


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Writes files below a folder that Python imports from, and returns the plug-in's."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / f"{name.replace('__', '/').replace('/init', '/__init__')}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return tmp_path / "plug.py"

    yield write
    for name in set(sys.modules) - before:
        if name.startswith(("own_", "flowgauge_plugin_")):
            del sys.modules[name]


def test_a_file_by_itself_has_the_hash_of_its_text(write: Callable[..., Path]) -> None:
    plugin = METHODS.create(str(file := write(plug=PLAIN)))
    assert source_hash(plugin) == hashlib.sha256(PLAIN.encode()).hexdigest() and source_file(plugin) == file
    assert source_hash(Random()) == "" and source_file(Random()) is None


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("from own_helper import FACTOR", "own_helper"),
        ("import own_helper; FACTOR = 1", "own_helper"),
        ("def f():\n    import own_helper\nFACTOR = 1", "own_helper"),
        ("import importlib; FACTOR = importlib.import_module('own_helper').FACTOR", "own_helper"),
        ("from own_between import FACTOR", "own_helper"),
        ("from own_pack import part; FACTOR = 1", "own_pack__part"),
        ("import own_pack.part; FACTOR = 1", "own_pack__init"),
        ("from own_pack.part import FACTOR", "own_pack__sibling"),
    ],
)
def test_an_edit_of_a_module_that_it_imports_is_another_source(line: str, changed: str, write: Callable[..., Path]) -> None:
    texts = {
        "plug": f"import flowgauge\n{line}\n{BODY}",
        "own_helper": "FACTOR = 1\n",
        "own_between": "from own_helper import FACTOR\n",
        "own_pack__init": "VERSION = 1\n",
        "own_pack__part": "from .sibling import FACTOR\n",
        "own_pack__sibling": "FACTOR = 1\n",
    }
    file = str(write(**texts))
    before = source_hash(METHODS.create(file))
    assert before == source_hash(METHODS.create(file)) != hashlib.sha256(texts["plug"].encode()).hexdigest()
    write(**{changed: texts[changed] + "# edited\n"})
    assert source_hash(METHODS.create(file)) != before


def test_an_edited_module_is_what_runs_even_if_it_is_as_long_as_before(write: Callable[..., Path]) -> None:
    plug = f"import flowgauge\nfrom own_between import FACTOR\n{BODY}"
    for factor in (1, 2, 3):
        file = write(own_helper=f"FACTOR = {factor}\n", own_between="from own_helper import *\n", plug=plug)
        assert METHODS.create(str(file)).explain(None, None) == factor
        write(plug=plug.replace("return FACTOR", f"return {factor} * 5"))
        assert METHODS.create(str(file)).explain(None, None) == factor * 5


def test_an_edit_that_a_loaded_plug_in_has_not_seen_is_refused(write: Callable[..., Path]) -> None:
    plugin = METHODS.create(str(write(plug=f"import flowgauge\nfrom own_late import FACTOR\n{BODY}", own_late="FACTOR = 1\n")))
    write(own_late="FACTOR = 2\n")
    with pytest.raises(UsageError, match=r"own_late\.py was edited after it had been imported: start Python again"):
        source_hash(plugin)


def test_a_package_of_plug_ins_counts_as_the_authors_wherever_it_is_installed(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowgauge.core.plugin_source.is_users", lambda file: False)
    write(own_installed__init="", own_installed__methods=f"import flowgauge\nfrom .tools import FACTOR\n{BODY}")
    write(own_installed__tools="import own_helper_too\nFACTOR = 1\n", own_helper_too="")
    from own_installed.methods import mine  # type: ignore[import-not-found]

    before = source_hash(mine())
    write(own_helper_too="X = 1\n")
    assert source_hash(mine()) == before
    write(own_installed__tools="FACTOR = 2\n")
    with pytest.raises(UsageError, match=r"tools\.py was edited"):
        source_hash(mine())


def test_what_cannot_be_read_as_python_is_left_to_loading(write: Callable[..., Path]) -> None:
    file = write(plug="import flowgauge\nimport own_torn\n", own_torn="def (\n")
    with pytest.raises(UsageError, match=r"plug\.py, line 2: this is not Python"):
        load_file(file)
