"""Writes the files of a new board's repository."""

from __future__ import annotations

import re
import shlex
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ...core.errors import UsageError

TEMPLATE = Path(__file__).with_name("template")
IGNORED = {".git"}
"""What a folder may have before: a repository without a file."""
PLACE = re.compile("@(title|package|model|asked|rerun|explanations)@")
"""Where a value stands in a file."""
NAMES = {"github": ".github", "gitignore": ".gitignore"}
"""Names that begin with a dot; packages leave such files out."""


def init_board(
    folder: str | Path, title: str, package: str | None = None, model: str | None = None, rerun: int = 2, explanations: int = 4
) -> list[Path]:
    """Writes the files of a board's repository: instructions for submitters, and scripts and workflows that verify and publish.

    The board itself is the folder `board` in it, which the first accepted submission creates.

    Args:
        folder: The repository, empty but for `.git`; created if it does not exist.
        title: Title of the board.
        package: What pip installs in continuous integration; None: the version of flowgauge that runs here.
        model: A model that does not come with flowgauge, on which submissions are recomputed; None: none.
        rerun: Instances of each cell on which methods are run again.
        explanations: Instances of each cell whose explanations the board keeps.

    Returns:
        The files.

    Raises:
        UsageError: The folder has files, or the title is empty or has more than one line.
    """
    folder = Path(folder)
    if not title.strip() or len(title.splitlines()) > 1:
        raise UsageError("the title of a board is one line of text.")
    if folder.exists() and (not folder.is_dir() or {path.name for path in folder.iterdir()} - IGNORED):
        raise UsageError(f"{folder} is not empty: name a new folder, or an empty repository.")
    model = model or ""
    values = {
        "model": f"--model {shlex.quote(model)} " if model else "", "asked": f", or {model}" if model else "",
        "title": title.strip(), "package": package or _this_package(), "rerun": str(rerun), "explanations": str(explanations),
    }  # fmt: skip
    written = []
    for source in sorted(path for path in TEMPLATE.rglob("*") if path.is_file()):
        parts = [NAMES.get(part, part) for part in source.relative_to(TEMPLATE).parts]
        target = folder.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text("utf-8")
        target.write_text(PLACE.sub(lambda place: values[place[1]], text), "utf-8")
        if "ci" in parts:
            target.chmod(0o755)
        written.append(target)
    return written


def _this_package() -> str:
    try:
        return f"flowgauge[site]=={version('flowgauge')}"
    except PackageNotFoundError:  # run from its sources
        return "flowgauge[site]"
