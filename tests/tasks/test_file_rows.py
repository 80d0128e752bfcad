"""Reading TSV, CSV and JSONL, and every way in which a file can be bad."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowgauge.core.errors import UsageError
from flowgauge.tasks.file_rows import FileRow, is_table, read_table, stem

CELL = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=12)


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read_table(path)
    return str(caught.value)


def test_tsv_has_no_quoting(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "a.tsv", 'sentence\tgood\nhe said "no\tis\n\nbye"\tare\n'))
    assert table.columns == ("sentence", "good")
    assert table.rows == (
        FileRow(1, 2, {"sentence": 'he said "no', "good": "is"}),
        FileRow(2, 4, {"sentence": 'bye"', "good": "are"}),
    )


def test_csv_has_quoting_and_a_row_is_known_by_its_first_line(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "a.csv", 'sentence,good\n"one, two\nthree",is\nfour,are\n'))
    assert [(r.number, r.line, r.cells["sentence"]) for r in table.rows] == [(1, 2, "one, two\nthree"), (2, 4, "four")]


def test_jsonl_values_become_text_and_columns_are_those_of_all_rows(tmp_path: Path) -> None:
    table = read_table(
        write(tmp_path, "a.jsonl", '{"sentence": "é", "label": 1}\n\n{"sentence": "b", "more": null, "list": ["x"]}\n')
    )
    assert table.columns == ("sentence", "label", "more", "list")
    assert [r.cells for r in table.rows] == [{"sentence": "é", "label": "1"}, {"sentence": "b", "more": "", "list": '["x"]'}]
    assert [r.line for r in table.rows] == [1, 3]


@pytest.mark.parametrize("name", ["a.tsv", "a.TSV", "a.tsv.gz"])
def test_a_byte_order_mark_windows_lines_and_gzip_are_read_alike(tmp_path: Path, name: str) -> None:
    data = b"\xef\xbb\xbfsentence\tlabel\r\nfine\t1\r\n"
    table = read_table(write(tmp_path, name, gzip.compress(data) if name.endswith(".gz") else data))
    assert (table.columns, table.rows[0].cells) == (("sentence", "label"), {"sentence": "fine", "label": "1"})


def test_integers_are_the_columns_with_nothing_but_integers(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "a.tsv", "a\tb\tc\td\n1\t1\tx\t-2\n0\t1.0\t1\t+3\n"))
    assert table.integers == {"a", "d"}


@given(rows=st.lists(st.tuples(CELL, CELL).filter(any), min_size=1, max_size=5))
@settings(deadline=None)
def test_what_is_written_is_read(rows: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    text = "a\tb\n" + "".join("\t".join(row) + "\n" for row in rows)
    table = read_table(write(tmp_path_factory.mktemp("t"), "a.tsv", text))
    assert [tuple(r.cells.values()) for r in table.rows] == rows


CUT = gzip.compress(b"a\tb\n1\t2\n" * 99, mtime=0)[:-9]
BAD: list[tuple[str, str | bytes, str]] = [
    ("a.tsv", "", " has no rows: expected a header and at least one row."),
    ("a.tsv", "sentence\tlabel\n", " has no rows: expected a header and at least one row."),
    ("a.jsonl", "\n\n", " has no rows: expected one object a line."),
    ("a.tsv", "a\tb\n1\t2\n3\n", ", line 3: 1 cells, but the header has 2: a, b."),
    ("a.csv", "a,b\n1,2\n\n1,2,3\n", ", line 4: 3 cells, but the header has 2: a, b."),
    ("a.csv", 'a,b\n1,2\n"1"x,2\n', ", line 3: ',' expected after '\"'."),
    ("a.csv", 'a,b\n1,2\n"1,2\n', ", line 3: unexpected end of data."),
    ("a.tsv", "a\tb\ta\n1\t2\t3\n", ", line 1: the column 'a' is there twice; rename one."),
    ("a.jsonl", '{"a": 1}\n{"a": }\n', ", line 2: not JSON (Expecting value at character 7)."),
    ("a.jsonl", '{"a": 1}\n[1]\n', ", line 2: expected one JSON object a line, got list."),
    ("a.tsv", b"a\tb\nok\tok\ncaf\xe9\t1\n", ", line 3: not UTF-8 (invalid continuation byte); save the file as UTF-8."),
    ("a.tsv.gz", b"a\tb\n1\t2\n", " is not a whole gzip file: Not a gzipped file (b'a\\t')"),
    ("a.tsv.gz", CUT, " is not a whole gzip file: Compressed file ended before the end-of-stream marker was reached"),
    ("a.txt", "a\tb\n", " is no task file: expected a name ending in .tsv, .csv, .jsonl, or one of these with .gz."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "message"), BAD)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    path = write(tmp_path, name, text)
    assert refusal(path) == f"{path}{message}"


def test_an_absent_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.tsv") == f"there is no file {tmp_path / 'none.tsv'}."
    (tmp_path / "folder.tsv").mkdir()
    assert re.search(r"folder\.tsv cannot be read: Is a directory\.$", refusal(tmp_path / "folder.tsv"))


@pytest.mark.parametrize(("name", "base"), [("a/b.tsv", "b"), ("b.csv.gz", "b"), ("b.v1.JSONL", "b.v1"), (".tsv", "")])
def test_stem_drops_all_endings(name: str, base: str) -> None:
    assert is_table(name)
    assert stem(Path(name)) == base
