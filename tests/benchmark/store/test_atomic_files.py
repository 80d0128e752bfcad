"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from flowgauge.benchmark.store.atomic_files import Files
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
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="name another folder or URL"):
        Files(str(tmp_path / "file")).write(f"{tmp_path}/file/a.txt", b"")


def test_a_folder_is_locked_and_a_bucket_is_not(tmp_path: Path) -> None:
    with Files(str(tmp_path / "store")).alone():
        assert (tmp_path / "store" / ".lock").exists()
    with Files("memory://atomic-files/lock").alone():
        pass
