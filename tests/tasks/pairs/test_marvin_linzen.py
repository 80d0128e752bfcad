"""Sentences of Marvin and Linzen: what rows become, what decides, and refusals."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from flowgauge.core.errors import NoSplit, UsageError
from flowgauge.metrics.tokens.pointing import deciding_tokens
from flowgauge.tasks.instance import Instance, Task
from flowgauge.tasks.pairs.marvin_linzen import COLUMNS, Subtask
from flowgauge.tasks.registry import load_task

ROW = ("subj_rel", "the pilots that like the guard are old", "6", "are", "is", "1", "plur", "sing")


def folder_with(path: Path, *rows: tuple[str, ...], columns: tuple[str, ...] = COLUMNS) -> Path:
    (path / "marvin_linzen").mkdir()
    lines = ["\t".join(row) for row in (columns, *rows)]
    (path / "marvin_linzen" / "pairs_current.tsv").write_text("\n".join(lines) + "\n")
    return path


def test_a_row_becomes_an_instance_whose_noun_is_known(tmp_path: Path) -> None:
    others = [("prep_anim", *ROW[1:]), ROW]
    task = load_task({"name": "marvin-linzen", "subtask": "subj_rel", "data_dir": str(folder_with(tmp_path, *others))})
    assert isinstance(task, Task) and task.source == "data folder: marvin_linzen/pairs_current.tsv"
    (found,) = task.instances("test", None, 0)
    assert found == Instance(
        "marvin-linzen/subj_rel/2", ("the pilots that like the guard [MASK] old",), ("are",), ("is",), "PS",
        truth={"deciding": ((0, 1),)}, left_to_right=True,
    )  # fmt: skip
    words = np.array([(-1, -1), (0, 0), (0, 1), (0, 1), (0, 2)])  # the noun in two tokens
    assert deciding_tokens(found, words).tolist() == [False, False, True, True, False]


OTHER_TARGET, LATE_NOUN, NO_NOUN = (*ROW[:2], "5", *ROW[3:]), (*ROW[:5], "7", *ROW[6:]), (*ROW[:5], "", *ROW[6:])
NO_WRONG_WORD, DUAL = (*ROW[:4], "", *ROW[5:]), (*ROW[:6], "dual", "sing")


@pytest.mark.parametrize("row", [OTHER_TARGET, LATE_NOUN, NO_NOUN, NO_WRONG_WORD, DUAL])
def test_a_row_that_is_no_pair_is_named(tmp_path: Path, row: tuple[str, ...]) -> None:
    task = load_task({"name": "marvin-linzen", "subtask": "subj_rel", "data_dir": str(folder_with(tmp_path, row))})
    with pytest.raises(UsageError, match=r"pairs_current\.tsv, line 2: expected the good word at target_idx"):
        task.instances("test", None, 0)


def test_without_its_file_the_task_says_where_to_put_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOWGAUGE_DATA", raising=False)
    with pytest.raises(UsageError, match=r"is not on the Hub: put marvin_linzen/pairs_current.tsv \(columns .*--data-dir DIR"):
        load_task("marvin-linzen").instances("test", None, 0)
    with pytest.raises(UsageError, match=r"finds no marvin_linzen/pairs_current\.\* in .*: put"):
        load_task({"name": "marvin-linzen", "data_dir": str(tmp_path)}).instances("test", None, 0)
    folder = folder_with(tmp_path, ROW[:7], columns=COLUMNS[:7])
    task = load_task({"name": "marvin-linzen", "data_dir": str(folder)})
    with pytest.raises(UsageError, match="line 1: no column attractor_number; it has subtask"):
        task.instances("test", None, 0)
    with pytest.raises(NoSplit, match="it has: test"):
        task.instances("train", None, 0)
    with pytest.raises(UsageError, match="subtask"):
        load_task("marvin-linzen:subtask=npi_across_anim")


def test_the_published_pairs_of_every_construction(shared_data: Path) -> None:
    for subtask in get_args(Subtask):
        instances = load_task({"name": "marvin-linzen", "subtask": subtask, "data_dir": str(shared_data)}).instances("test", 8, 0)
        assert len(instances) == 8 and len({instance.condition for instance in instances}) in (2, 4), subtask


def test_a_construction_without_rows_is_named(tmp_path: Path) -> None:
    task = load_task({"name": "marvin-linzen", "data_dir": str(folder_with(tmp_path, ROW))})
    with pytest.raises(UsageError, match="no row of the subtask obj_rel_across_anim"):
        task.instances("test", None, 0)
