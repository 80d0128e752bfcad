"""The sdist and the wheel hold every folder, the data and the type marker, and the wheel runs on its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("benchmark", "leaderboards", "methods", "metrics", "models", "tasks")
BUILD = "import sys; from setuptools import build_meta as b; print(getattr(b, 'build_' + sys.argv[1])(sys.argv[2]))"


def build(kind: str, source: Path, out: Path) -> Path:
    """A distribution from a source tree, by the project's build backend and without the network."""
    done = subprocess.run([sys.executable, "-c", BUILD, kind, str(out)], cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Warning: Package" not in done.stderr
    return out / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the sources, so that nothing is left behind in the tree."""
    tree = tmp_path_factory.mktemp("tree")
    leave = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("src", *FOLDERS):
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=leave)
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "CHANGELOG.md", "CITATION.cff", "constraints.txt"):
        shutil.copy(ROOT / name, tree / name)
    return build("sdist", tree, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the unpacked sdist, as a package index would serve it."""
    tree = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(tree, filter="data")
    return build("wheel", tree / sdist.name.removesuffix(".tar.gz"), tmp_path_factory.mktemp("wheel"))


def sources() -> set[str]:
    """Every Python and data file of the package, as the wheel names it."""
    linked = {f"flowgauge/{p.relative_to(ROOT)}" for name in FOLDERS for p in (ROOT / name).rglob("*") if is_source_or_data(p)}
    package = ROOT / "src" / "flowgauge"
    own = [package / "__init__.py", package / "__main__.py", *(package / "cli").glob("*.py"), *(package / "core").glob("*.py")]
    return linked | {f"flowgauge/{p.relative_to(package)}" for p in own}


def is_source_or_data(path: Path) -> bool:
    return (
        path.is_file()
        and not {"__pycache__", "published"} & set(path.parts)
        and path.suffix in {".py", ".toml", ".yaml", ".safetensors", ".json"}
    )


def test_the_wheel_holds_every_source_and_data_file(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert sources() - names == set()
    named = {
        "py.typed",
        "cli/app.py",
        "tasks/lexicon.toml",
        "models/zoo/agreement-bert/model.safetensors",
        "models/zoo/agreement-bert-plain/model.safetensors",
        "models/zoo/agreement-gpt2/model.safetensors",
        "models/zoo/agreement-gpt2-plain/model.safetensors",
        "benchmark/plans/demo.yaml",
        "display/templates/explained.html",
        "leaderboards/site/templates/index.html",
        "leaderboards/site/static/vendor/tabulator.min.js",
    }
    assert {f"flowgauge/{name}" for name in named} <= names
    assert not [name for name in names if name.startswith(FOLDERS) or "/published/" in name]


def test_the_wheel_holds_the_embedded_models_and_not_their_training_scripts(wheel: Path) -> None:
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    assert {name for name in names if name.startswith("flowgauge/models/zoo/") and name.count("/") == 3} == {
        "flowgauge/models/zoo/__init__.py"
    }
    assert "flowgauge/models/zoo/agreement-bert/recipe.json" in names
    assert "flowgauge/models/zoo/agreement-gpt2/recipe.json" in names
    assert not [name for name in names if "agreement_" in name or "scripts" in name or not name.startswith("flowgauge/")]


def test_the_sdist_holds_the_licence_and_the_pins(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff", "constraints.txt", "pyproject.toml"} <= names
    assert {f"src/{name}" for name in sources()} <= names


def test_the_wheel_declares_the_command_and_its_licence(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    entry = archive.read("flowgauge-0.1.0.dist-info/entry_points.txt").decode()
    assert "flowgauge = flowgauge.cli:main" in entry
    assert "License-Expression: Apache-2.0" in archive.read("flowgauge-0.1.0.dist-info/METADATA").decode()


def test_the_wheel_runs_without_the_repository(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = "import flowgauge.cli, sys; print(flowgauge.__file__); sys.argv[1:] = ['list', '--json']; flowgauge.cli.main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(tmp_path / "site")},
    )  # fmt: skip
    where, _, listed = done.stdout.partition("\n")
    assert Path(where).is_relative_to(tmp_path)
    entries = {entry["name"]: entry for entry in json.loads(listed)}
    assert "agreement-bert" in entries and entries["conductance"]["cost"]["ratio"] > 0
    weights = zipfile.ZipFile(wheel).getinfo("flowgauge/models/zoo/agreement-bert/model.safetensors")
    assert weights.file_size < 5_000_000
