"""Naming tasks: registered ones, patterns, files, plug-ins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flowgauge.core.errors import UnknownName, UsageError
from flowgauge.core.registry import settings
from flowgauge.tasks import TASKS, Task, load_task
from flowgauge.tasks.agreement import AgreementTask
from flowgauge.tasks.lexicon import templates


@pytest.mark.parametrize("name", list(templates()))
def test_every_agreement_name_makes_its_task(name: str) -> None:
    task = load_task(name)
    assert isinstance(task, Task)
    assert task == AgreementTask(name)
    assert TASKS.docs()[name].summary == templates()[name].summary
    assert settings(task) == {"name": name, "sentences": 250}


@pytest.mark.parametrize("name", sorted(TASKS.builtin))
def test_every_built_in_task_names_its_publication_in_its_docstring(name: str) -> None:
    assert TASKS.docs()[name].source == TASKS.create(name).reference != ""


def test_settings_reach_the_task_in_both_spellings() -> None:
    assert load_task("ra/na:sentences=7") == load_task({"name": "ra/na", "sentences": 7}) == AgreementTask("ra/na", 7)


def test_an_unknown_name_or_pattern_or_setting_is_refused_with_near_ones() -> None:
    with pytest.raises(UnknownName, match="no task is called 'sva/objj': did you mean sva/obj"):
        load_task("sva/objj")
    with pytest.raises(UnknownName, match="no setting of task 'sva/obj' is called 'sentence': did you mean sentences"):
        load_task("sva/obj:sentence=3")
    with pytest.raises(UsageError, match="sentences"):
        load_task("sva/obj:sentences=many")


def test_columns_are_for_files_only(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"columns \(sentence\) apply to tasks from a file of sentences, not to 'sva/obj'"):
        load_task("sva/obj", {"sentence": "text"})
    path = tmp_path / "a.csv"
    path.write_text("text,label\nfine,1\n")
    assert load_task(str(path), {"sentence": "text"}).name == "file/a"


def test_a_path_is_a_path_and_not_an_unknown_task(tmp_path: Path) -> None:
    (tmp_path / "a.xls").write_text("x")
    for path, message in {
        tmp_path / "a.xls": "a.xls is no task file: flowgauge reads .tsv and .txt",
        tmp_path / "none.json": "there is no task file .*none.json: check the path; flowgauge reads",
        tmp_path / "none": "there is no task file .*none: check the path; flowgauge reads",
        tmp_path: "is a folder without a data set: name one of its files|is a folder without a data set: name a file",
    }.items():
        with pytest.raises(UsageError, match=message):
            load_task(str(path))
    with pytest.raises(UnknownName, match="no task is called 'sva/objj': did you mean sva/obj"):
        load_task("sva/objj")


def test_importing_tasks_loads_no_torch() -> None:
    code = (
        "import sys, flowgauge.tasks as t; t.load_task('sva/obj').instances('test', 4, 0); "
        "print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
