"""The real folders, their links, and what importing costs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import flowgauge

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "flowgauge"
FOLDERS = ("benchmark", "leaderboards", "methods", "metrics", "models", "tasks")


@pytest.mark.parametrize("name", FOLDERS)
def test_every_link_resolves_to_its_folder(name: str) -> None:
    link = PACKAGE / name
    assert link.is_symlink()
    assert link.readlink() == Path("..") / ".." / name
    assert link.resolve() == ROOT / name
    assert (link / "__init__.py").is_file()


def test_no_folder_is_without_a_link() -> None:
    real = {p.parent.name for p in ROOT.glob("*/__init__.py")}
    assert real == set(FOLDERS)
    assert {p.name for p in PACKAGE.iterdir() if p.is_symlink()} == set(FOLDERS)


def test_every_folder_with_code_is_a_package() -> None:
    """A folder without `__init__.py` would be left out of the wheel; plug-ins beside plans are in it as data."""
    bare = {p.parent for name in FOLDERS for p in (ROOT / name).rglob("*.py") if not (p.parent / "__init__.py").is_file()}
    assert bare == {ROOT / "benchmark" / "plans"}


def test_the_version_is_the_project_files() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert flowgauge.__version__ == project["version"] == "0.1.0"


def test_constraints_pin_every_direct_requirement() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [*project["dependencies"], *(name for extra in project["optional-dependencies"].values() for name in extra)]
    names = {re.split(r"[\[,>]", requirement)[0] for requirement in requirements}
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert names <= {line.partition("==")[0] for line in lines}
    assert all(line.count("==") == 1 and "+" not in line and "@" not in line for line in lines)


def test_public_names_are_where_the_package_says() -> None:
    for name in flowgauge.__all__:
        assert getattr(flowgauge, name).__name__ == name
    with pytest.raises(AttributeError, match="has no 'nothing'"):
        _ = flowgauge.nothing
    with pytest.raises(AttributeError, match="flowgauge has no 'plan'"):
        _ = flowgauge.plan


def test_names_that_need_no_torch_are_imported_without_it() -> None:
    code = "import sys, flowgauge\nflowgauge.Plan, flowgauge.Store, flowgauge.Explanation\n"
    code += "assert not {'torch', 'transformers'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr == ""


def test_type_checkers_see_every_public_name_in_the_same_module() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert len(imports) == len(block.body)
    seen = {alias.asname: (node.module, alias.name) for node in imports for alias in node.names}
    assert seen == {name: (module, name) for name, module in flowgauge._HOME.items()}


@pytest.mark.parametrize(
    "module",
    ["flowgauge", "flowgauge.cli", "flowgauge.core.registry", "flowgauge.tasks.registry", "flowgauge.methods.registry",
     "flowgauge.metrics.registry", "flowgauge.models.zoo", "flowgauge.benchmark.engine.plan",
     "flowgauge.leaderboards.tables.task_tables"],
)  # fmt: skip
def test_importing_loads_no_torch(module: str) -> None:
    code = f"import {module}, sys; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT / "src")}
    )
    assert done.stdout.strip() == "[]"
