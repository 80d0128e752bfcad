"""Every shell and Python block of the README and of docs/ is run, page by page, in one process and in an empty folder.

- A block is fenced as `bash`, `python` or `text`; `title="name"` writes a file.
- `flowgauge ...` runs in this process, and the target of `make ...` is looked up in the Makefile. Samples are cut to `LIMIT`
  sentences, except where the next block says what is printed.
- `<!-- prints -->`, or `<!-- prints: command -->`, before a text block: the lines are among those that the last block, or that
  command, printed, with numbers that are equal up to rounding.
- `<!-- in the repository -->`: the block runs in the root of the repository.
- `<!-- not run: reason -->`: the block is not run. Every other block is.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from flowgauge.cli import app

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 4
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    if path.parent.name != "adr"
)
FENCE = re.compile(r'^```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL)
NOTE = re.compile(r"<!-- (not run|prints|in the repository)(?:: ((?:(?!-->).)+))? -->\s*$")
NUMBER = re.compile(r"(?<![\w.])[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?(?![\w.]*\w)")


class Block(NamedTuple):
    """A block of code: its language, the name of its file if it has one, its text, and the note before it with its reason."""

    language: str
    title: str
    text: str
    note: str
    reason: str


def blocks_of(page: str) -> list[Block]:
    """The blocks of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    noted = []
    for match in FENCE.finditer(text):
        note = NOTE.search(text[: match.start()])
        kind, reason = (note[1], note[2] or "") if note else ("", "")
        noted.append(Block(match["language"], match["title"] or "", match["text"], kind, reason))
    return noted


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command of a shell block."""
    for line in text.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield words


class PageRun:
    """A page as a reader works through it: one folder, one Python session, and what was printed last."""

    def __init__(self) -> None:
        self.exact, self.printed, self.ran = False, "", Counter[str]()
        self.names: dict[str, object] = {"__name__": "page"}

    def block(self, block: Block) -> None:
        if block.title:
            Path(block.title).write_text(block.text, encoding="utf-8")
            self.ran["written"] += 1
        elif block.language == "python":
            text = block.text if self.exact else re.sub(r"limit=\d+", f"limit={LIMIT}", block.text)
            heard = io.StringIO()
            with contextlib.redirect_stdout(heard):
                exec(compile(text, "a block of Python", "exec"), self.names)
            self.printed = heard.getvalue()
            self.ran["python"] += 1
        elif block.language == "bash":
            kept = ""
            for words in commands(block.text):
                self.command(words)
                kept += self.printed
            self.printed = kept
        elif block.note == "prints":
            if block.reason:
                self.command(shlex.split(block.reason))
            same = [close(line) for line in self.printed.splitlines()]
            missing = [line for line in block.text.splitlines() if not any(is_same(line) for is_same in same)]
            assert missing == [], f"not among what is printed:\n{self.printed}"
            self.ran["printed"] += 1

    def command(self, words: list[str]) -> None:
        if words[0] == "flowgauge":
            result = CliRunner().invoke(app, self.limited(words[1:]))
            self.printed = result.output
            assert result.exit_code == 0, f"{shlex.join(words)} ended with {result.exit_code}:\n{result.output}"
            self.ran["flowgauge"] += 1
        elif words[0] == "make" or "=" in words[0]:
            words = [word for word in words if "=" not in word]
            assert re.search(rf"^{words[1]}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE), words
            self.ran["make"] += 1
        else:
            raise AssertionError(f"no test runs {shlex.join(words)}: say why in <!-- not run: ... -->.")

    def limited(self, words: list[str]) -> list[str]:
        """The words of a command with a small sample of one task."""
        if self.exact or words[0] not in ("run", "questions", "import"):
            return words
        words = [re.sub(r"^(sva|ra)/\*$", r"sva/obj", word) for word in words]
        return [
            str(min(LIMIT, int(word))) if before == "--limit" else word
            for before, word in zip(["", *words[:-1]], words, strict=True)
        ]


class close:
    """A printed line, which another line equals if its words are the same and its numbers nearly."""

    def __init__(self, line: str) -> None:
        self.words, self.numbers = NUMBER.sub("#", line).split(), [float(n) for n in NUMBER.findall(line)]

    def __call__(self, line: str) -> bool:
        numbers = [float(n) for n in NUMBER.findall(line)]
        return NUMBER.sub("#", line).split() == self.words and all(
            math.isclose(a, b, rel_tol=0.03, abs_tol=0.002) for a, b in zip(numbers, self.numbers, strict=True)
        )


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page)])
def test_every_block_of_a_page_runs(page: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("NO_COLOR", "1")
    blocks = blocks_of(page)
    run = PageRun()
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        run.exact = following is not None and following.note == "prints" and not following.reason
        monkeypatch.chdir(ROOT if block.note == "in the repository" else tmp_path)
        if block.note != "not run":
            run.block(block)
    expected = sum(b.language in ("bash", "python") and b.note != "not run" for b in blocks)
    assert not expected or sum(run.ran.values())


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    left_out = {page: [b.reason for b in blocks_of(page) if b.note == "not run"] for page in PAGES}
    assert all(all(reasons) for reasons in left_out.values())
    assert {page: len(reasons) for page, reasons in left_out.items() if reasons and page != "README.md"} == {
        "docs/two-libraries.md": 1,
        "docs/how-to/compare-on-my-sentences.md": 2, "docs/how-to/benchmark-my-method.md": 1, "docs/concepts/next-word.md": 1,
        "docs/measurements.md": 13, "docs/metric-report-cards.md": 2, "docs/reproduction.md": 6, "docs/results.md": 5,
        "docs/start.md": 1, "docs/findings.md": 1, "docs/how-to/use-several-processes.md": 3, "docs/scale.md": 2,
        "docs/concepts/diffmask.md": 2, "docs/concepts/ablation-in-distribution.md": 1,
    }  # fmt: skip
    assert len(left_out["README.md"]) <= 5


def test_every_fenced_block_has_a_language() -> None:
    fences = {page: (ROOT / page).read_text(encoding="utf-8").count("\n```") for page in PAGES}
    assert {page: 2 * len(FENCE.findall((ROOT / page).read_text(encoding="utf-8"))) for page in PAGES} == fences
    languages = {block.language for page in PAGES for block in blocks_of(page)}
    assert languages <= {"bash", "python", "text"}
