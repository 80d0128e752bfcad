"""What a plug-in says of itself: a built-in one in its source file, read with `ast`, so that listing all of them imports none."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

DECLARED = (
    "version", "gives", "needs", "stochastic", "source", "control_of", "misleads",
    "scope", "reads", "higher_is_better", "bounds", "unit", "reference", "ranked", "pools", "head",
)  # fmt: skip
"""The attributes that `@method`, `@metric` and `@task` give a plug-in, as far as they are facts for people."""


@dataclass(frozen=True)
class PluginDocs:
    """A plug-in in words.

    Attributes:
        summary: The docstring's first line.
        paragraphs: The docstring's paragraphs below it, up to the first section (`Args:`, `Attributes:`, ...), each on one line.
        source: Who published it: the decorator's `source=`, else what follows "Source:" in the docstring; without a full stop.
        declared: What its decorator is given by keyword: literals, and names of literals that the module assigns.
    """

    summary: str = ""
    paragraphs: tuple[str, ...] = ()
    source: str = ""
    declared: Mapping[str, Any] = field(default_factory=dict)


@cache
def plugin_docs(target: str) -> PluginDocs:
    """What the source of a plug-in says of it; all of it is empty where no source file or no such definition is there.

    Args:
        target: `module:name` of a class or function, or `module:name(argument)`.

    >>> plugin_docs("flowgauge.core.plugin_docs:PluginDocs").summary
    'A plug-in in words.'
    """
    module, name, _ = target_parts(target)
    node = definition(module, name)
    if node is None:
        return PluginDocs()
    declared = _declared(module_tree(module), node)
    return _from_docstring(ast.get_docstring(node) or "", declared)


def target_parts(target: str) -> tuple[str, str, str]:
    """Module, name, and the text that the first argument is set to (empty: none) of a target of a registry.

    >>> target_parts("os.path:join"), target_parts("os.path:join(a)")
    (('os.path', 'join', ''), ('os.path', 'join', 'a'))
    """
    module, _, name = target.partition(":")
    name, _, argument = name.removesuffix(")").partition("(")
    return module, name, argument


@cache
def module_tree(module: str) -> ast.Module:
    """The syntax tree of a module, which is not imported; an empty one where there is no source file."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):  # no such package, or a module that was put together at run time
        spec = None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return ast.Module([], [])
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


def definition(module: str, name: str) -> ast.ClassDef | ast.FunctionDef | None:
    """The class or function of a name in a module; None where there is none."""
    nodes = (n for n in module_tree(module).body if isinstance(n, ast.ClassDef | ast.FunctionDef) and n.name == name)
    return next(nodes, None)


def imported_docs(factory: Callable[..., Any]) -> PluginDocs:
    """The same of a class or a decorated function that has been imported, as plug-ins of users are.

    >>> from .declare import FunctionPlugin, decorator
    >>> @decorator("method", {"source": "Doe 2020."}, FunctionPlugin, leading=1)
    ... def doubled(x, factor=2):
    ...     "Twice the input."
    >>> imported_docs(doubled)
    PluginDocs(summary='Twice the input.', paragraphs=(), source='Doe 2020', declared={'source': 'Doe 2020.'})
    """
    declared = {name: _of_defaults(factory, name) for name in DECLARED if hasattr(factory, name)}
    return _from_docstring(inspect.getdoc(factory) or "", declared)


def _of_defaults(factory: Callable[..., Any], name: str) -> Any:
    """What a class declares, with its default settings where it depends on them."""
    value = getattr(factory, name)
    return getattr(factory(), name) if isinstance(value, property) else value


def _from_docstring(text: str, declared: Mapping[str, Any]) -> PluginDocs:
    first, *rest = inspect.cleandoc(text).split("\n\n")
    above_sections = re.split(r"(?:^|\n\n)(?:Args|Attributes|Returns|Raises):", "\n\n".join(rest))[0]
    paragraphs = tuple(" ".join(p.split()) for p in above_sections.split("\n\n") if p.strip() and not p.startswith(">>>"))
    source = str(declared.get("source", "")) or _documented_source(paragraphs)
    return PluginDocs(first.partition("\n")[0], paragraphs, source.rstrip("."), declared)


def _declared(tree: ast.Module, node: ast.ClassDef | ast.FunctionDef) -> dict[str, Any]:
    """The literals among the decorator's keywords, and those of the module whose names are among them."""
    targets = [(target, n.value) for n in tree.body if isinstance(n, ast.Assign) for target in n.targets]
    assigned = {target.id: value for target, value in targets if isinstance(target, ast.Name)}
    declared: dict[str, Any] = {}
    for keyword in (k for d in node.decorator_list if isinstance(d, ast.Call) for k in d.keywords if k.arg):
        value = assigned.get(keyword.value.id) if isinstance(keyword.value, ast.Name) else keyword.value
        with suppress(ValueError):  # no literal
            declared |= {} if value is None else {str(keyword.arg): ast.literal_eval(value)}
    return declared


def _documented_source(paragraphs: tuple[str, ...]) -> str:
    """What follows "Source:" in a docstring: the whole paragraph that begins with it, or the sentence that it stands in."""
    for paragraph in paragraphs:
        if whole := re.match(r"Sources?: (.+)", paragraph):
            return whole[1]
        if sentence := re.search(r"\bSources?: (.+?\.)(?= [A-Z-]|$)", paragraph):
            return sentence[1]
    return ""
