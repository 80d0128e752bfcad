"""The settings of a plug-in as its source file declares them: names, defaults and what the docstring says, without an import."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import resolve_name
from typing import Any, NamedTuple

from ...core.plugin_docs import definition, module_tree
from ...core.registry import parameters

LEADING = {"method": 2, "metric": 3, "task": 1}
"""How many arguments of a decorated function flowgauge fills in (`core.declare`); they are no settings."""
SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Yields|Examples?):$")


class PluginSetting(NamedTuple):
    """A setting of a plug-in.

    Attributes:
        name: Its name.
        default: Its default; of one that has none, `NO_DEFAULT`.
        text: What the docstring says of it, on one line.
    """

    name: str
    default: Any
    text: str


class NoDefault:
    """The default of a setting that has to be given."""

    def __repr__(self) -> str:
        return "no default"


NO_DEFAULT = NoDefault()


def declared_settings(module: str, name: str, argument: str = "") -> tuple[PluginSetting, ...]:
    """The settings of a plug-in: the fields of a dataclass and of its bases, or the arguments of a function or constructor.

    What the docstring of a function leaves out is taken from the class that the function returns.

    Args:
        module: Name of the module.
        name: Name of the class or function in it.
        argument: What the first argument of the function is set to, which is then no setting; empty: nothing.

    >>> [(s.name, s.default) for s in declared_settings("flowgauge.methods.random", "Random")]
    [('draws', 'pairs:2')]
    """
    node = definition(module, name)
    if node is None:
        return ()
    if isinstance(node, ast.FunctionDef):
        calls = [getattr(d.func, "id", "") for d in node.decorator_list if isinstance(d, ast.Call)]
        leading = next((LEADING[call] for call in calls if call in LEADING), 0) + bool(argument)
        built = definition(*_home(module, ast.unparse(node.returns))) if node.returns else None
        texts = documented((ast.get_docstring(built) or "") if isinstance(built, ast.ClassDef) else "")
        return tuple(_arguments(module, node, {**texts, **documented(ast.get_docstring(node) or "")}, leading))
    return tuple(_of_class(module, node).values())


def imported_settings(factory: Callable[..., Any]) -> tuple[PluginSetting, ...]:
    """The settings of a class or function that has been imported, as plug-ins of users are."""
    texts = documented(inspect.getdoc(factory) or "")
    return tuple(
        PluginSetting(name, NO_DEFAULT if p.default is p.empty else p.default, texts.get(name, ""))
        for name, p in parameters(factory).items()
    )


def documented(docstring: str) -> dict[str, str]:
    """What the sections `Args` and `Attributes` of a docstring say of each name, on one line; `a, b: text` is of both.

    >>> documented('''Draws.
    ...
    ... Args:
    ...     size: How many,
    ...         at least one.
    ... ''')
    {'size': 'How many, at least one.'}
    """
    texts: dict[str, str] = {}
    section, names = "", list[str]()
    for line in inspect.cleandoc(docstring).splitlines():
        if line and not line.startswith(" "):
            start = SECTION.match(line)
            section, names = start[1] if start else "", []
        elif section in ("Args", "Attributes"):
            entry = re.match(r"^    (\w+(?:, \w+)*): (.*)$", line)
            if entry:
                names = entry[1].split(", ")
                texts |= dict.fromkeys(names, entry[2])
            else:
                texts |= {name: f"{texts[name]} {line.strip()}".strip() for name in names}
    return texts


def _of_class(module: str, node: ast.ClassDef) -> dict[str, PluginSetting]:
    """The settings of a class: those of its bases, then its own; a constructor of its own takes the place of all."""
    texts = documented(ast.get_docstring(node) or "")
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            texts |= documented(ast.get_docstring(item) or "")
            return {setting.name: setting for setting in _arguments(module, item, texts, 1)}
    settings: dict[str, PluginSetting] = {}
    for base in reversed(node.bases):
        home, name = _home(module, ast.unparse(base))
        parent = definition(home, name)
        if isinstance(parent, ast.ClassDef):
            settings |= _of_class(home, parent)
    for name, default in _fields(node):
        inherited = settings.get(name)
        value = _value(module, default) if default else NO_DEFAULT
        settings[name] = PluginSetting(name, value, inherited.text if inherited else "")
    return {name: s._replace(text=texts.get(name, s.text)) for name, s in settings.items()}


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr | None]]:
    """The fields of a dataclass that its constructor takes, with their defaults."""
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            value = "" if item.value is None else ast.unparse(item.value)
            if "ClassVar" not in ast.unparse(item.annotation) and "init=False" not in value:
                yield item.target.id, item.value


def _arguments(module: str, node: ast.FunctionDef, texts: dict[str, str], leading: int) -> Iterator[PluginSetting]:
    """The arguments of a function after the leading ones."""
    given = [*node.args.posonlyargs, *node.args.args]
    defaults = [*[None] * (len(given) - len(node.args.defaults)), *node.args.defaults]
    pairs = [*zip(given, defaults, strict=True)][leading:]
    for argument, default in [*pairs, *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)]:
        value = _value(module, default) if default else NO_DEFAULT
        yield PluginSetting(argument.arg, value, texts.get(argument.arg, ""))


def _value(module: str, node: ast.expr) -> Any:
    """The value of a default: of a literal, a constant of a module, or a product or power of whole numbers; else its text."""
    with suppress(ValueError):
        return ast.literal_eval(node)
    if isinstance(node, ast.Name):
        home, name = _home(module, node.id)
        assigned = (n for n in module_tree(home).body if isinstance(n, ast.Assign | ast.AnnAssign) and n.value)
        for statement in assigned:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if name in (getattr(target, "id", "") for target in targets):
                return _value(home, statement.value)  # type: ignore[arg-type]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return _value(module, node.left) ** _value(module, node.right)
    return ast.unparse(node)


def _home(module: str, name: str) -> tuple[str, str]:
    """The module that defines a name that another imports, and the name there."""
    package = module.rpartition(".")[0]
    for node in module_tree(module).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return resolve_name("." * node.level + (node.module or ""), package), alias.name
    return module, name
