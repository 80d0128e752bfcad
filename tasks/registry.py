"""The tasks by name, from a user's file of sentences, or from a user's Python file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ..core.errors import UnknownName, UsageError
from ..core.registry import Entry, Registry, Spec, parameters
from .declare import checked
from .file_rows import FORMATS, is_table, read_table
from .file_tasks import FileTask, LabelledTexts, MinimalPairs, check_columns, pairs, renamed
from .instance import Task

TASKS = Registry(
    "task",
    "flowgauge.tasks",
    {
        "sva/obj": Entry(
            "flowgauge.tasks.agreement:sva_obj",
            "Subject-verb agreement across an object relative clause: the author that the guards like is tall.",
        ),
        "sva/subj": Entry(
            "flowgauge.tasks.agreement:sva_subj",
            "Subject-verb agreement across a subject relative clause: the author that likes the guards is tall.",
        ),
        "sva/wsc": Entry(
            "flowgauge.tasks.agreement:sva_wsc",
            "Subject-verb agreement within a sentence complement: the bankers said the author is tall.",
        ),
        "sva/app": Entry(
            "flowgauge.tasks.agreement:sva_app",
            "Subject-verb agreement across a prepositional phrase: the author next to the guards is tall.",
        ),
        "ra/na": Entry(
            "flowgauge.tasks.agreement:ra_na",
            "Number of a reflexive across an object relative clause: the author that the guards like hurt himself.",
        ),
        "ra/ga": Entry(
            "flowgauge.tasks.agreement:ra_ga",
            "Gender of a reflexive across a subject relative clause: my king who can hit some queen may hurt himself.",
        ),
        "sst2": Entry(
            "flowgauge.tasks.classification:sst2",
            "Sentiment of film reviews in two classes (SST-2, GLUE); `--max-tokens 17` leaves the 220 of Lu et al. 2021.",
        ),
        "sst": Entry(
            "flowgauge.tasks.classification:sst",
            "Sentiment of film reviews in five classes, with a label on every word (Socher et al. 2013).",
        ),
        "sst/binary": Entry(
            "flowgauge.tasks.classification:sst_binary",
            "The same reviews without the neutral ones, for models of two classes; words keep their five labels.",
        ),
        "mnli": Entry(
            "flowgauge.tasks.classification:mnli",
            "Does a premise entail a hypothesis, contradict it or neither (MultiNLI, GLUE; matched dev set)?",
        ),
        "rte": Entry("flowgauge.tasks.classification:rte", "Does a text entail a hypothesis (RTE, GLUE)?"),
        "mrpc": Entry("flowgauge.tasks.classification:mrpc", "Do two sentences say the same (MRPC, GLUE)?"),
        "toy/counting": Entry(
            "flowgauge.tasks.toy_counting:counting",
            "Is there strictly more of one digit than of another? What matters is known (De Cao et al. 2020).",
        ),
        "squad": Entry(
            "flowgauge.tasks.squad:Squad", "Which words of a passage answer a question (SQuAD 1.1)? For models with a span head."
        ),
        "planted/relay": Entry(
            "flowgauge.tasks.planted:Relay",
            "Number of a noun that hops to another position in every layer, by a head that is known.",
        ),
        "planted/skip": Entry(
            "flowgauge.tasks.planted:Skip",
            "Number of a noun that stays at its position for most layers, by the skip, and hops twice.",
        ),
        "planted/attractor": Entry(
            "flowgauge.tasks.planted:Attractor",
            "Number of a noun beside two others whose numbers reach the target with less weight, and a head that carries none.",
        ),
        "planted/fork": Entry(
            "flowgauge.tasks.planted:Fork",
            "Number of a noun beside whose path two others share a first hop that carries more, and then part.",
        ),
        "planted/superposed": Entry(
            "flowgauge.tasks.planted:Superposed",
            "Number of a noun whose direction overlaps with the other words' feature, in a model with random background weights.",
        ),
    },
)
"""The registered tasks; summaries are those of `lexicon.toml` and of docstrings, so that a listing reads no file."""


def load_task(spec: str | Mapping[str, Any] | Spec, columns: Mapping[str, str] | None = None) -> Task:
    """The task that a user names.

    Args:
        spec: A registered name, a TSV, CSV or JSONL file, or `file.py[:name]`; each with `:key=value,...` if wanted.
        columns: Our column's name to the file's, for tasks from a file of sentences.

    Raises:
        UsageError: No such task or file, or one that cannot be used, with what to do.

    >>> load_task("sva/obj:sentences=2").instances("test", 1, 0)[0].answer
    ('is',)
    """
    spec = spec if isinstance(spec, Spec) else Spec.parse(spec)
    if is_table(spec.name):
        return cast(Task, _from_table(spec, columns or {}))
    if columns:
        raise UsageError(f"columns ({', '.join(columns)}) apply to tasks from a file of sentences, not to {spec.name!r}.")
    if Path(spec.name).is_file() and not spec.name.endswith(".py"):
        raise UsageError(f"{spec.name} is no task file: expected a name ending in {', '.join(FORMATS)} (also with .gz), or .py.")
    return checked(TASKS.create(spec), spec.name)


def takes_data(spec: Spec) -> bool:
    """Whether a task reads published data, and so has the setting `data_dir`."""
    return not is_table(spec.name) and "data_dir" in parameters(TASKS.factory(spec.name))


def tasks_for_head(head: str, fits: Callable[[Sequence[str]], bool]) -> list[str]:
    """Names of the registered tasks that need a head and bring no model; of those with classes, the ones whose classes fit."""
    made = {name: TASKS.create(name) for name in TASKS.builtin}
    open_to_all = {name: task for name, task in made.items() if not getattr(task, "model", "")}
    return [name for name, task in open_to_all.items() if task.head == head and fits(getattr(task, "classes", ()))]


def _from_table(spec: Spec, columns: Mapping[str, str]) -> FileTask:
    known = ("columns", "where", "on_broken")
    for key in spec.settings:
        if key not in known:
            raise UnknownName(f"setting of task file {spec.name!r}", key, known)
    path = Path(spec.name).expanduser()
    settings = {**spec.settings, "columns": {**pairs("columns", spec.settings.get("columns", {})), **columns}}
    return _kind(path, settings["columns"])(path, **settings)


def _kind(path: Path, columns: Mapping[str, str]) -> type[FileTask]:
    """Minimal pairs if the file has good and bad words, labelled texts if it has labels."""
    check_columns(columns)
    table = read_table(path)
    present = renamed(path, table, columns).columns
    if "good" in present and "bad" in present:
        return MinimalPairs
    if "label" in present:
        return LabelledTexts
    raise UsageError(
        f"{path} has neither the columns good and bad (minimal pairs) nor label (labelled texts); "
        f"it has {', '.join(table.columns)}. "
        "Say which they are, as in `--column sentence=grammatical --column good=correct --column bad=wrong`."
    )
