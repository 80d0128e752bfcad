"""Colours, sizes and files of figures. Object-oriented matplotlib: nothing global is changed.

Colours are from Okabe & Ito (2008), whose palette readers with any common colour vision can distinguish. Sign is drawn in a
second way too: negative lines are hollow.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from ...benchmark.store.atomic_files import write_file
from ...core.errors import UsageError

POSITIVE, NEGATIVE, UNSIGNED = "#009E73", "#D55E00", "#0072B2"
"""Bluish green for positive influence, vermilion for negative, blue where there is no sign."""
LEVELS = ("#4D4D4D", "#0072B2", "#56B4E9")
"""Colours of g, of influence at the embedding level and at the attention level, from dark to light."""
METHODS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#999999")
MARKERS = "osD^vPX*"
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 3)))
FAINT, GREY, INK = "#D9D9D9", "#8C8C8C", "#222222"
SMALL, NORMAL, LARGE = 7.5, 9.0, 11.0
"""Font sizes in points."""
DPI = 150
OPTIONS: dict[str, Any] = {
    ".png": {"dpi": DPI, "metadata": {"Software": None}},
    ".svg": {"metadata": {"Date": None, "Creator": "flowgauge"}},
}
"""What a file of each kind is written with, so that the same figure always gives the same bytes."""
LONGEST = 200
"""The largest number of characters in a file's name; most systems take 255 bytes."""
FONT = "DejaVu Sans"
"""The font of figures, which comes with matplotlib."""
SETTINGS: Any = {"svg.hashsalt": "flowgauge", "svg.fonttype": "none", "font.family": FONT, "font.size": NORMAL}
log = logging.getLogger(__name__)
_NAMED: set[str] = set()
"""Characters without a font that a message has named; each is named once."""


@contextmanager
def settings() -> Iterator[None]:
    """A context in which figures are drawn and written with the project's fonts and with stable identifiers in SVG."""
    with matplotlib.rc_context(SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # `fit_fonts` finds another font, or says so in one line
        yield


def fit_fonts(figure: Figure) -> None:
    """Gives texts with characters that the project's font lacks a second font that is installed here and has them.

    Where there is none, one line says which characters are drawn as boxes. Figures without such characters do not depend on what
    is installed.
    """
    lacking = set[str]()
    for text in figure.findobj(Text):
        absent = frozenset(letter for letter in text.get_text() if letter.isprintable() and not _has(FONT, letter))
        if absent:
            families = covering(absent)
            text.set_fontfamily([FONT, *families])
            lacking |= {letter for letter in absent if not any(_has(family, letter) for family in families)}
    if lacking - _NAMED:
        log.warning(
            "no font on this machine has %s and perhaps other characters of the figures: install one that has, such as Noto Sans "
            "CJK, and draw again.", " ".join(sorted(lacking)[:8])
        )  # fmt: skip
        _NAMED.update(lacking)


@cache
def covering(letters: frozenset[str]) -> tuple[str, ...]:
    """Installed font families that together have these characters, as far as there are any."""
    families: list[str] = []
    left = set(letters)
    for family in sorted({font.name for font in font_manager.fontManager.ttflist}):
        here = {letter for letter in left if not family.startswith("Last Resort") and _has(family, letter)}
        if here:
            families.append(family)
            left -= here
        if not left:
            break
    return tuple(families)


def _has(family: str, letter: str) -> bool:
    return ord(letter) in _characters(family)


@cache
def _characters(family: str) -> frozenset[int]:
    """The characters of an installed font family; none where its file cannot be read."""
    file = next((font.fname for font in font_manager.fontManager.ttflist if font.name == family), None)
    try:
        return frozenset(font_manager.get_font(file).get_charmap()) if file else frozenset()
    except (OSError, RuntimeError):
        return frozenset()


def line_style(index: int) -> tuple[str, Any]:
    """Colour and dashes of the method at an index; no two of the first 64 methods share both.

    >>> line_style(1) == line_style(9), line_style(1)[0] == line_style(9)[0]
    (False, True)
    """
    return METHODS[index % len(METHODS)], LINES[(index + index // len(METHODS)) % len(LINES)]


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure; width and height are in inches."""
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def add_axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Adds axes to a figure; all lengths are in inches, measured from the lower left corner."""
    w, h = figure.get_size_inches()
    return figure.add_axes((left / w, bottom / h, width / w, height / h))


def add_text(figure: Figure, x: float, y: float, text: str, **style: object) -> None:
    """Adds text to a figure at (x, y) in inches, measured from the lower left corner; `style` is passed to matplotlib."""
    w, h = figure.get_size_inches()
    figure.text(x / w, y / h, plain(text), **style)  # type: ignore[arg-type]


def add_sentence_head(figure: Figure, title: str, subtitle: str) -> None:
    """Adds the head of a figure of one sentence at the upper left corner; a title that is too long is cut."""
    width, height = (float(x) for x in figure.get_size_inches())
    add_text(figure, 0.12, height - 0.12, with_ellipsis(title, int(9.5 * width)), fontsize=LARGE, color=INK, va="top")
    add_text(figure, 0.12, height - 0.36, subtitle, fontsize=SMALL, color=INK, va="top")


def add_task_head(figure: Figure, title: str, note: str) -> None:
    """Adds the head of a figure of a whole task: what is shown, and below it how many instances and what the marks mean."""
    height = float(figure.get_size_inches()[1])
    add_text(figure, 0.2, height - 0.34, title, fontsize=LARGE, color=INK, va="bottom")
    add_text(figure, 0.2, height - 0.53, note, fontsize=SMALL, color=GREY, va="bottom")


def plain(text: str) -> str:
    r"""Escapes dollar signs, which matplotlib would read as the start of a formula.

    >>> plain("costs $5")
    'costs \\$5'
    """
    return text.replace("$", r"\$")


def with_ellipsis(text: str, length: int) -> str:
    """Cuts a text to at most `length` characters, the last of which is then an ellipsis.

    >>> with_ellipsis("self-congratulatory", 12)
    'self-congra…'
    """
    return text if len(text) <= length else text[: length - 1] + "…"


def tidy(axes: Axes) -> None:
    """Removes the upper and the right frame of axes and makes the rest thin and grey."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=INK, labelsize=SMALL, length=3, width=0.6)


def save(figure: Figure, out: Path, stem: str) -> list[Path]:
    """Writes a figure as PNG and SVG; the same figure always gives the same bytes.

    Args:
        figure: The figure.
        out: The folder to write into.
        stem: A readable name, from which the files' names are built.

    Returns:
        The paths of the PNG and of the SVG.

    Raises:
        UsageError: The folder cannot be written.
    """
    name = file_stem(stem)
    paths = [out / f"{name}.png", out / f"{name}.svg"]
    try:
        with settings():
            fit_fonts(figure)
            for path in paths:
                data = io.BytesIO()
                figure.savefig(data, format=path.suffix[1:], **OPTIONS[path.suffix])
                write_file(path, data.getvalue())
    except OSError as error:
        raise UsageError(
            f"cannot write figures to {out}: {error.strerror or error}; choose another folder with --out."
        ) from error
    return paths


def file_stem(text: str) -> str:
    """Turns a text into a file name without an ending; a long one is cut and ends in a hash of the whole text.

    >>> file_stem("pattern sva/obj SP/0001")
    'pattern-sva-obj-SP-0001'
    """
    name = re.sub(r"[^A-Za-z0-9._+=]+", "-", text).strip("-.") or "figure"
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 9].rstrip('-.')}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
