"""Gulordava's sentences: what rows become, and refusals."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from flowgauge.core.errors import NoSplit, UsageError
from flowgauge.core.registry import Spec
from flowgauge.tasks.instance import Instance, Task
from flowgauge.tasks.pairs.gulordava import COLUMNS
from flowgauge.tasks.registry import TASKS, load_task, takes_data

ROW = ("L", "3", "7", "original", "The thing to keep in mind [MASK] here .", "is", "are", "sing")


def folder_with(path: Path, *rows: tuple[str, ...], columns: tuple[str, ...] = COLUMNS) -> Path:
    (path / "gulordava").mkdir()
    lines = ["\t".join(row) for row in (columns, *rows)]
    (path / "gulordava" / "english_pairs.tsv").write_text("\n".join(lines) + "\n")
    return path


def test_a_row_becomes_an_instance_that_is_read_from_the_left(tmp_path: Path) -> None:
    task = load_task({"name": "gulordava", "data_dir": str(folder_with(tmp_path, ROW))})
    assert isinstance(task, Task) and task.source == "data folder: gulordava/english_pairs.tsv"
    assert task.instances("test", None, 0) == (
        Instance(
            "gulordava/L/3/7", (ROW[4],), ("is",), ("are",), "original-singular", cluster="L/3", left_to_right=True
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ((*ROW[:4], "no gap here", *ROW[5:]), r"line 2: expected one \[MASK\] in sentence"),
        ((*ROW[:5], "", *ROW[6:]), "line 2: the cell good is empty"),
        ((*ROW[:7], "dual"), "and sing or plur in correct_number"),
    ],
)
def test_a_row_that_is_no_pair_is_named(tmp_path: Path, row: tuple[str, ...], said: str) -> None:
    folder = folder_with(tmp_path, row)
    with pytest.raises(UsageError, match=said):
        load_task({"name": "gulordava", "data_dir": str(folder)}).instances("test", None, 0)


def test_without_its_file_the_task_says_where_to_put_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOWGAUGE_DATA", raising=False)
    with pytest.raises(UsageError, match=r"is not on the Hub: put gulordava/english_pairs.tsv \(columns .*--data-dir DIR"):
        load_task("gulordava").instances("test", None, 0)
    with pytest.raises(UsageError, match=r"finds no gulordava/english_pairs\.\* in .*: put"):
        load_task({"name": "gulordava", "data_dir": str(tmp_path)}).instances("test", None, 0)
    folder = folder_with(tmp_path, ROW[:7], columns=COLUMNS[:7])
    with pytest.raises(UsageError, match="line 1: no column correct_number; it has pattern"):
        load_task({"name": "gulordava", "data_dir": str(folder)}).instances("test", None, 0)
    with pytest.raises(NoSplit, match="it has: test"):
        load_task("gulordava").instances("train", None, 0)
    assert load_task("gulordava").source == "data folder (none given)" and takes_data(Spec("gulordava", {}))


def test_the_docstring_names_the_publication() -> None:
    assert TASKS.docs()["gulordava"].source == TASKS.create("gulordava").reference


def test_the_published_sentences_load(shared_data: Path) -> None:
    instances = load_task({"name": "gulordava", "data_dir": str(shared_data)}).instances("test", None, 0)
    assert len(instances) == 410 and set(Counter(i.cluster for i in instances).values()) == {10}
    kinds = Counter(i.condition for i in instances)
    assert kinds == {"generated-plural": 153, "generated-singular": 216, "original-plural": 17, "original-singular": 24}
