"""All that is known of a registered method, metric, task or model, in one place; for built-in ones torch is not loaded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, get_args

from ...core.errors import UnknownName
from ...core.plugin_docs import PluginDocs, imported_docs, plugin_docs, target_parts
from ...core.registry import Registry, Spec, declared_in, load_file, plugin_file, plugin_name
from ...methods.registry import METHODS
from ...metrics.registry import METRICS
from ...models.registry import MODELS
from ...models.zoo import SUMMARIES, zoo_path
from ...tasks.registry import TASKS
from .costs import MethodCost, cost_table
from .plugin_settings import NO_DEFAULT, PluginSetting, declared_settings, imported_settings

Kind = Literal["method", "metric", "task", "model"]
KINDS: tuple[Kind, ...] = get_args(Kind)
REGISTRIES: Mapping[Kind, Registry] = {"method": METHODS, "metric": METRICS, "task": TASKS, "model": MODELS}
GROUPS = {
    "methods.patterns": "Paths through the model",
    "methods.attention": "Attention weights",
    "methods.gradients": "Gradients and relevance",
    "methods.averaged_gradients": "Gradients with noise, and along paths",
    "methods.decomposition": "Vectors divided by where they come from",
    "methods.perturbation": "Removed words or heads",
    "methods.masks": "Masks that are searched for or trained",
    "methods.noise": "Noise that is fitted",
    "methods.circuits": "Circuits: edges between heads and blocks",
    "methods.random": "Control",
    "metrics.tokens": "Of scores of words",
    "metrics.sanity": "Checks of any scores",
    "metrics.nodes": "Of scores of hidden states",
    "metrics.heads": "Of scores of heads",
    "metrics.edges": "Of scores of attention weights",
    "metrics.patterns": "Of patterns",
    "metrics.masks": "Of masks",
    "metrics.circuits": "Of circuits",
    "tasks.agreement": "Agreement, in sentences from templates",
    "tasks.classification": "Classification of published texts",
    "tasks.squad": "Questions about a passage",
    "tasks.pairs": "Minimal pairs, and the next word of a text",
    "tasks.planted": "Planted paths, which are known",
    "tasks.toy_counting": "A toy whose answer is known",
    "models.zoo": "Comes with the package",
    "models.built": "Built or trained when first used",
}
"""The headings of `flowgauge list`, by the folder or file that holds a built-in plug-in; in the order of their lists."""
OUTSIDE_GROUP = "From other packages and files"
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "method": {"gives": (), "needs": (), "stochastic": False, "control_of": "", "version": 1},
    "metric": {
        "reads": "", "needs": (), "higher_is_better": None, "bounds": (None, None), "unit": "", "scope": "instance",
        "reference": None, "ranked": "", "pools": False, "version": 1,
    },
}  # fmt: skip
"""What the decorators of methods and metrics declare, and what holds where they leave it out."""
SIZES = {
    "family": ("model_type",), "layers": ("num_hidden_layers", "n_layer"), "heads": ("num_attention_heads", "n_head"),
    "width": ("hidden_size", "n_embd"), "positions": ("max_position_embeddings", "n_positions"), "vocabulary": ("vocab_size",),
}  # fmt: skip
"""The sizes of an embedded model, and their names in the configurations of encoders and of GPT-2."""


@dataclass(frozen=True)
class PluginFacts:
    """What is known of a plug-in.

    Attributes:
        kind: `method`, `metric`, `task` or `model`.
        name: Its name on the command line.
        group: The heading that it stands under in lists.
        docs: Summary and paragraphs of its docstring.
        settings: Its settings with their defaults and what the docstring says of each.
        source: The publication that it follows; empty where none is known.
        misleads: When it misleads; empty where its author does not say.
        cost: The measured cost of a built-in method.
        declared: What else it declares, by name: of a method `gives`, `needs`, `stochastic`, `control_of`; of a metric `reads`,
            `unit`, `bounds`, `higher_is_better` and more; of a task `head`, `classes`, `model`, `explains`, `data`; of a model
            that comes with the package its sizes.
    """

    kind: Kind
    name: str
    group: str
    docs: PluginDocs
    settings: tuple[PluginSetting, ...]
    source: str
    misleads: str
    cost: MethodCost | None
    declared: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The facts as plain values, for `--json`; a setting without default has none."""
        settings = []
        for name, default, text in self.settings:
            given = {} if default is NO_DEFAULT else {"default": _plain(default)}
            settings.append({"name": name, **given, "text": text})
        return {
            "kind": self.kind, "name": self.name, "group": self.group, "summary": self.docs.summary,
            "description": list(self.docs.paragraphs), "source": self.source, "misleads": self.misleads, "settings": settings,
            "cost": None if self.cost is None else self.cost.model_dump(exclude_none=True),
            **{name: _plain(value) for name, value in self.declared.items()},
        }  # fmt: skip


def _plain(value: Any) -> Any:
    """A value that JSON has; sets are sorted, and what JSON lacks becomes its text."""
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return json.loads(json.dumps(value, default=str))


def names(kind: Kind) -> list[str]:
    """Every known name of a kind, built-in ones first."""
    return [*(SUMMARIES if kind == "model" else ()), *REGISTRIES[kind].entries()]


def all_facts(kind: Kind) -> list[PluginFacts]:
    """The facts of everything of a kind, as the registry orders it; what other packages offer is imported for it.

    >>> next(entry.group for entry in all_facts("method"))
    'Paths through the model'
    """
    return [facts(kind, name) for name in names(kind)]


def families(entries: Iterable[PluginFacts]) -> list[list[PluginFacts]]:
    """Entries, with neighbours together that are one plug-in under several names, such as the paradigms of BLiMP.

    >>> next(len(family) for family in families(all_facts("task")) if family[0].name.startswith("blimp/"))
    48
    """
    grouped = groupby(entries, key=lambda entry: (entry.group, entry.docs.summary, entry.source))
    return [list(family) for _, family in grouped]


def facts(kind: Kind, name: str) -> PluginFacts:
    """The facts of a registered name.

    Args:
        kind: What it is.
        name: Its name, without settings.

    Raises:
        UnknownName: There is no such plug-in; near matches are listed.
        UsageError: A plug-in of another package cannot be imported.
    """
    registry = REGISTRIES[kind]
    if kind == "model" and name in SUMMARIES:
        docs = PluginDocs(SUMMARIES[name], _of_embedded(name))
        return PluginFacts(kind, name, GROUPS["models.zoo"], docs, (), "", "", None, _sizes(name))
    target = registry.builtin.get(name)
    if target is None:
        return _of_imported(kind, name, registry.factory(name))
    docs = plugin_docs(target)
    group = ".".join(target.partition(":")[0].split(".")[1:3])
    cost = cost_table().methods.get(name) if kind == "method" else None
    declared = _declared(kind, name, docs)
    source = declared.pop("source", "") or docs.source
    settings = declared_settings(*target_parts(target))
    return PluginFacts(kind, name, GROUPS[group], docs, settings, source, str(docs.declared.get("misleads", "")), cost, declared)


def find(name: str) -> list[PluginFacts]:
    """The facts of whatever has a name, of every kind; of a Python file, of all that it declares.

    Args:
        name: A name, with settings or without, or a plug-in in a file (`file.py`, `file.py:name`).

    Raises:
        UnknownName: Nothing has this name; near matches are listed.
        UsageError: A file that cannot be read or declares nothing of this name.
    """
    plain = Spec.parse(name).name
    path, name_in_file = plugin_file(plain)
    if path is not None:
        declared = {plugin_name(value): value for value in declared_in(load_file(path))}
        if not declared or (name_in_file and name_in_file not in declared):
            raise UnknownName("method, metric, task or model", name_in_file, declared, f"(in {path})")
        chosen = [name_in_file] if name_in_file else [*declared]
        return [_of_imported(declared[one].flowgauge_kind, one, declared[one]) for one in chosen]
    by_kind = {kind: names(kind) for kind in KINDS}
    found = [facts(kind, plain) for kind in KINDS if plain in by_kind[kind]]
    if not found:
        hint = "`flowgauge list` shows them; a file of your own is named file.py:name."
        every = [one for of_kind in by_kind.values() for one in of_kind]
        raise UnknownName("method, metric, task or model", plain, every, hint)
    return found


def _of_imported(kind: Kind, name: str, factory: Any) -> PluginFacts:
    """The facts of a plug-in that is not built in."""
    docs = imported_docs(factory)
    declared = {key: docs.declared.get(key, default) for key, default in DEFAULTS.get(kind, {}).items()}
    if kind == "task":
        declared = {key: value for key, value in docs.declared.items() if key == "head"}
    source = str(docs.declared.get("reference" if kind == "task" else "source", ""))
    misleads = str(docs.declared.get("misleads", ""))
    settings = imported_settings(factory)
    return PluginFacts(kind, name, OUTSIDE_GROUP, docs, settings, source.rstrip("."), misleads, None, declared)


def _declared(kind: Kind, name: str, docs: PluginDocs) -> dict[str, Any]:
    """What a built-in plug-in declares; a task is built for it, which needs no torch."""
    if kind != "task":
        return {key: docs.declared.get(key, default) for key, default in DEFAULTS.get(kind, {}).items()}
    task = TASKS.create(name)
    return {
        "source": getattr(task, "reference", "").rstrip("."), "head": task.head, "explains": task.quantity.form,
        "classes": list(getattr(task, "classes", ())), "model": getattr(task, "model", ""), "data": task.source,
        "version": task.version,
    }  # fmt: skip


def _sizes(name: str) -> dict[str, Any]:
    """The sizes of an embedded model, from its configuration."""
    config = json.loads((zoo_path(name) / "config.json").read_text(encoding="utf-8"))
    return {said: next(config[key] for key in keys if key in config) for said, keys in SIZES.items()}


def _of_embedded(name: str) -> tuple[str, ...]:
    """What the card of an embedded model says of it above its first heading: paragraphs, without the list of sizes."""
    above = (zoo_path(name) / "README.md").read_text(encoding="utf-8").split("\n## ")[0].split("\n\n")[1:]
    return tuple(" ".join(paragraph.split()) for paragraph in above if not paragraph.startswith("- "))
