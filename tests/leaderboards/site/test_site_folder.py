"""The folder of a site: what a build replaces, what it keeps, and what is there after a build was killed at any step."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from filelock import FileLock

from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.site import site_folder as folders
from flowgauge.leaderboards.site.site_folder import site_folder


def write(out: Path, *names: str, text: str = "new") -> None:
    with site_folder(out) as folder:
        for name in names:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)


def tree(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site of two files in a folder that has others, as a branch of pages has."""
    out = tmp_path / "site"
    write(out, "index.html", "tasks/a.html", text="old")
    (out / ".git" / "refs" / "tags").mkdir(parents=True)
    (out / ".git" / "HEAD").write_text("ref: pages")
    (out / "CNAME").write_text("board.example.org")
    (out / "latest").symlink_to("CNAME")
    return out


def test_a_site_lists_its_files_with_their_sums(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "site", "index.html", "data/a.csv")
    listed = json.loads((tmp_path / "deep" / "site" / "files.json").read_text())
    assert listed == dict.fromkeys(("data/a.csv", "index.html"), hashlib.sha256(b"new").hexdigest())
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["site"]


def test_only_files_of_the_former_site_are_removed(site: Path) -> None:
    site.chmod(0o750)
    write(site, "index.html", "methods/b.html")
    others = {".git/HEAD": "ref: pages", "CNAME": "board.example.org", "latest": "board.example.org"}
    assert tree(site) == {"index.html": "new", "methods/b.html": "new", "files.json": (site / "files.json").read_text(), **others}
    assert (site / ".git/refs/tags").is_dir() and (site / "latest").is_symlink() and not (site / "tasks").exists()
    assert site.stat().st_mode & 0o777 == 0o750 and [p.name for p in site.parent.iterdir()] == ["site"]


@pytest.mark.parametrize("place", [".", "..", "/"])
def test_no_folder_is_replaced_in_which_the_command_runs(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="is in use: choose a folder below it with --out"):
        write(Path(place), "index.html")
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(UsageError, match="choose another folder with --out"):
        write(tmp_path / "circle", "index.html")


def test_a_link_to_a_folder_stays_a_link(site: Path) -> None:
    link = site.parent / "public"
    link.symlink_to(site.name)
    write(link, "index.html")
    assert link.is_symlink() and (site / "index.html").read_text() == "new"


@pytest.mark.parametrize("list_of_files", [None, "", "[]", '{"index.html": '])
def test_a_folder_of_other_files_is_refused_with_the_remedy(tmp_path: Path, list_of_files: str | None) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.tex").write_text("precious")
    if list_of_files is not None:
        (out / "files.json").write_text(list_of_files)
    before = tree(out)
    with pytest.raises(UsageError, match=r"has no files.json that lists.*choose another folder.*leaderboard publish"):
        write(out, "index.html")
    with pytest.raises(UsageError, match=r"has no files.json"):
        write(out / "thesis.tex", "index.html")
    assert tree(out) == before and [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_a_file_of_the_user_is_not_replaced_by_one_of_the_site(site: Path) -> None:
    before = tree(site)
    with pytest.raises(UsageError, match=r"CNAME is no file of the former site and would be replaced"):
        write(site, "index.html", "CNAME")
    assert tree(site) == before


def test_an_error_leaves_the_former_site_and_nothing_beside_it(site: Path) -> None:
    before = tree(site)
    with pytest.raises(ZeroDivisionError), site_folder(site) as folder:
        (folder / "index.html").write_text("half")
        raise ZeroDivisionError
    assert tree(site) == before and [p.name for p in site.parent.iterdir()] == ["site"]


def _killed(site: Path, step: str, exchanges: bool) -> None:
    """Builds a site in a process that is killed where it reaches a step."""
    child = os.fork()
    if child:
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        return
    try:
        if not exchanges:
            ctypes.CDLL = lambda *_, **__: None  # type: ignore[misc,assignment]
        home, _, name = step.rpartition(".")
        owner = {"": folders, "shutil": shutil, "Path": Path}[home]
        plain, calls = getattr(owner, name), []

        def kill(*arguments: object, **options: object) -> object:
            calls.append(arguments)
            if len(calls) == (2 if step == "Path.rename" else 1):
                os.kill(os.getpid(), signal.SIGKILL)
            return plain(*arguments, **options)

        setattr(owner, name, kill)
        write(site, "index.html", "methods/b.html")
    finally:
        os._exit(0)


@pytest.mark.parametrize(
    ("step", "exchanges", "left"),
    [("_keep_other_files", True, "old"), ("_swap", True, "old"), ("shutil.rmtree", True, "new"), ("Path.rename", False, "")],
)
def test_a_kill_leaves_the_former_or_the_new_site(site: Path, step: str, exchanges: bool, left: str) -> None:
    """On a system that cannot exchange two folders there is a moment in which the former site has another name."""
    _killed(site, step, exchanges)
    assert len(list(site.parent.glob(".site.*"))) >= 1
    assert not left or (site / "index.html").read_text() == left
    write(site, "index.html", text="newest")
    assert [p.name for p in site.parent.iterdir()] == ["site"]
    others = {".git/HEAD": "ref: pages", "CNAME": "board.example.org", "latest": "board.example.org"}
    assert {name: text for name, text in tree(site).items() if name != "files.json"} == {"index.html": "newest", **others}


def test_what_another_build_is_writing_stays(site: Path) -> None:
    other = site.with_name(".site.0.tmp")
    other.mkdir()
    with FileLock(other / ".lock"):
        write(site, "index.html")
        assert other.is_dir()
    write(site, "index.html")
    assert not other.exists()
