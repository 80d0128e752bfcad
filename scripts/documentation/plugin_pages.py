"""A page for each built-in method and metric, and lists of all, written from what the registries know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from flowgauge.core.needs import NEEDS
from flowgauge.core.registry import Registry, parameters
from flowgauge.methods.registry import METHODS
from flowgauge.metrics.registry import METRICS
from flowgauge.metrics.scorecard import SCORECARD
from flowgauge.models.registry import MODELS
from flowgauge.tasks.registry import TASKS

ROOMS = {
    "patterns": "Paths", "gradients": "Gradients", "attention": "Attention", "perturbation": "Removing words and heads",
    "masks": "Masks", "noise": "Noise", "random": "Control", "nodes": "Hidden states", "tokens": "Words", "heads": "Heads",
    "edges": "Edges",
}  # fmt: skip
"""What the lists call each room of methods and metrics."""


class PluginPage(NamedTuple):
    """A page: its path below docs/, its title and its Markdown."""

    path: str
    title: str
    text: str


def plugin_pages() -> list[PluginPage]:
    """The list of methods and that of metrics, each followed by the pages of its members."""
    methods = [PluginPage(f"methods/{name}.md", name, _page(METHODS, name, _method_facts)) for name in METHODS.builtin]
    metrics = [PluginPage(f"metrics/{name}.md", name, _page(METRICS, name, _metric_facts)) for name in METRICS.builtin]
    return [
        PluginPage("methods/index.md", "Methods", _index("method", METHODS)),
        *methods,
        PluginPage("metrics/index.md", "Metrics", _index("metric", METRICS)),
        *metrics,
        PluginPage("tasks-and-models.md", "Tasks and models", _tasks_and_models()),
    ]


def by_room(registry: Registry) -> dict[str, list[str]]:
    """The built-in names of a registry by the room that their files lie in, in the registry's order."""
    rooms: dict[str, list[str]] = {}
    for name, target in registry.builtin.items():
        rooms.setdefault(target.split(":")[0].split(".")[2], []).append(name)
    return rooms


def _page(registry: Registry, name: str, facts: Any) -> str:
    factory, docs = registry.factory(name), registry.docs()[name]
    module, _, attribute = registry.builtin[name].partition(":")
    rows = [f"| **{head}** | {_cell(text)} |" for head, text in facts(name, factory) if text]
    settings = [
        f"| `{key}` | `{p.default!r}` |" for key, p in parameters(factory).items() if p.default is not p.empty
    ]  # fmt: skip
    parts = [
        f"# {name}", f"*{docs.summary}*",
        "| | |\n| :-- | :-- |\n" + "\n".join(rows),
        "## Definition",
        f"::: {module}.{attribute}\n    options:\n      show_root_heading: false\n      show_root_toc_entry: false\n"
        "      show_bases: false\n      members: false\n      show_signature: false",
    ]  # fmt: skip
    if settings:
        example = next(key for key in parameters(factory))
        parts += [
            "## Settings",
            f"Written behind the name, as `{name}:{example}=...`; what is not given has its default.",
            "| setting | default |\n| :-- | :-- |\n" + "\n".join(settings),
        ]
    return "\n\n".join(parts) + "\n"


def _method_facts(name: str, method: Any) -> Iterator[tuple[str, str]]:
    yield "source", method.source
    yield "gives", _words(method.gives)
    yield "needs", " ".join(f"`{need}`: {NEEDS[need]}" for need in sorted(method.needs)) or "any model"
    yield "draws at random", "yes; `--seed` sets the seed" if method.stochastic else "no"
    yield "control of", f"[{method.control_of}]({method.control_of}.md)" if method.control_of else ""
    yield "version", str(method.version)


def _metric_facts(name: str, metric: Any) -> Iterator[tuple[str, str]]:
    low, high = metric.bounds
    better = {True: "higher is better", False: "lower is better", None: "neither end is better"}
    group = next((group for group, members in SCORECARD.items() if name in members), "")
    yield "source", metric.source
    yield "reads", f"`{metric.reads}`"
    yield "direction", better[metric.higher_is_better if not isinstance(metric.higher_is_better, property) else None]
    yield "range", f"{'unbounded' if low is None else low:} to {'unbounded' if high is None else high}"
    yield "unit", metric.unit
    yield "tables rank by", f"`{metric.ranked}`" if isinstance(metric.ranked, str) and metric.ranked else ""
    yield "budget of", f"[{metric.reference}](../methods/{metric.reference}.md)" if metric.reference else ""
    yield "needs", " ".join(f"`{need}`: {NEEDS[need]}" for need in sorted(getattr(metric, "needs", ())))
    yield "scorecard", group
    yield "version", str(metric.version)


def _index(kind: str, registry: Registry) -> str:
    docs = registry.docs()
    parts = [
        f"# {kind.capitalize()}s",
        f"`flowgauge list {kind}s` prints this list. Each page has the definition with its formula, the source and the settings.",
    ]
    for room, names in by_room(registry).items():
        rows = [f"| [{name}]({name}.md) | {_cell(docs[name].summary)} |" for name in names]
        parts += [f"## {ROOMS[room]}", _table((kind, "what it computes"), rows)]
    return "\n\n".join(parts) + "\n"


def _tasks_and_models() -> str:
    tasks = [f"| `{name}` | {_cell(docs.summary)} | {_cell(docs.source)} |" for name, docs in TASKS.docs().items()]
    models = [f"| `{name}` | {_cell(docs.summary)} |" for name, docs in MODELS.docs().items()]
    return "\n\n".join([
        "# Tasks and models",
        "`flowgauge list tasks` and `flowgauge list models` print these lists.",
        "## Tasks",
        _table(("task", "what is asked", "source"), tasks),
        "A file of your own sentences is a task, too: [Compare methods on my sentences](how-to/compare-on-my-sentences.md).",
        "## Models",
        _table(("model", "what it is"), models),
        "`--model` also takes a name on the Hugging Face Hub or a folder with a checkpoint of BERT, RoBERTa, ELECTRA or "
        "DistilBERT, with a head for masked words, classes, labels, a score or spans.",
    ]) + "\n"  # fmt: skip


def _table(head: Sequence[str], rows: Iterable[str]) -> str:
    return "\n".join([f"| {' | '.join(head)} |", f"|{' :-- |' * len(head)}", *rows])


def _words(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _cell(text: str) -> str:
    """Text that can stand in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
