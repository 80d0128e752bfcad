"""An explained text in a terminal: the words shaded, their scores beside; without colours where there are none or `NO_COLOR`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.style import Style
from rich.table import Table
from rich.text import Text

from ..core.errors import printable
from .colours import shade
from .explained_text import ExplainedText
from .views import Strongest, signed, strongest_of

BAR = 12
"""The longest bar, in characters."""
FAINTEST, PALEST = 0.1, 0.3
"""The smallest share of the largest score that is shaded here, and the least strength of its colour."""
FOR, AGAINST = "█", "░"
"""What bars are made of; a score against the answer looks different without colour too."""


def print_explained(explained: ExplainedText, console: Console | None = None) -> None:
    """Prints an explained text.

    Args:
        explained: What is printed.
        console: Where; None: standard output, as wide as the terminal, or wide enough where it is a file.
    """
    if console is None:
        console = Console(markup=False, emoji=False, highlight=False)
        if not console.is_terminal:
            console.file.write(plain_text(explained, max(100, 30 + (BAR + 30) * len(explained.explanations))))
            return
    coloured = console.color_system is not None and not console.no_color
    for part in _parts(explained, coloured):
        console.print(part)


def plain_text(explained: ExplainedText, width: int) -> str:
    """What `print_explained` prints, without colours."""
    console = Console(file=io.StringIO(), width=width, color_system=None, markup=False, emoji=False, highlight=False)
    with console.capture() as captured:
        print_explained(explained, console)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _parts(explained: ExplainedText, coloured: bool) -> Iterator[RenderableType]:
    yield Text(printable(explained.question))
    for note in explained.notes:
        yield Text(printable(note))
    if explained.word_scores:
        if coloured:
            yield Padding(_shaded_lines(explained), (1, 0, 0, 0))
        yield Padding(_word_table(explained), (1, 0, 0, 0))
    for label in explained.wordless:
        for what, entries in strongest_of(explained[label], explained.sentence.tokens).items():
            yield Padding(_strongest_table(label, what, entries), (1, 0, 0, 0))


def _shaded_lines(explained: ExplainedText) -> Table:
    """The text once a method, with its words shaded."""
    lines = Table.grid(padding=(0, 2))
    for label, scores in explained.word_scores.items():
        largest = float(np.abs(scores).max())
        styles = [_background(score / largest if largest else 0.0) for score in scores.tolist()]
        words = [Text(printable(word.text), style or "") for word, style in zip(explained.words, styles, strict=True)]
        lines.add_row(Text(label), Text(" ").join(words))
    return lines


def _background(share: float) -> Style | None:
    """Dark letters on the colour of a score; never near white, which on a dark screen would stand out most."""
    if abs(share) < FAINTEST:
        return None
    strength = PALEST + (1 - PALEST) * abs(share)
    return Style(color="#000000", bgcolor=shade(strength if share > 0 else -strength))


def _word_table(explained: ExplainedText) -> Table:
    """A row a word, with its score and a bar by each method."""
    table = Table(box=None, pad_edge=False)
    table.add_column("word", overflow="fold")
    for label in explained.word_scores:
        table.add_column(label, overflow="fold")
    columns = [_bars(scores.tolist()) for scores in explained.word_scores.values()]
    for index, word in enumerate(explained.words):
        table.add_row(Text(printable(word.text)), *(column[index] for column in columns))
    return table


def _bars(scores: Sequence[float]) -> list[Text]:
    """Each score with its sign and a bar whose length is its share of the largest."""
    largest = max((abs(score) for score in scores), default=0.0)
    numbers = [signed(score, largest) for score in scores]
    wide = max(len(number) for number in numbers)
    cells = []
    for number, score in zip(numbers, scores, strict=True):
        share = score / largest if largest else 0.0
        bar = (FOR if share > 0 else AGAINST) * round(BAR * abs(share))
        cells.append(Text.assemble(f"{number:>{wide}} ", (f"{bar:<{BAR}}", Style(color=shade(1.0 if share > 0 else -1.0)))))
    return cells


def _strongest_table(label: str, what: str, entries: Sequence[Strongest]) -> Table:
    """The strongest nodes, heads or edges of a method that scores no words."""
    table = Table(box=None, pad_edge=False)
    table.add_column(f"{label}: strongest {what}", overflow="fold")
    table.add_column("score")
    for entry, bar in zip(entries, _bars([entry.score for entry in entries]), strict=True):
        table.add_row(Text(printable(entry.name)), bar)
    return table
