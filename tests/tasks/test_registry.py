"""Naming tasks: registered ones, patterns, files, plug-ins."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from flowgauge.core.errors import UnknownName, UsageError
from flowgauge.core.registry import settings
from flowgauge.tasks import TASKS, Instance, Quantity, Task, load_task
from flowgauge.tasks.agreement import AgreementTask
from flowgauge.tasks.declare import checked, unique
from flowgauge.tasks.lexicon import templates

PLUGIN = '''
from flowgauge.tasks import Instance, Quantity, task

@task("pets", version=3, quantity=Quantity("probability"))
def pets(seed, count=4, word="cat"):
    """Sentences about pets.

    More.
    """
    return [Instance(f"{word}/{i}", (f"{word} {i + seed} [MASK]",), ("is",), ("are",), "SP"[i % 2]) for i in range(count)]

@task("labels", head="label")
class Labels:
    """Labels."""
    def __init__(self, start: int = 0):
        self.start = start
    def instances(self, split, limit, seed):
        return (Instance("a", ("text",), (self.start,)),)
'''


def plugin(folder: Path, text: str) -> Path:
    path = folder / "mine.py"
    path.write_text(textwrap.dedent(text))
    return path


@pytest.mark.parametrize("name", list(templates()))
def test_every_agreement_name_makes_its_task(name: str) -> None:
    task = load_task(name)
    assert isinstance(task, Task)
    assert task == AgreementTask(name)
    assert TASKS.docs()[name].summary == templates()[name].summary
    assert settings(task) == {"name": name, "sentences": 250}


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


def test_a_file_with_another_ending_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(
        UsageError, match=r"a\.txt is no task file: expected a name ending in .tsv, .csv, .jsonl \(also with .gz\), or .py"
    ):
        load_task(str(tmp_path / "a.txt"))


def test_a_function_is_a_task(tmp_path: Path) -> None:
    task = load_task(f"{plugin(tmp_path, PLUGIN)}:pets:count=6,word=dog")
    assert isinstance(task, Task)
    assert (task.name, task.version, task.head, task.quantity, task.source) == (
        "pets",
        3,
        "masked",
        Quantity("probability"),
        "plug-in",
    )
    assert getattr(task, "doc", None) == "Sentences about pets."
    assert settings(task) == {"count": 6, "word": "dog"}
    instances = task.instances("test", None, 2)
    assert (len(instances), instances[0].segments) == (6, ("dog 2 [MASK]",))
    assert [i.condition for i in task.instances("test", 2, 0)] in (["S", "P"], ["P", "S"])
    with pytest.raises(UsageError, match="task 'pets' has no split 'train'"):
        task.instances("train", None, 0)


def test_a_class_is_a_task(tmp_path: Path) -> None:
    task = load_task(f"{plugin(tmp_path, PLUGIN)}:labels:start=2")
    assert (task.name, task.head, task.version, settings(task)) == ("labels", "label", 1, {"start": 2})
    assert task.instances("test", None, 0)[0].answer == (2,)


def test_a_plug_in_without_what_a_task_needs_is_refused(tmp_path: Path) -> None:
    path = plugin(tmp_path, 'from flowgauge.tasks import task\n@task("x")\nclass X:\n    pass\n')
    with pytest.raises(UsageError, match=r"lacks instances: decorate it with @task\(name, head=\.\.\.\)"):
        load_task(str(path))
    with pytest.raises(UsageError, match="task 'y' lacks name, version, head, quantity, source, instances"):
        checked(object(), "y")


def test_what_a_function_gives_is_checked() -> None:
    one = Instance("a", ("x",), (0,))
    with pytest.raises(UsageError, match="task 'x' gave two instances with the id 'a'"):
        unique("x", [one, one])
    with pytest.raises(UsageError, match="task 'x' gave no instances"):
        unique("x", [])


def test_importing_tasks_loads_no_torch() -> None:
    code = (
        "import sys, flowgauge.tasks as t; t.load_task('sva/obj').instances('test', 4, 0); "
        "print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
