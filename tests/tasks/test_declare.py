"""A user's own task: a function or a class under `@task`, and what is checked of it."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from flowgauge.core.errors import UsageError
from flowgauge.core.registry import settings
from flowgauge.tasks import Instance, Quantity, Task, load_task, task
from flowgauge.tasks.declare import checked, unique

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


def test_a_quantity_of_the_predicted_answer_is_refused() -> None:
    with pytest.raises(UsageError, match="task 'x' declares a quantity of the predicted answer: declare that of the gold answer"):
        task("x", quantity=Quantity(label="predicted"))


def test_a_task_names_the_publication_that_it_follows() -> None:
    @task("pets", reference="Doe 2020, Pets")
    def pets(seed):
        """Sentences about pets."""
        return [Instance("a", ("a cat [MASK]",), ("is",))]

    assert pets.reference == pets().reference == "Doe 2020, Pets"
    assert (pets().source, pets().doc) == ("plug-in", "Sentences about pets.")
