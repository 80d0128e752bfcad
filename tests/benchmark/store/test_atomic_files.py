"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowgauge.benchmark.store.atomic_files import HOST, Files, sweep, write_file
from flowgauge.core.errors import FlowgaugeError, UsageError


@pytest.mark.parametrize("url", ["{tmp}/store", "memory://atomic-files/store"])
def test_what_is_written_can_be_read_listed_and_removed(url: str, tmp_path: Path) -> None:
    files = Files(url.format(tmp=tmp_path))
    path = f"{files.root}/a/b.txt"
    assert files.read(path) is None and files.names(f"{files.root}/a") == [] == [*files.below(files.root)]
    assert files.write(path, b"one") == hashlib.sha256(b"one").hexdigest()
    files.write(path, b"two")
    assert files.read(path) == b"two"
    assert files.names(f"{files.root}/a") == ["b.txt"]
    assert [found.rpartition("/")[2] for found in files.below(files.root)] == ["b.txt"]
    files.remove(f"{files.root}/a")
    assert files.read(path) is None


@pytest.mark.parametrize("url", ["{tmp}/store", "memory://created-files/store"])
def test_a_file_is_created_once(url: str, tmp_path: Path) -> None:
    files = Files(url.format(tmp=tmp_path))
    path = f"{files.root}/claims/a"
    assert files.create(path, b"one") and not files.create(path, b"two")
    assert files.read(path) == b"one"
    files.remove(path)
    assert files.create(path, b"two")


def test_a_file_cannot_be_created_in_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "claims").write_text("")
    with pytest.raises(UsageError, match="cannot write the store"):
        Files(str(tmp_path)).create(f"{tmp_path}/claims/a", b"one")


@pytest.mark.parametrize("status", [409, 412, 500])
def test_a_bucket_that_has_the_file_already_says_so_in_several_ways(status: int, monkeypatch) -> None:
    files = Files("memory://conflicts/store")

    def refuse(*_: object, **__: object) -> None:
        answer = Exception()
        answer.response = {"ResponseMetadata": {"HTTPStatusCode": status}}  # type: ignore[attr-defined]
        raise OSError(errno.EIO, "it is") from answer

    monkeypatch.setattr(files.fs, "pipe_file", refuse)
    if status == 500:
        with pytest.raises(UsageError, match="cannot write"):
            files.create(f"{files.root}/a", b"")
    else:
        assert not files.create(f"{files.root}/a", b"")


def test_a_write_that_is_interrupted_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(str(tmp_path))
    files.write(f"{tmp_path}/a.txt", b"old")

    def interrupted(source: str, target: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write(f"{tmp_path}/a.txt", b"new")
    assert files.read(f"{tmp_path}/a.txt") == b"old"
    assert files.names(str(tmp_path)) == ["a.txt"], "the temporary file is not listed"


def test_a_folder_in_the_place_of_a_file_and_an_unknown_scheme_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FlowgaugeError, match="cannot read"):
        Files(str(tmp_path)).read(str(tmp_path))
    with pytest.raises(UsageError, match="cannot open the store 'nowhere://x'"):
        Files("nowhere://x")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    assert Files(str(tmp_path)).below(str(tmp_path)) == {}
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="name another folder or URL"):
        Files(str(tmp_path / "file")).write(f"{tmp_path}/file/a.txt", b"")


def test_only_temporary_files_that_are_old_or_of_ended_processes_are_swept(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    names = {"ended": f".a.{HOST}.{child.pid}.00000000.tmp", "ours": f".a.{HOST}.{os.getpid()}.00000000.tmp"}
    names |= {"foreign": ".a.elsewhere.1.00000000.tmp", "old": ".a.uuid.tmp", "plain": "a.tmp"}
    for name in names.values():
        (tmp_path / name).write_bytes(b"")
    os.utime(tmp_path / names["old"], (0, 0))
    sweep(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {names[name] for name in ("ours", "foreign", "plain")}
    sweep(str(tmp_path / "nowhere"))


def test_a_write_whose_temporary_file_another_process_removes_is_repeated(tmp_path: Path, monkeypatch) -> None:
    plain, calls = os.replace, []

    def swept(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) == 1:
            os.unlink(source)
        plain(source, target)

    monkeypatch.setattr(os, "replace", swept)
    write_file(tmp_path / "a", b"whole")
    assert (tmp_path / "a").read_bytes() == b"whole" and len(calls) == 2


def test_the_first_of_two_writers_wins_where_nothing_is_to_be_replaced(tmp_path: Path) -> None:
    for url in (str(tmp_path / "store"), "memory://atomic-files/first"):
        files = Files(url)
        files.write(f"{files.root}/a", b"one", replace=False)
        with pytest.raises(FileExistsError):
            files.write(f"{files.root}/a", b"two", replace=False)
        assert files.read(f"{files.root}/a") == b"one" and files.names(files.root) == ["a"]


def test_files_are_flushed_before_they_are_renamed(tmp_path: Path, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(OSError, match="No space left"):
            write_file(tmp_path / "a", "text")
    assert list(tmp_path.iterdir()) == [], "what could not be flushed is not there"


def test_a_bucket_takes_a_file_by_one_request(monkeypatch) -> None:
    files = Files("memory://atomic-files/put")
    for name in ("mv", "rm", "copy"):
        monkeypatch.setattr(files.fs, name, lambda *_, **__: pytest.fail("a second request"))
    files.write(f"{files.root}/a", b"one")
    assert files.names(files.root) == ["a"] and files.read(f"{files.root}/a") == b"one"


def test_a_full_disk_is_said_in_one_line_and_leaves_what_was_there(tmp_path: Path, monkeypatch) -> None:
    files = Files(str(tmp_path))
    files.write(f"{tmp_path}/a", b"old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(UsageError, match="no space is left on the disk; what is stored is whole: free some space, and the same"):
        files.write(f"{tmp_path}/a", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"] and files.read(f"{tmp_path}/a") == b"old"


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_links_are_not_followed_and_pipes_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("x")
    (tmp_path / "a" / "self").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "a" / "pipe")
    assert list(Files(str(tmp_path)).below(str(tmp_path))) == [f"{tmp_path}/a/file"]
    with pytest.raises(FlowgaugeError, match="pipe: it is not a plain file"):
        Files(str(tmp_path)).read(f"{tmp_path}/a/pipe")


def test_a_store_that_is_a_file_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    files = Files(str(tmp_path / "file"))
    for attempt in (files.check_writable, files.alone, lambda: files.write(f"{files.root}/a", b"")):
        with pytest.raises(UsageError, match=r"^cannot write the store '.*file': it is a file, not a folder; name another"):
            attempt()


def test_a_folder_is_locked_and_a_bucket_is_not(tmp_path: Path) -> None:
    with Files(str(tmp_path / "store")).alone():
        assert (tmp_path / "store" / ".lock").exists()
    with Files("memory://atomic-files/lock").alone():
        pass
