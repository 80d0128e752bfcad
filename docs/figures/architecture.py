"""Draws the picture of docs/architecture.md: `python docs/figures/architecture.py` writes architecture.svg beside this file.

The picture follows from the text below alone, so that the same text gives the same bytes. Colours change with the reader's theme.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

FOLDERS = """
tasks: what to explain: instance.py registry.py pairs agreement.py classification.py squad.py planted.py toy_counting.py
models: a model as a flow graph: inputs flow layers families interventions circuits built zoo
methods: explain a prediction: gradients averaged_gradients decomposition patterns attention perturbation masks noise circuits
metrics: how faithful that is: nodes summary.py tokens sanity heads edges patterns masks circuits reduced_models statistics \
calibration
benchmark: run, store, resume: engine sharing loading store external verification fine_tuning conformance speed catalogue \
reproduction
leaderboards: compare, show, publish: stored tables comparison site figures export submission report_cards reproduction \
board_repository
"""
"""Folder: caption: its rooms (folders) and, where it has files alone, some of these."""

ROUTES = """
batch: tasks/instance.py models/inputs models/flow methods/patterns metrics/nodes
number: metrics/nodes metrics/summary.py benchmark/store \
leaderboards/stored leaderboards/tables leaderboards/comparison leaderboards/site
"""
"""Route: the rooms it passes, in order."""

LEGEND = {"batch": "the path of one batch", "number": "the path of one stored number"}
ROOF = ("src/flowgauge/cli", "the command line: alone imports every folder")
UNDER_THE_ROOF = ("src/flowgauge/display", "one explained text and the results of a run, as people look at them")
FLOOR = ("src/flowgauge/core", "errors, plug-in registry, version: imports no other folder")

WIDTH, COLUMN, GAP, MARGIN = 1200, 170, 30, 15
ROOM, STEP = 34, 48
TOP, HEAD = 132, 60
STYLE = """
svg { font-family: system-ui, 'Helvetica Neue', Arial, sans-serif; }
.page { fill: #ffffff; } .folder { fill: #f3f4f6; stroke: #6b7280; } .room { fill: #ffffff; stroke: #9ca3af; }
.bar { fill: #e5e7eb; stroke: #6b7280; } text { fill: #111827; font-size: 13px; } .name { font-size: 16px; font-weight: 600; }
.caption { fill: #374151; font-size: 12px; } .batch { stroke: #0b62a8; } .number { stroke: #b34700; }
.route { fill: none; stroke-width: 2.5; } .tip-batch { fill: #0b62a8; } .tip-number { fill: #b34700; }
.import { stroke: #6b7280; stroke-width: 1.5; fill: none; stroke-dasharray: 4 3; } .tip-import { fill: #6b7280; }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117; } .folder { fill: #161b22; stroke: #8b949e; } .room { fill: #0d1117; stroke: #6e7681; }
  .bar { fill: #21262d; stroke: #8b949e; } text { fill: #f0f6fc; } .caption { fill: #c9d1d9; }
  .batch { stroke: #6cb6ff; } .tip-batch { fill: #6cb6ff; } .number { stroke: #ffa657; } .tip-number { fill: #ffa657; }
  .import { stroke: #8b949e; } .tip-import { fill: #8b949e; }
}
"""


class Folder(NamedTuple):
    """One column of the picture."""

    name: str
    caption: str
    rooms: tuple[str, ...]


class Box(NamedTuple):
    """Where a room is drawn: its left upper corner; every room has the same size."""

    x: int
    y: int


def folders() -> list[Folder]:
    """The columns, from the text."""
    parts = [[part.strip() for part in line.split(":")] for line in FOLDERS.strip().splitlines()]
    return [Folder(name, caption, tuple(rooms.split())) for name, caption, rooms in parts]


def routes() -> dict[str, tuple[str, ...]]:
    """The rooms of each route, from the text."""
    parts = [line.partition(":") for line in ROUTES.strip().splitlines()]
    return {name: tuple(rooms.split()) for name, _, rooms in parts}


def svg() -> str:
    """The picture as text."""
    columns = folders()
    boxes = {
        f"{folder.name}/{room}": Box(MARGIN + number * (COLUMN + GAP) + 12, TOP + HEAD + row * STEP)
        for number, folder in enumerate(columns)
        for row, room in enumerate(folder.rooms)
    }
    bottom = TOP + HEAD + max(len(folder.rooms) for folder in columns) * STEP
    height = bottom + 130
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title desc">',
        '<title id="title">The folders and rooms of flowgauge</title>',
        f'<desc id="desc">{_description(columns)}</desc>',
        f"<style>{STYLE}</style>",
        f"<defs>{''.join(_tip(kind) for kind in ('batch', 'number', 'import'))}</defs>",
        f'<rect class="page" width="{WIDTH}" height="{height}"/>',
        *_bar(15, *ROOF),
        *_bar(70, *UNDER_THE_ROOF),
        *(line for number, folder in enumerate(columns) for line in _column(number, folder, bottom)),
        *(line for name, rooms in routes().items() for line in _route(name, rooms, boxes)),
        *(_room(name.partition("/")[2], box) for name, box in boxes.items()),
        *_bar(bottom + 20, *FLOOR),
        *_legend(bottom + 95),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _description(columns: Sequence[Folder]) -> str:
    """The picture for those who hear it."""
    named = "; ".join(f"{folder.name} ({folder.caption}): {', '.join(folder.rooms)}" for folder in columns)
    passed = "; ".join(f"{LEGEND[name]}: {', '.join(rooms)}" for name, rooms in routes().items())
    return escape(f"Folders from left to right, each importing only from those to its left. {named}. Paths. {passed}.")


def _tip(kind: str) -> str:
    return (
        f'<marker id="tip-{kind}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="9" markerHeight="9" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path class="tip-{kind}" d="M0 0 10 5 0 10z"/></marker>'
    )


def _bar(y: int, name: str, caption: str) -> list[str]:
    return [
        f'<rect class="bar" x="{MARGIN}" y="{y}" width="{WIDTH - 2 * MARGIN}" height="46" rx="6"/>',
        f'<text class="name" x="{MARGIN + 12}" y="{y + 29}">{escape(name)}</text>',
        f'<text class="caption" x="{MARGIN + 205}" y="{y + 29}">{escape(caption)}</text>',
    ]


def _column(number: int, folder: Folder, bottom: int) -> list[str]:
    x = MARGIN + number * (COLUMN + GAP)
    lines = [
        f'<rect class="folder" x="{x}" y="{TOP}" width="{COLUMN}" height="{bottom - TOP}" rx="8"/>',
        f'<text class="name" x="{x + 12}" y="{TOP + 24}">{escape(folder.name)}/</text>',
        f'<text class="caption" x="{x + 12}" y="{TOP + 43}">{escape(folder.caption)}</text>',
    ]
    if number:  # an import points back to the folder before
        lines.append(f'<path class="import" marker-end="url(#tip-import)" d="M{x} {TOP + 20}H{x - GAP}"/>')
    return lines


def _room(name: str, box: Box) -> str:
    width = COLUMN - 24
    return (
        f'<rect class="room" x="{box.x}" y="{box.y}" width="{width}" height="{ROOM}" rx="5"/>'
        f'<text x="{box.x + width // 2}" y="{box.y + 22}" text-anchor="middle">{escape(name)}</text>'
    )


def _route(name: str, rooms: Sequence[str], boxes: Mapping[str, Box]) -> list[str]:
    """Arrows from room to room: down within a column, else to the right. The two routes run a little apart."""
    shift = {"batch": -6, "number": 6}[name]
    lines = []
    for before, after in pairwise(rooms):
        here, there = boxes[before], boxes[after]
        if here.x == there.x:
            x = here.x + COLUMN // 2 - 12 + shift
            curve = f"M{x} {here.y + ROOM}V{there.y}"
        else:
            start, end, from_y, to_y = here.x + COLUMN - 24, there.x, here.y + ROOM // 2 + shift, there.y + ROOM // 2 + shift
            bend = (start + end) // 2
            curve = f"M{start} {from_y}C{bend} {from_y} {bend} {to_y} {end} {to_y}"
        lines.append(f'<path class="route {name}" marker-end="url(#tip-{name})" d="{curve}"/>')
    return lines


def _legend(y: int) -> list[str]:
    lines = []
    for number, (name, text) in enumerate([*LEGEND.items(), ("import", "imports point to the left")]):
        x = MARGIN + 12 + number * 280
        kind, line = ("import", f"M{x + 44} {y}H{x}") if name == "import" else (f"route {name}", f"M{x} {y}H{x + 44}")
        lines.append(f'<path class="{kind}" marker-end="url(#tip-{name})" d="{line}"/>')
        lines.append(f'<text x="{x + 54}" y="{y + 5}">{escape(text)}</text>')
    return lines


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(svg(), encoding="utf-8")
