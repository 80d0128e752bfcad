"""What a built-in method's docstring says, read from its source without importing it. No torch."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ...benchmark.store.record import Record
from ...methods.registry import METHODS


@dataclass(frozen=True)
class MethodDescription:
    """A method in words.

    Attributes:
        summary: One line.
        text: The paragraphs below it, up to the settings.
        source: Authors, year and section or equation; empty where the docstring names none.
    """

    summary: str
    text: tuple[str, ...] = ()
    source: str = ""


def about_outside(record: Record) -> MethodDescription:
    """What is known of a method whose explanations were computed elsewhere: what was handed in with them."""
    producer = record.key.get("method", {}).get("producer", "")
    text = "They are scored like all others; flowgauge cannot run the method, so its cells cannot be re-run."
    return MethodDescription(
        f"Explanations computed outside flowgauge, by {producer}.", (text,), str(record.asked.get("citation", "")).rstrip(".")
    )


@cache
def about(method: str) -> MethodDescription:
    """What is known of a method by name; of one that is not registered, that."""
    entry = METHODS.builtin.get(method)
    if entry is None:
        return MethodDescription("A method that is not part of flowgauge; what is known of it is what its cells say.")
    module, doc = _docstrings(entry.target)
    body = re.split(r"\n\s*(?:Attributes|Args|Returns|Raises):", doc)[0]
    paragraphs = [" ".join(part.split()) for part in body.split("\n\n")[1:]]
    source = next((found[1] for text in paragraphs if (found := re.search(r"\bSources?: (.+?\.)(?= [A-Z-]|$)", text))), "")
    if not source and (named := re.search(r"\(([A-Z][^()]*\d{4}[^()]*)\)", module)):
        source = named[1]
    return MethodDescription(entry.summary, tuple(p for p in paragraphs if p), source.rstrip("."))


def _docstrings(target: str) -> tuple[str, str]:
    """Of the module and of the name of `module:name`; empty where its source is not there."""
    module, _, name = target.partition(":")
    found = find_spec(module)
    if found is None or found.origin is None:
        return "", ""
    tree = ast.parse(Path(found.origin).read_text(encoding="utf-8"))
    node = next((n for n in tree.body if isinstance(n, (ast.ClassDef, ast.FunctionDef)) and n.name == name), None)
    return ast.get_docstring(tree) or "", "" if node is None else inspect.cleandoc(ast.get_docstring(node) or "")
