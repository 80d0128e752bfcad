"""The house: rooms of a size one can survey, names that stand once, functions one can read, a test file for every module."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("benchmark", "leaderboards", "methods", "metrics", "models", "tasks")
ROOTS = (*(ROOT / name for name in FOLDERS), *(ROOT / "src/flowgauge" / name for name in ("core", "display", "cli")))
LARGEST_FOLDER, LARGEST_ROOM, LONGEST_FUNCTION, MOST_VAGUE_LOCALS = 18, 12, 80, 40
WIDE = {*FOLDERS, "leaderboards/figures"}
"""Folders that may hold more than twelve modules: the six of the line, and the figures, one file each."""

WITHOUT_A_TEST_FILE = {
    "models/families/base.py": "a record of a model's parts, which the tests of every family fill and read",
    "models/layered.py": "a protocol without code",
    "models/shapes.py": "names of array shapes, which every test checks",
}
"""Modules that have no test file of their own, and the reason."""


@cache
def modules() -> tuple[Path, ...]:
    """Every module of the package but `__init__`, as it lies in the repository."""
    return tuple(sorted(path for root in ROOTS for path in root.rglob("*.py") if path.name != "__init__.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def named(path: Path) -> str:
    """The path of a module from the root of the repository, or from the package where it lies in `src`."""
    return str(path.relative_to(ROOT)).removeprefix("src/flowgauge/")


def assigned(node: ast.AST) -> Iterator[str]:
    """Names that a statement or a comprehension binds."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.NamedExpr, ast.For, ast.comprehension)):
        targets = [node.target]
    elif isinstance(node, ast.With):
        targets = [item.optional_vars for item in node.items if item.optional_vars]
    for target in targets:
        yield from (part.id for part in ast.walk(target) if isinstance(part, ast.Name))


def test_no_two_public_classes_share_a_name() -> None:
    homes = defaultdict(list)
    for path in modules():
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(named(path))
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


def test_no_room_is_too_large_to_survey() -> None:
    sizes: defaultdict[str, int] = defaultdict(int)
    for path in modules():
        sizes[str(Path(named(path)).parent)] += 1
    assert {room: size for room, size in sizes.items() if size > (LARGEST_FOLDER if room in WIDE else LARGEST_ROOM)} == {}


def test_no_function_is_too_long_to_read() -> None:
    long = {}
    for path in modules():
        for node in ast.walk(tree(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno is not None:
                lines = node.end_lineno - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    long[f"{named(path)}:{node.name}"] = lines
    assert long == {}


def test_locals_say_what_they_hold() -> None:
    vague = [
        f"{named(path)}:{getattr(node, 'lineno', 0)}"
        for path in modules()
        for node in ast.walk(tree(path))
        if {"found", "made"} & set(assigned(node))
    ]
    assert len(vague) < MOST_VAGUE_LOCALS, vague


@pytest.mark.parametrize("room", [*FOLDERS, "core", "display", "cli"])
def test_every_module_has_its_test_file_in_the_mirror(room: str) -> None:
    names = [name for path in modules() if (name := named(path)).startswith(f"{room}/")]
    assert names
    missing = {n for n in names if not (ROOT / "tests" / Path(n).with_name(f"test_{Path(n).name}")).is_file()}
    assert missing == {name for name in WITHOUT_A_TEST_FILE if name.startswith(f"{room}/")}


def test_the_list_of_modules_without_a_test_file_is_short() -> None:
    assert len(WITHOUT_A_TEST_FILE) <= 10 and all(WITHOUT_A_TEST_FILE.values())
