"""A table in the data folder: which file is read, and what is said where it is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowgauge.core.errors import UsageError
from flowgauge.tasks.pairs.local_table import LocalTable

TABLE = LocalTable(("pairs/first", "pairs/second"), ("good", "bad"), "somewhere")


def test_the_first_file_that_is_there_is_read(tmp_path: Path) -> None:
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / "second.tsv").write_text("good\tbad\nis\tare\n")
    assert TABLE.source(tmp_path) == "data folder: pairs/second.tsv"
    path, rows = TABLE.read("mine", tmp_path)
    assert path == tmp_path / "pairs" / "second.tsv" and [(row.text("good"), row.text("bad")) for row in rows] == [("is", "are")]
    (tmp_path / "pairs" / "first.tsv").write_text("good\nis\n")
    with pytest.raises(UsageError, match="line 1: no column bad; it has good"):
        TABLE.read("mine", tmp_path)


def test_without_it_the_text_says_what_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOWGAUGE_DATA", raising=False)
    assert (TABLE.source(None), TABLE.source(tmp_path)) == ("data folder (none given)", "data folder: nothing found")
    wanted = r"put pairs/first\.tsv \(columns good, bad; from somewhere\)"
    with pytest.raises(UsageError, match=f"'mine' is not on the Hub: {wanted} into a folder"):
        TABLE.read("mine", None)
    with pytest.raises(UsageError, match=rf"'mine' finds no pairs/first\.\* in .*: {wanted} there"):
        TABLE.read("mine", tmp_path)
