"""The pages below docs/ name what is there, and the picture of the architecture is what its script draws."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import pytest

from flowgauge.leaderboards.submission.trust import TRUST
from flowgauge.methods.explanation import VIEWS
from flowgauge.models.batch import SITES
from flowgauge.models.interventions.ablation import Replacement

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("tasks", "models", "methods", "metrics", "benchmark", "leaderboards")
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SCRIPT = ROOT / "docs" / "figures" / "architecture.py"


def paths_in(page: str) -> set[str]:
    """Paths in code font that start at one of the repository's folders."""
    starts = "|".join((*FOLDERS, "src", "docs", "tests", "scripts"))
    return set(re.findall(rf"`((?:{starts})/[\w./-]*)`", (ROOT / page).read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_a_page_names_exists(page: str) -> None:
    assert sorted(path for path in paths_in(page) if not (ROOT / path).exists()) == []


def test_the_architecture_page_names_every_room() -> None:
    rooms = {f"{path.parent.relative_to(ROOT).as_posix()}/" for name in FOLDERS for path in (ROOT / name).glob("*/__init__.py")}
    assert rooms - paths_in("docs/architecture.md") == set()
    assert len(paths_in("docs/architecture.md")) >= 60


def test_the_committed_picture_is_what_its_script_draws() -> None:
    drawn = runpy.run_path(str(SCRIPT))["svg"]()
    assert SCRIPT.with_suffix(".svg").read_text(encoding="utf-8") == drawn, "run `python docs/figures/architecture.py`"
    assert ElementTree.fromstring(drawn).get("viewBox", "").split()[2] == "1200"


def test_the_picture_shows_every_room_and_nothing_else() -> None:
    """A new room is one word in the script's text."""
    script = runpy.run_path(str(SCRIPT))
    shown = {f"{folder.name}/{room}" for folder in script["folders"]() for room in folder.rooms}
    rooms = {path.parent.relative_to(ROOT).as_posix() for name in FOLDERS for path in (ROOT / name).glob("*/__init__.py")}
    assert rooms <= shown
    bars = {script[name][0] for name in ("ROOF", "UNDER_THE_ROOF", "FLOOR")}
    assert sorted(name for name in shown | bars if not (ROOT / name).exists()) == []


@pytest.mark.parametrize(
    ("entry", "words"), [("Site", SITES), ("View", VIEWS), ("Trust levels", TRUST), ("Replaced states", get_args(Replacement))]
)
def test_the_glossary_has_every_word_of_the_code(entry: str, words: tuple[str, ...]) -> None:
    """Each list of words is in its own entry, in the order of the code."""
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    (listed,) = re.findall(rf"^- \*\*{entry}\*\*(.*?)(?=^- \*\*|^## |\Z)", text, re.MULTILINE | re.DOTALL)
    named = [word for word in re.findall(r"`([^`]+)`", listed) if "/" not in word]
    assert named == list(words)
