"""The repository of a board, from its first commit in a bare repository to a submission on its pages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import flowgauge
from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.board_repository.init import TEMPLATE, init_board
from flowgauge.leaderboards.submission.bundle import pack

ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    **{f"GIT_{who}_{what}": f"{what.lower()}@board.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def call(folder: Path, *words: str | Path, expected: int = 0) -> str:
    done = subprocess.run(words, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == expected, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A bare repository with a new board in it."""
    bare, maintainer = tmp_path / "origin", tmp_path / "maintainer"
    call(tmp_path, "git", "init", "-q", "--bare", "-b", "main", bare)
    call(tmp_path, "git", "clone", "-q", bare, maintainer)
    init_board(maintainer, "Whose board? 'Ours'", rerun=1, explanations=1)
    call(maintainer, "git", "checkout", "-qb", "main")
    commit(maintainer, "A board")
    call(maintainer, "git", "push", "-q", "origin", "main")
    return bare


def commit(folder: Path, message: str) -> None:
    call(folder, "git", "add", "-A")
    call(folder, "git", "commit", "-qm", message)


def submitter(origin: Path) -> Path:
    folder = origin.with_name("submitter")
    call(origin.parent, "git", "clone", "-q", origin, folder)
    call(folder, "git", "checkout", "-qb", "mine")
    return folder


def test_a_submission_is_reviewed_accepted_and_published(origin: Path, tmp_path: Path) -> None:
    store, mine = str(tmp_path / "store"), submitter(origin)
    methods = ["saliency", "gradient-x-input"]
    flowgauge.run(tasks=["sva/obj"], methods=methods, metrics=["comprehensiveness"], limit=2, store=store, quiet=True)
    pack(store, mine / "submissions" / "first.one", "me")
    commit(mine, "First results")
    call(mine, "ci/review", "origin/main", "mine")
    review = (mine / "review.md").read_text()
    assert "## first.one" in review and "    2 cells entered board as re-run\n    may enter\n" in review
    assert "comprehensiveness" in review.partition("## Where methods would stand")[2]
    call(mine, "git", "push", "-q", "origin", "mine")

    maintainer = tmp_path / "maintainer"
    call(maintainer, "git", "pull", "-q", "origin", "mine")
    call(maintainer, "ci/accept")
    call(maintainer, "git", "push", "-q", "origin", "main")
    assert not (maintainer / "submissions").exists()
    assert "Whose board? &#39;Ours&#39;" in (maintainer / "site" / "index.html").read_text()
    assert call(maintainer, "git", "status", "--porcelain") == ""
    assert "submission first.one" in call(maintainer, "flowgauge", "leaderboard", "ledger", "board")
    assert call(maintainer, "git", "log", "-1", "--format=%s") == "Add first.one to the board\n"


def test_a_submission_with_other_files_or_wrong_sums_is_refused(origin: Path) -> None:
    mine = submitter(origin)
    (mine / "ci" / "accept").write_text("echo mine\n")
    commit(mine, "Another way to accept")
    call(mine, "ci/review", "origin/main", "mine", expected=1)
    review = (mine / "review.md").read_text()
    assert "    ci/accept\n" in review and "No folder submissions/NAME is added." in review

    call(mine, "git", "checkout", "-qB", "mine", "origin/main")
    forged = mine / "submissions" / "forged"
    forged.mkdir(parents=True)
    (forged / "manifest.json").write_text("{}")
    commit(mine, "Results")
    call(mine, "ci/review", "origin/main", "mine", expected=1)
    review = (mine / "review.md").read_text()
    assert "    may not enter" in review and "forged" in review and str(mine.parent) not in review


@pytest.mark.parametrize("name", [".gitattributes", "cells/.gitattributes", "note\n~~~~", "cells/\xff [a](b)"])
def test_files_that_git_or_markdown_would_obey_are_a_maintainers(origin: Path, name: str) -> None:
    mine = submitter(origin)
    path = mine / "submissions" / "mine" / name
    path.parent.mkdir(parents=True)
    path.write_text("* export-ignore\n")
    commit(mine, "Results")
    call(mine, "ci/review", "origin/main", "mine", expected=1)
    review = (mine / "review.md").read_text()
    assert "No folder submissions/NAME is added." in review
    assert all(line.startswith("    ") for line in review.splitlines() if "mine" in line or "~" in line)


def test_a_file_that_is_moved_into_a_submission_is_one_that_is_deleted(origin: Path) -> None:
    mine = submitter(origin)
    (mine / "submissions" / "mine").mkdir(parents=True)
    call(mine, "git", "mv", "ci/accept", "submissions/mine/manifest.json")
    commit(mine, "Results")
    call(mine, "ci/review", "origin/main", "mine", expected=1)
    assert "    ci/accept\n" in (mine / "review.md").read_text()


def test_every_file_is_complete(tmp_path: Path) -> None:
    files = init_board(tmp_path / "board", "A @package@ board", package="flowgauge[site] @ file:///wheel", model="me/mine; rm")
    assert len(files) == len([path for path in TEMPLATE.rglob("*") if path.is_file()])
    for path in files:
        text = path.read_text()
        text = text.replace("# A @package@ board", "")
        assert not [word for word in ("title", "package", "model", "asked", "rerun", "explanations") if f"@{word}@" in text], path
        if path.suffix == ".yml":
            assert yaml.safe_load(text)["jobs"]
        if path.parent.name == "ci":
            assert os.access(path, os.X_OK)
            call(tmp_path, "bash", "-n", path)
    assert (tmp_path / "board" / "requirements.txt").read_text() == "flowgauge[site] @ file:///wheel\n"
    assert (tmp_path / "board" / "README.md").read_text().startswith("# A @package@ board\n")
    assert " --model 'me/mine; rm' --rerun 2" in (tmp_path / "board" / "ci" / "accept").read_text().replace(
        "board --", "board  --"
    )


@pytest.mark.parametrize("title", ["", " ", "two\nlines"])
def test_a_title_is_one_line(tmp_path: Path, title: str) -> None:
    with pytest.raises(UsageError, match="one line"):
        init_board(tmp_path / "board", title)


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(UsageError, match="not empty"):
        init_board(tmp_path, "A board")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
