"""A page for each built-in method and metric, and lists of all, written from what flowgauge knows of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from flowgauge.benchmark.catalogue.costs import cost_table, in_words
from flowgauge.benchmark.catalogue.facts import REGISTRIES, Kind, PluginFacts, all_facts, families
from flowgauge.benchmark.catalogue.plugin_settings import NO_DEFAULT
from flowgauge.core.needs import NEEDS
from flowgauge.metrics.scorecard import SCORECARD

from .example_pictures import method_pictures, metric_picture

NO_EXAMPLE = "The published board has none of its results, so that no example is drawn."


class PluginPage(NamedTuple):
    """A file of the site: its path below docs/ and its Markdown, or the bytes of a picture."""

    path: str
    content: str | bytes


def plugin_pages() -> Iterator[PluginPage]:
    """The lists of methods and of metrics, a page and the pictures of each, and the list of tasks and models."""
    for kind in ("method", "metric"):
        yield PluginPage(f"{kind}s/index.md", _index(kind))
        for plugin in built_in(kind):
            pictures = _pictures(plugin)
            names = [f"{plugin.name}-{index}.svg" for index in range(len(pictures))]
            yield PluginPage(f"{kind}s/{plugin.name}.md", _page(plugin, dict(zip(names, pictures, strict=True))))
            for name, picture in zip(names, pictures.values(), strict=True):
                yield PluginPage(f"{kind}s/{name}", picture)
    yield PluginPage("tasks-and-models.md", _tasks_and_models())


def built_in(kind: Kind) -> list[PluginFacts]:
    """What comes with flowgauge, and not what other packages add on this machine."""
    return [plugin for plugin in all_facts(kind) if kind == "model" or plugin.name in REGISTRIES[kind].builtin]


def by_group(kind: Kind) -> dict[str, list[PluginFacts]]:
    """The built-in plug-ins of a kind under the headings of `flowgauge list`."""
    groups: dict[str, list[PluginFacts]] = {}
    for plugin in built_in(kind):
        groups.setdefault(plugin.group, []).append(plugin)
    return groups


def _pictures(plugin: PluginFacts) -> dict[str, bytes]:
    """The example pictures of a plug-in, by what they show."""
    if plugin.kind == "method":
        return dict(method_pictures(plugin.name))
    picture = metric_picture(plugin.name)
    return {} if picture is None else {"All methods on `sva/obj`: means with 95 % intervals": picture}


def _page(plugin: PluginFacts, pictures: dict[str, str]) -> str:
    """The page of a method or a metric; `pictures` has what each file shows."""
    facts = _method_facts if plugin.kind == "method" else _metric_facts
    target = REGISTRIES[plugin.kind].builtin[plugin.name].replace(":", ".")
    hidden = ("root_heading", "root_toc_entry", "bases", "signature", "docstring_attributes", "docstring_raises")
    options = "\n".join(["      members: false", *(f"      show_{part}: false" for part in hidden)])
    parts = [f"# {plugin.name}", f"::: {target}\n    options:\n{options}", "## At a glance"]
    parts.append(_table(("what", "value"), [f"| {head} | {_cell(text)} |" for head, text in facts(plugin) if text]))
    if plugin.misleads:
        parts += ["## When it misleads", plugin.misleads]
    if plugin.settings:
        rows = [f"| `{s.name}` | {_default(s.default)} | {_cell(s.text)} |" for s in plugin.settings]
        written = f"They are written behind the name: `{plugin.name}:{plugin.settings[0].name}=...`."
        parts += ["## Settings", written, _table(("setting", "default", "what it does"), rows)]
    parts.append("## Example")
    drawn = "Drawn from the published board: the embedded model on"
    if pictures and plugin.kind == "method":
        parts.append(f"{drawn} one sentence of `sva/obj`, for the right answer.")
    elif pictures:
        parts.append(f"{drawn} 64 sentences of `sva/obj`.")
    else:
        parts.append(NO_EXAMPLE)
    parts += [f"![{plugin.name}: {shows}]({name})\n\n{shows}." for name, shows in pictures.items()]
    return "\n\n".join(parts) + "\n"


def _method_facts(method: PluginFacts) -> Iterator[tuple[str, str]]:
    said = method.declared
    yield "source", method.source
    yield "gives", ", ".join(f"`{view}`" for view in sorted(said["gives"]))
    yield "needs", " ".join(f"`{need}`: {NEEDS[need]}" for need in sorted(said["needs"])) or "any model"
    yield "draws at random", "yes; `--seed` sets the seed" if said["stochastic"] else "no"
    yield "control of", f"[{said['control_of']}]({said['control_of']}.md)" if said["control_of"] else ""
    yield "cost", f"{in_words(method.cost)} ({cost_table().conditions})" if method.cost else ""
    yield "version", str(said["version"])


def _metric_facts(metric: PluginFacts) -> Iterator[tuple[str, str]]:
    said, better = metric.declared, {True: "higher is better", False: "lower is better", None: "neither end is better"}
    low, high = said["bounds"]
    yield "source", metric.source
    yield "reads", f"`{said['reads']}`"
    yield "direction", better[said["higher_is_better"]]
    yield "range", f"{'unbounded' if low is None else low} to {'unbounded' if high is None else high}"
    yield "unit", said["unit"]
    yield "tables rank by", f"`{said['ranked']}`" if said["ranked"] else ""
    yield "budget of", f"[{said['reference']}](../methods/{said['reference']}.md)" if said["reference"] else ""
    yield "needs", " ".join(f"`{need}`: {NEEDS[need]}" for need in sorted(said["needs"]))
    yield "scorecard", next((group for group, members in SCORECARD.items() if metric.name in members), "not in it; name it")
    yield "version", str(said["version"])


def _index(kind: Kind) -> str:
    parts = [
        f"# {kind.capitalize()}s",
        f"`flowgauge list {kind}s` prints this list, `flowgauge list {kind}s --json` all that the pages say. Each page has the "
        "definition with its formula, the source, when it misleads, the settings and an example.",
    ]
    for group, members in by_group(kind).items():
        rows = [f"| [{plugin.name}]({plugin.name}.md) | {_cell(plugin.docs.summary)} |" for plugin in members]
        parts += [f"## {group}", _table((kind, "what it computes"), rows)]
    return "\n\n".join(parts) + "\n"


def _tasks_and_models() -> str:
    parts = ["# Tasks and models", "`flowgauge list tasks` and `flowgauge list models` print these lists.", "## Tasks"]
    for group, members in by_group("task").items():
        named = [(", ".join(f"`{plugin.name}`" for plugin in family), family[0]) for family in families(members)]
        rows = [f"| {names} | {_cell(plugin.docs.summary)} | {_cell(plugin.source)} |" for names, plugin in named]
        parts += [f"### {group}", _table(("task", "what is asked", "source"), rows)]
    models = [f"| `{plugin.name}` | {_cell(plugin.docs.summary)} |" for plugin in built_in("model")]
    parts += [
        "A file of your own sentences is a task, too: [Compare methods on my sentences](how-to/compare-on-my-sentences.md).",
        "## Models",
        _table(("model", "what it is"), models),
        "`--model` also takes a name on the Hugging Face Hub or a folder with a checkpoint of BERT, RoBERTa, ELECTRA or "
        "DistilBERT, with a head for masked words, classes, labels, a score or spans.",
    ]
    return "\n\n".join(parts) + "\n"


def _default(value: object) -> str:
    return "must be given" if value is NO_DEFAULT else f"`{value}`"


def _table(head: Sequence[str], rows: Iterable[str]) -> str:
    return "\n".join([f"| {' | '.join(head)} |", f"|{' :-- |' * len(head)}", *rows])


def _cell(text: str) -> str:
    """Text that can stand in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
