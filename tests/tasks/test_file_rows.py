"""Reading TSV, CSV, JSON, parquet and Arrow, and every way in which a file can be bad."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowgauge.core.errors import UsageError
from flowgauge.tasks.file_rows import READABLE, is_table, read_table, split_names, stem
from flowgauge.tasks.table import BrokenRowError, FileRow

CELL = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters='"'), max_size=12)


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
    texts = [{name: row.text(name) for name in row.cells} for row in table.rows]
    assert texts == [{"sentence": "é", "label": "1"}, {"sentence": "b", "more": "", "list": "x"}]
    assert [r.line for r in table.rows] == [1, 3]


@pytest.mark.parametrize("name", ["a.tsv", "a.TSV", "a.tsv.gz"])
def test_a_byte_order_mark_windows_lines_and_gzip_are_read_alike(tmp_path: Path, name: str) -> None:
    data = b"\xef\xbb\xbfsentence\tlabel\r\nfine\t1\r\n"
    table = read_table(write(tmp_path, name, gzip.compress(data) if name.endswith(".gz") else data))
    assert (table.columns, table.rows[0].cells) == (("sentence", "label"), {"sentence": "fine", "label": "1"})


@given(rows=st.lists(st.tuples(CELL, CELL).filter(any), min_size=1, max_size=5))
@settings(deadline=None)
def test_what_is_written_is_read(rows: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    text = "a\tb\n" + "".join("\t".join(row) + "\n" for row in rows)
    table = read_table(write(tmp_path_factory.mktemp("t"), "a.tsv", text))
    assert [tuple(r.cells.values()) for r in table.rows] == rows


MEND = "Mend the line, or quote cells that hold a"
CUT = gzip.compress(b"a\tb\n1\t2\n" * 99, mtime=0)[:-9]
BAD: list[tuple[str, str | bytes, str]] = [
    ("a.tsv", "", " has no rows: expected a header and at least one row."),
    ("a.tsv", "sentence\tlabel\n", " has no rows: expected a header and at least one row."),
    ("a.jsonl", "\n\n", " has no rows: expected one object a line."),
    ("a.tsv", "a\tb\n1\t2\n3\n", f", line 3: 1 cells, but the header has 2: a, b. {MEND} tab."),
    ("a.csv", "a,b\n1,2\n\n1,2,3\n", f", line 4: 3 cells, but the header has 2: a, b. {MEND} separator."),
    ("a.csv", 'a,b\n1,2\n"1"x,2\n', ", line 3: ',' expected after '\"'; mend the quotation marks there."),
    ("a.csv", 'a,b\n1,2\n"1,2\n', ", line 3: unexpected end of data; mend the quotation marks there."),
    ("a.tsv", "a\tb\ta\n1\t2\t3\n", ", line 1: the column 'a' is there twice; rename one."),
    ("a.jsonl", '{"a": 1}\n{"a": }\n', ", line 2: not JSON (Expecting value at character 7); expected one JSON object a line."),
    ("a.json", '{\n"data": 1}', ", line 1: not JSON (Expecting property name enclosed in double quotes at character 2); "
     "expected a list of JSON objects, or one object a line."),
    ("a.jsonl", '{"a": 1, "b": 2, "a": 3}\n', ", line 1: the key 'a' stands twice in one object; rename one."),
    ("a.json", '[{"a": 1}, 2]', ", line 2: expected a list of objects, got int."),
    ("a.json", "[]", " has no rows: expected one object a line."),
    ("a.jsonl", '{"a": 1}\n[1]\n', ", line 2: expected one JSON object a line, got list."),
    ("a.tsv", b"a\tb\nok\tok\ncaf\xe9\t1\n", ", line 3: not UTF-8 (invalid continuation byte); save the file as UTF-8."),
    ("a.tsv.gz", b"a\tb\n1\t2\n", " is not a whole gzip file: Not a gzipped file (b'a\\t')"),
    ("a.tsv.gz", CUT, " is not a whole gzip file: Compressed file ended before the end-of-stream marker was reached"),
    ("a.txt", "a\tb\n", " has no rows: expected a header and at least one row."),
    ("a.txt", "the film is good .\tpositive\n", " has no rows: expected a header and at least one row. If its first line is a "
     "row ('the film is good .', ...), write a line with the names of the columns above it."),
    ("a.tsv", "sentence,label\nfine,1\n", ", line 1: no tab in 'sentence,label'; if commas or semicolons separate its cells, "
     "call it .csv."),
    ("a.tsv", "a\tb\n1\t2\n".encode("utf-16-le"),
     ", line 1: a null character, so this is no text in UTF-8; save the file as UTF-8."),
    ("a.txt", "True\tles clients rient\nTrue\tles clients rit\n", ", line 1: expected a pair, `True<TAB>sentence` and "
     "`False<TAB>sentence` on two lines one after the other, got 'True les clients rient' and 'True les clients rit'."),
    ("a.txt", "True\ta b\nFalse\ta c\nTrue\ta d\n", ", line 3: expected a pair, `True<TAB>sentence` and `False<TAB>sentence` on "
     "two lines one after the other, got 'True a d' and ''."),
    ("a.parquet", "no parquet", " is damaged or holds another format than its name says; write it again."),
    ("a.jsonl", '{"a": ' + "1" * 5000 + "}", ", line 1: a number of more digits than can be read."),
    ("a.xlsx", "x", f" is no task file: {READABLE}."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "message"), BAD)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    path = write(tmp_path, name, text)
    assert refusal(path) == f"{path}{message}"


def test_an_absent_file_and_a_folder_are_refused_with_what_can_be_read(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.tsv") == f"there is no task file {tmp_path / 'none.tsv'}: check the path; {READABLE}."
    folder = tmp_path / "folder.tsv"
    folder.mkdir()
    assert refusal(folder) == f"{folder} is a folder without a data set: name a file; {READABLE}."
    os.mkfifo(tmp_path / "pipe.tsv")
    assert refusal(tmp_path / "pipe.tsv") == f"{tmp_path / 'pipe.tsv'} is no task file: {READABLE}."
    write(folder, "b.csv", "a,b\n1,2\n")
    one = f"name one of its files, such as {folder / 'b.csv'}"
    assert refusal(folder) == f"{folder} is a folder without a data set: {one}; {READABLE}."


ROWS = [{"sentence": "the film is good .", "label": "1"}, {"sentence": "it is bad .", "label": "0"}]
SAME: dict[str, str | bytes] = {
    "a.tsv": "sentence\tlabel\nthe film is good .\t1\nit is bad .\t0\n",
    "b.tsv": "sentence\tlabel\r\nthe film is good .\t1\r\n\r\nit is bad .\t0\r\n",
    "c.tsv": "sentence\tlabel\nthe film is good .\t1\nit is bad .\t0\n".encode("utf-16"),
    "d.tsv": '"sentence"\t"label"\n"the film is good ."\t"1"\n"it is bad ."\t"0"\n',
    "a.txt": "sentence\tlabel\nthe film is good .\t1\n \nit is bad .\t0\n",
    "a.csv": "sentence,label\nthe film is good .,1\nit is bad .,0\n",
    "b.csv": "sentence;label\nthe film is good .;1\nit is bad .;0\n",
    "c.csv": "sentence, label\nthe film is good ., 1\nit is bad ., 0\n",
    "d.csv": "sentence,label,,\nthe film is good .,1,,\nit is bad .,0,x,y\n",
    "a.jsonl": '{"sentence": "the film is good .", "label": 1}\n{"sentence": ["it", "is", "bad", "."], "label": 0}\n',
    "a.json": '[{"sentence": "the film is good .", "label": 1},\n {"sentence": "it is bad .", "label": "0"}]',
    "b.json": '{"sentence": "the film is good .", "label": 1}\n{"sentence": "it is bad .", "label": 0}\n',
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_rows_are_read_from_every_way_to_write_them(tmp_path: Path, name: str) -> None:
    table = read_table(write(tmp_path, name, SAME[name]))
    assert table.columns == ("sentence", "label")
    assert [{column: row.text(column) for column in table.columns} for row in table.rows] == ROWS


def test_parts_of_objects_are_columns_and_objects_are_no_text(tmp_path: Path) -> None:
    table = read_table(
        write(tmp_path, "a.jsonl", '{"data": {"sentence": "a b", "n": 2}, "spans": [[0, 1]], "tokens": ["a", "b"]}\n')
    )
    assert table.columns == ("data", "data.sentence", "data.n", "spans", "tokens")
    assert table.text_columns == ("data.sentence", "data.n", "tokens")
    assert [table.rows[0].text(name) for name in table.text_columns] == ["a b", "2", "a b"]
    for name, message in {
        "data": "data is an object; name one of its parts as the column: data.sentence, data.n.",
        "spans": "spans is a list, and '[0, 1]' in it is no single word.",
    }.items():
        with pytest.raises(BrokenRowError) as caught:
            table.rows[0].text(name)
        assert str(caught.value) == message


def test_lists_of_classes_have_their_names(tmp_path: Path) -> None:
    import datasets

    labels = datasets.List(datasets.ClassLabel(names=["fine", "rude", "toxic"]))
    features = datasets.Features(sentence=datasets.Value("string"), label=labels)
    path = tmp_path / "a.parquet"
    datasets.Dataset.from_dict({"sentence": ["a", "b"], "label": [[2, 1], []]}, features=features).to_parquet(path)
    table = read_table(path)
    assert [row.cells["label"] for row in table.rows] == [["toxic", "rude"], []]
    assert table.classes == {"label": ("fine", "rude", "toxic")}


def test_parquet_arrow_and_saved_data_sets_have_the_names_of_classes(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(sentence=datasets.Value("string"), label=datasets.ClassLabel(names=["negative", "positive"]))
    data = datasets.Dataset.from_dict({"sentence": ["good .", "bad .", "so ."], "label": [1, 0, -1]}, features=features)
    data.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": data, "test": data.select([0])}).save_to_disk(tmp_path / "several")
    data.to_parquet(tmp_path / "a.parquet")
    arrow = next((tmp_path / "one").glob("*.arrow"))
    for path in (tmp_path / "one", tmp_path / "a.parquet", arrow):
        table = read_table(path)
        assert [(row.line, row.text("sentence"), row.text("label")) for row in table.rows] == [
            (1, "good .", "positive"), (2, "bad .", "negative"), (3, "so .", "")
        ]  # fmt: skip
        assert table.classes == {"label": ("negative", "positive")} and split_names(path) == ("test",)
    assert split_names(tmp_path / "several") == ("train", "test")
    assert [len(read_table(tmp_path / "several", split).rows) for split in ("train", "test")] == [3, 1]


@pytest.mark.parametrize(("name", "base"), [("a/b.tsv", "b"), ("b.csv.gz", "b"), ("b.v1.JSONL", "b.v1"), (".tsv", "")])
def test_stem_drops_all_endings(name: str, base: str) -> None:
    assert is_table(name)
    assert stem(Path(name)) == base


def test_a_file_that_unpacks_to_more_than_memory_should_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowgauge.tasks.file_rows.LARGEST", 1 << 20)
    for name, pack in (("bomb.tsv.gz", gzip.compress), ("long.tsv", bytes)):
        (tmp_path / name).write_bytes(pack(b"sentence\tlabel\n" + b"a b c\t1\n" * 200_000))
        with pytest.raises(UsageError, match=rf"{name} has more than 1 MiB of text"):
            read_table(tmp_path / name)
