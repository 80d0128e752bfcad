"""The tasks by name, from a user's file of sentences, or from a user's Python file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ..core.errors import UnknownName, UsageError
from ..core.registry import Registry, Spec, parameters
from .declare import checked
from .file_rows import is_table
from .file_tasks import FileTask, kind_of, pairs
from .instance import FITTING, Task
from .pairs.blimp import PARADIGMS, SEVERAL_WORDS, several_words

MOST_SIBLINGS = 6
"""Tasks of one family, such as `blimp/`, from which on messages name the family alone."""


class TaskRegistry(Registry):
    """The tasks; of a name that cannot be a task, it says why."""

    def _target(self, name: str) -> str:
        family, _, paradigm = name.partition("/")
        if family == "blimp" and paradigm in SEVERAL_WORDS:
            raise UsageError(several_words(paradigm))
        return super()._target(name)


TASKS = TaskRegistry(
    "task",
    "flowgauge.tasks",
    {
        "sva/obj": "flowgauge.tasks.agreement:sva_obj",
        "sva/subj": "flowgauge.tasks.agreement:sva_subj",
        "sva/wsc": "flowgauge.tasks.agreement:sva_wsc",
        "sva/app": "flowgauge.tasks.agreement:sva_app",
        "ra/na": "flowgauge.tasks.agreement:ra_na",
        "ra/ga": "flowgauge.tasks.agreement:ra_ga",
        "ioi": "flowgauge.tasks.pairs.indirect_objects:IndirectObjects",
        "greater-than": "flowgauge.tasks.pairs.greater_than:GreaterThan",
        "gulordava": "flowgauge.tasks.pairs.gulordava:Gulordava",
        "marvin-linzen": "flowgauge.tasks.pairs.marvin_linzen:MarvinLinzen",
        **{f"blimp/{paradigm}": f"flowgauge.tasks.pairs.blimp:blimp({paradigm})" for paradigm in PARADIGMS},
        "sst2": "flowgauge.tasks.classification:sst2",
        "sst": "flowgauge.tasks.classification:sst",
        "sst/binary": "flowgauge.tasks.classification:sst_binary",
        "mnli": "flowgauge.tasks.classification:mnli",
        "rte": "flowgauge.tasks.classification:rte",
        "mrpc": "flowgauge.tasks.classification:mrpc",
        "toy/counting": "flowgauge.tasks.toy_counting:counting",
        "squad": "flowgauge.tasks.squad:Squad",
        "planted/relay": "flowgauge.tasks.planted:Relay",
        "planted/skip": "flowgauge.tasks.planted:Skip",
        "planted/attractor": "flowgauge.tasks.planted:Attractor",
        "planted/fork": "flowgauge.tasks.planted:Fork",
        "planted/superposed": "flowgauge.tasks.planted:Superposed",
    },
)
"""The registered tasks."""


def load_task(spec: str | Mapping[str, Any] | Spec, columns: Mapping[str, str] | None = None) -> Task:
    """The task that a user names.

    Args:
        spec: A registered name, a file or folder of rows, or `file.py[:name]`; settings may follow as `:key=value,...`.
        columns: A column of `file_tasks.COLUMNS` to the file's name of it, for tasks from a file of sentences.

    Raises:
        UsageError: No such task or file, or one that cannot be used; the message says what to do.

    >>> load_task("sva/obj:sentences=2").instances("test", 1, 0)[0].answer
    ('is',)
    """
    spec = spec if isinstance(spec, Spec) else Spec.parse(spec)
    if is_path(spec.name):
        return cast(Task, _from_table(spec, columns or {}))
    if columns:
        raise UsageError(f"columns ({', '.join(columns)}) apply to tasks from a file of sentences, not to {spec.name!r}.")
    return checked(TASKS.create(spec), spec.name)


def is_path(name: str) -> bool:
    """Whether a task's name is the path of a file or folder of rows: no registered name, no Python file, and of a path's form.

    >>> is_path("pairs.tsv"), is_path("data/pairs"), is_path("sva/obj"), is_path("sva/objj"), is_path("mine.py:pairs")
    (True, True, False, False, False)
    """
    registered = TASKS.entries()
    if re.fullmatch(r".+\.py(:.*)?", name) or name in registered:
        return False
    families = {known.partition("/")[0] for known in registered}
    first, slash, _ = name.partition("/")
    has_form = is_table(name) or name.startswith((".", "~")) or "\\" in name or re.search(r"\.[A-Za-z]\w*$", name)
    return bool(has_form or (slash and first not in families) or Path(name).expanduser().exists())


def takes_data(spec: Spec) -> bool:
    """Whether a task has the setting `data_dir`, as those on published data have."""
    return not is_path(spec.name) and "data_dir" in parameters(TASKS.factory(spec.name))


def tasks_for_head(head: str, classes_match: Callable[[Sequence[str]], bool]) -> list[str]:
    """Names of the built-in tasks for any model with a given head; a family of many is named by its pattern, `blimp/*`.

    Args:
        head: The head of the model; one of the next word fits tasks with a gap, too (`instance.FITTING`).
        classes_match: Whether the classes of a task are those of the model.
    """
    tasks = {name: TASKS.create(name) for name in TASKS.builtin}
    fitting = [
        name
        for name, task in tasks.items()
        if head in FITTING[task.head] and not getattr(task, "model", "") and classes_match(getattr(task, "classes", ()))
    ]
    siblings = Counter(name.partition("/")[0] for name in fitting)
    families = ((name, name.partition("/")[0]) for name in fitting)
    return list(dict.fromkeys(f"{family}/*" if siblings[family] > MOST_SIBLINGS else name for name, family in families))


def _from_table(spec: Spec, columns: Mapping[str, str]) -> FileTask:
    """The task of a file of sentences."""
    known = ("columns", "where", "on_broken")
    for key in spec.settings:
        if key not in known:
            raise UnknownName(f"setting of task file {spec.name!r}", key, known)
    path = Path(spec.name).expanduser()
    settings = {**spec.settings, "columns": {**pairs("columns", spec.settings.get("columns", {})), **columns}}
    return kind_of(path, settings["columns"])(path, **settings)
