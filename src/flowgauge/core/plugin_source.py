"""The source of a plug-in from outside flowgauge as one hash: its file, and the modules of the user's that it imports."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from .errors import UsageError
from .foreign_code import defined_by, is_users, source_file

_imported: dict[Path, str] = {}
"""The hash of each module of a user's when this process first met it as a part of a plug-in."""


def source_hash(plugin: object) -> str:
    """Sha256 of the source of a plug-in from outside flowgauge, in hexadecimal.

    It covers the plug-in's file and the modules that the file imports, directly or through one another, as far as they are the
    user's: they lie outside Python's own and installed packages, or in the package of the plug-in itself. For a file that imports
    none of these it is the hash of the file alone. Modules whose name is put together at run time, and files of data, are not
    covered.

    It is empty for built-in plug-ins, whose `version` identifies them, and where there is no file.

    Raises:
        UsageError: A module was edited after this process had imported it.
    """
    file = source_file(plugin)
    if file is None:
        return ""
    parts = [_sha256(file)]
    for name, path in sorted(_imported_files(file, defined_by(plugin).__module__).items()):
        parts.append(f"{name} {_sha256(path)}")
        if _imported.setdefault(path, parts[-1]) != parts[-1]:
            raise UsageError(f"{path} was edited after it had been imported: start Python again, so that the new text runs.")
    return parts[0] if len(parts) == 1 else hashlib.sha256("\n".join(parts).encode()).hexdigest()


def forget_edited_imports(file: Path) -> None:
    """Takes the user's modules that a plug-in file imports out of `sys.modules` if one was edited, before the file is loaded."""
    helpers = _imported_files(file, "")
    hashes = {path: f"{name} {_sha256(path)}" for name, path in helpers.items()}
    if any(_imported.get(path, text) != text for path, text in hashes.items()):
        for name, path in helpers.items():
            sys.modules.pop(name, None)
            Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)  # its time is of whole seconds
        importlib.invalidate_caches()
    _imported.update(hashes)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _imported_files(file: Path, module: str) -> dict[str, Path]:
    """Files of the user's modules that a file imports, directly or through one another, by the name of the module."""
    package = module.partition(".")[0] if "." in module else ""
    files, waiting = dict[str, Path](), [(file, module)]
    while waiting:
        path, name = waiting.pop()
        for imported in _imports(path.read_bytes() if path.suffix == ".py" else b"", name, path.name == "__init__.py"):
            target = None if imported in files else _file_of(imported, file.parent, package)
            if target is not None and target != file:
                files[imported] = target
                waiting.append((target, imported))
    return {name: path for name, path in files.items() if path.stat().st_size}


@lru_cache(maxsize=1024)
def _imports(source: bytes, module: str, is_package: bool) -> tuple[str, ...]:
    """Names of the modules that a source imports, wherever in it the statement stands, each after the packages around it."""
    package = module if is_package else module.rpartition(".")[0]
    names = {package}
    try:
        nodes = [*ast.walk(ast.parse(source))]
    except (SyntaxError, ValueError, RecursionError):  # loading it says so
        nodes = []
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: 1 - node.level or None] if node.level else []
            home = ".".join(filter(None, [*above, node.module]))
            names |= {home, *(f"{home}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            names |= {str(node.args[0].value)} if called in ("import_module", "__import__") else set()
    split = [name.strip(".").split(".") for name in sorted(names) if name.strip(".")]
    return tuple(dict.fromkeys(".".join(parts[: end + 1]) for parts in split for end in range(len(parts))))


def _file_of(name: str, folder: Path, package: str) -> Path | None:
    """The file of a module, if it is the user's or in a package; nothing is imported.

    Args:
        name: The module.
        folder: Where it is looked for if Python does not find it, since a plug-in may extend `sys.path` when it runs.
        package: A package that counts as the user's wherever it lies.
    """
    parts = name.split(".")
    spec = _spec(parts[0])
    for end in range(2, len(parts) + 1):
        if spec is None or not _counts(spec, parts[0] == package):
            break
        spec = _spec(".".join(parts[:end]), spec)
    if spec is not None:
        return Path(spec.origin) if spec.origin and _counts(spec, parts[0] == package) and spec.has_location else None
    file = folder.joinpath(*parts).with_suffix(".py")
    return file if file.is_file() else None


def _spec(name: str, parent: ModuleSpec | None = None) -> ModuleSpec | None:
    """Where Python loads a module from, or has loaded it from."""
    loaded = getattr(sys.modules.get(name), "__spec__", None)
    if loaded is not None:
        return loaded
    try:
        if parent is None:
            return importlib.util.find_spec(name)
        return PathFinder.find_spec(name, parent.submodule_search_locations)
    except (ImportError, ValueError):
        return None


def _counts(spec: ModuleSpec, in_package: bool) -> bool:
    """Whether a module is the user's; a package without `__init__.py` may hold some that are."""
    if spec.origin is None or not spec.has_location:
        return spec.submodule_search_locations is not None
    return in_package or is_users(Path(spec.origin))
