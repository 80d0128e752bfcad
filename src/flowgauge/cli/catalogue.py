"""`flowgauge list` and `info`: what there is, and all that is known of it."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ..core.errors import UnknownName
from .completion import complete_name
from .console import reporting
from .options import Debug

if TYPE_CHECKING:
    from ..benchmark.catalogue.facts import Kind, PluginFacts

WIDEST = 110
"""Most columns of a text, which is hard to read in longer lines."""


class ListedKind(StrEnum):
    """What `flowgauge list` shows."""

    models = "models"
    tasks = "tasks"
    methods = "methods"
    metrics = "metrics"


def list_(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND", show_default="all", help="models, tasks, methods or metrics.", autocompletion=lambda: [*ListedKind]
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with everything that `flowgauge info` says.")] = False,
    debug: Debug = False,
) -> None:
    """List models, tasks, methods and metrics in groups, each with the publication that it follows."""
    with reporting(debug):
        from ..benchmark.catalogue.facts import all_facts

        if kind is not None and kind not in [*ListedKind]:
            raise UnknownName("list", kind, [*ListedKind])
        listed = [all_facts(_singular(each)) for each in ([ListedKind(kind)] if kind else ListedKind)]
        if as_json:
            typer.echo(json.dumps([entry.to_json() for entries in listed for entry in entries], indent=1))
            return
        blocks = [_in_groups(entries, "" if kind else f"{entries[0].kind}s: ") for entries in listed if entries]
        typer.echo("\n\n".join(blocks))


def info(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A method, metric, task or model, or FILE.py[:NAME].", autocompletion=complete_name),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")] = False,
    debug: Debug = False,
) -> None:
    """Say all that is known of a method, metric, task or model: what it computes, settings, cost, and when it misleads."""
    with reporting(debug):
        from ..benchmark.catalogue.facts import find

        known = find(name)
        if as_json:
            typer.echo(json.dumps([entry.to_json() for entry in known], indent=1))
            return
        width = min(WIDEST, shutil.get_terminal_size((WIDEST, 40)).columns)
        typer.echo("\n\n\n".join("\n".join(_page(entry, width)) for entry in known))


def _singular(kind: ListedKind) -> Kind:
    return cast("Kind", kind.value.removesuffix("s"))


def _in_groups(entries: Iterable[PluginFacts], prefix: str) -> str:
    """Entries under the headings of their groups: name and summary, and the source below."""
    from ..benchmark.catalogue.facts import GROUPS, OUTSIDE_GROUP, families

    order = [*GROUPS.values(), OUTSIDE_GROUP]
    entries = sorted(entries, key=lambda entry: order.index(entry.group))
    shown = [(_family_name(family), family) for family in families(entries)]
    margin, blocks = 4 + max(len(name) for name, _ in shown), list[str]()
    for heading, group in groupby(shown, key=lambda pair: pair[1][0].group):
        lines = [prefix + heading[0].lower() + heading[1:] if prefix else heading]
        for name, family in group:
            lines.append(f"  {name:<{margin - 2}}{family[0].docs.summary}")
            lines += [" " * margin + family[0].source] if family[0].source else []
            if len(family) > 1:
                names = ", ".join(entry.name.partition("/")[2] for entry in family)
                lines += [" " * margin + line for line in textwrap.wrap(names, WIDEST - margin)]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _family_name(family: Sequence[PluginFacts]) -> str:
    """The name of an entry, or the pattern of several: `blimp/...`."""
    return family[0].name if len(family) == 1 else f"{family[0].name.partition('/')[0]}/..."


def _page(entry: PluginFacts, width: int) -> list[str]:
    """Everything that is known of one plug-in, as lines."""
    from ..benchmark.catalogue.in_words import sentences, setting_in_words

    rows = sentences(entry)
    texts = [entry.docs.summary, *(text for text in entry.docs.paragraphs if not text.startswith("Source:"))]
    head = f"{entry.name} ({entry.kind}; {entry.group[0].lower()}{entry.group[1:]})"
    blocks = [textwrap.wrap(text, width) for text in (head, *texts)]
    blocks += [_table(rows, width)] if rows else []
    if entry.settings:
        settings = _table([(setting_in_words(setting), setting.text) for setting in entry.settings], width)
        blocks.append([f"settings, as in {entry.name}:{entry.settings[0].name}=...", *settings])
    return [line for block in blocks for line in (*block, "")][:-1]


def _table(rows: Iterable[tuple[str, str]], width: int) -> list[str]:
    """Labels, and texts that are wrapped beside them."""
    rows = list(rows)
    margin = min(30, 4 + max((len(label) for label, _ in rows), default=0))
    lines: list[str] = []
    for label, text in rows:
        wrapped = textwrap.wrap(text, max(20, width - margin)) or [""]
        start = f"  {label}"
        if len(start) >= margin:
            lines.append(start)
        else:
            wrapped[0] = f"{start:<{margin}}{wrapped[0]}"
            lines.append(wrapped.pop(0))
        lines += [" " * margin + line for line in wrapped]
    return lines
