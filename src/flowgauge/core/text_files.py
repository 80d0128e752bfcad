"""Small text files of any origin: regular, of bounded size, and as JSON or YAML without what these can hide."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import yaml

from .errors import UsageError, quoted, shortened

LARGEST = 1 << 20
"""Most bytes of a plan or a manifest."""


def read_text(path: Path, kind: str) -> str:
    """The text of a file that someone writes by hand.

    Args:
        path: The file.
        kind: What messages call it, such as `plan`.

    Raises:
        UsageError: Nothing is there, or something else than a file; it is too large, or not UTF-8.
    """
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"the {kind} {path} is no file: name a text file.")
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise UsageError(f"the {kind} {path} has more than {LARGEST >> 20} MiB: it is another kind of file.")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read the {kind} {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the {kind} {path} is not a text file in UTF-8.") from error


def lies_inside(name: str) -> bool:
    """Whether the name of a file that a list gives lies in the folder of the list, on every system.

    >>> lies_inside("pages/index.html"), lies_inside("../key"), lies_inside("/etc/passwd"), lies_inside("C:key")
    (True, False, False, False)
    """
    return not any(path.anchor or ".." in path.parts for path in (PurePosixPath(name), PureWindowsPath(name)))


class RepeatedKey(ValueError):
    """An object of JSON has a key twice, of which a parser would take the last without a word."""


def parse_json(text: str | bytes) -> Any:
    """JSON as Python values, unless an object has a key twice.

    Raises:
        ValueError: It is no JSON.
        RepeatedKey: A key stands twice.

    >>> parse_json('{"a": [1, null]}')
    {'a': [1, None]}
    """
    return json.loads(text, object_pairs_hook=_with_each_key_once)


def _with_each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    whole = dict(pairs)
    if len(whole) < len(pairs):
        ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise RepeatedKey(f"the key {quoted(name, 100)} stands twice")
    return whole


def parse_yaml(text: str, where: str) -> Any:
    """The value of a YAML text, in which no key stands twice in a mapping and nothing is an alias.

    Args:
        text: The text.
        where: What messages call it.

    Raises:
        UsageError: It is not YAML, or not of that kind; with the line.

    >>> parse_yaml("tasks: [a, b]", "a plan")
    {'tasks': ['a', 'b']}
    """
    try:
        return yaml.load(text, _PlainYaml)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        why = str(getattr(error, "problem", error))
        if isinstance(error, RecursionError):
            why = "brackets within brackets, too deep to be read"
        raise UsageError(f"{where}{line}: not YAML that can be read: {shortened(why).rstrip('.')}.") from error


class _PlainYaml(yaml.SafeLoader):  # type: ignore[misc]  # yaml has no types
    """Refuses the same key twice, of which YAML takes the last in silence, and aliases, of which a few lines fill the memory."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping as the safe loader reads it, after its keys were checked."""
        seen: set[Any] = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if not isinstance(name, Hashable):
                raise yaml.constructor.ConstructorError(None, None, "a list or a mapping is no key", key.start_mark)
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{quoted(name, 100)} stands twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A node as the safe loader reads it, unless it is an alias."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "an alias (*name): write it out", self.peek_event().start_mark)
        return super().compose_node(parent, index)
