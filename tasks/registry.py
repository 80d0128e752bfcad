"""Tasks by name, by file and from plug-ins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from ..core.errors import UsageError
from ..core.registry import Entry, Registry, Spec
from .agreement import AgreementTask
from .instance import Task

SUFFIXES = (".tsv", ".csv", ".jsonl", ".tsv.gz", ".csv.gz", ".jsonl.gz")


def _agreement(name: str) -> Callable[..., AgreementTask]:
    def factory(sentences: int = 250) -> AgreementTask:
        return AgreementTask(name, sentences)

    return factory


sva_obj, sva_subj, sva_wsc, sva_app, ra_na, ra_ga = (
    _agreement(n) for n in ("sva/obj", "sva/subj", "sva/wsc", "sva/app", "ra/na", "ra/ga")
)

_HERE = "flowgauge.tasks.registry"
TASKS = Registry(
    "task",
    "flowgauge.tasks",
    {
        "sva/obj": Entry(f"{_HERE}:sva_obj", "subject-verb agreement across an object relative clause (the author that the guards like ...)"),
        "sva/subj": Entry(f"{_HERE}:sva_subj", "subject-verb agreement across a subject relative clause (the author that likes the guards ...)"),
        "sva/wsc": Entry(f"{_HERE}:sva_wsc", "subject-verb agreement within a sentence complement (the bankers knew the author ...)"),
        "sva/app": Entry(f"{_HERE}:sva_app", "subject-verb agreement across a prepositional phrase (the author next to the guards ...)"),
        "ra/na": Entry(f"{_HERE}:ra_na", "reflexive number agreement across an object relative clause (... hurt themselves)"),
        "ra/ga": Entry(f"{_HERE}:ra_ga", "reflexive gender agreement across a relative clause (... will hurt herself)"),
    },
)


def task(name: str) -> Callable[[Any], Any]:
    """Declares a class as a task plug-in called `name`."""

    def mark(target: Any) -> Any:
        target.name, target.flowgauge_kind = name, "task"
        return target

    return mark


def load_task(spec: str | Mapping[str, Any] | Spec, columns: Mapping[str, str] | None = None) -> Task:
    """The task a user names: a registered name, a data file (.tsv, .csv, .jsonl, also .gz) or a plug-in (file.py[:name]).

    Args:
        spec: The name, with settings after a colon (`sva/obj:sentences=50`).
        columns: For data files: our column to theirs.

    Raises:
        UsageError: No such task or file, a file that cannot be read, a column mapping for a task that is not a file.
    """
    spec = spec if isinstance(spec, Spec) else Spec.parse(spec)
    if spec.name.endswith(SUFFIXES):
        from .files import load_file_task

        return load_file_task(spec.name, columns or {}, **spec.settings)
    made: Task = TASKS.create(spec)
    return made


def expand(names: Sequence[str | Mapping[str, Any]]) -> list[str | Mapping[str, Any]]:
    """Task names with patterns such as `sva/*` replaced by every built-in task they fit.

    Raises:
        UsageError: A pattern that fits none.
    """
    found: list[str | Mapping[str, Any]] = []
    for name in names:
        if not isinstance(name, str) or not any(c in name for c in "*?["):
            found.append(name)
            continue
        fitting = [known for known in TASKS.entries() if fnmatchcase(known, name)]
        if not fitting:
            raise UsageError(f"no task fits the pattern {name!r}; known: {', '.join(TASKS.entries())}.")
        found += fitting
    return found
