"""The list of a folder's files: what is missing or differs is named, what was added does not matter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowgauge.benchmark.store.listing import LISTING, check_listing, folder_sums, read_listing, write_listing
from flowgauge.benchmark.store.sums import DamagedFile


def test_missing_and_changed_files_and_a_damaged_list_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a", "sub/b"):
        (tmp_path / name).write_text(name)
    write_listing(tmp_path)
    assert check_listing(tmp_path) == folder_sums(tmp_path) == read_listing(tmp_path) and len(read_listing(tmp_path)) == 2
    (tmp_path / "own").write_text("added")
    assert "own" not in check_listing(tmp_path)
    (tmp_path / "a").write_text("b")
    with pytest.raises(DamagedFile, match="a is damaged: its sha256"):
        check_listing(tmp_path)
    (tmp_path / "a").unlink()
    with pytest.raises(DamagedFile, match="a is missing"):
        check_listing(tmp_path)
    write_listing(tmp_path, ["sub/b"])
    assert list(check_listing(tmp_path)) == ["sub/b"]
    text = (tmp_path / LISTING).read_text()
    for damaged in (text[:-9], "[]", "[" * 100_000):
        (tmp_path / LISTING).write_text(damaged)
        with pytest.raises(DamagedFile, match="no whole list of its files"):
            read_listing(tmp_path)


@pytest.mark.parametrize("name", ["../key", "/etc/hosts", "sub/../../key", "C:\\key", "..\\key"])
def test_a_list_cannot_name_files_outside_its_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "key").write_text("secret")
    site = tmp_path / "site"
    site.mkdir()
    (site / LISTING).write_text(json.dumps({name: folder_sums(tmp_path, ["key"])["key"]}))
    for read in (read_listing, check_listing):
        with pytest.raises(DamagedFile, match="which lies outside the folder"):
            read(site)
