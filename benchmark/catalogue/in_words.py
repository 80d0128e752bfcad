"""The facts of a plug-in as labelled sentences, for the terminal and for pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...core.needs import NEEDS
from .costs import cost_table, in_words
from .facts import PluginFacts
from .plugin_settings import NO_DEFAULT, PluginSetting

SCOPES = {
    "instance": "one number for each instance",
    "set": "one number for all instances together",
    "cells": "one number for several stored cells, by `flowgauge compare`",
}
HEADS = {
    "masked": "a masked language model, or one of the next word where the words before the gap decide",
    "next": "a model that predicts the next word",
    "label": "a classifier",
    "span": "a model that marks spans",
}


def sentences(facts: PluginFacts) -> list[tuple[str, str]]:
    """Label and text of every fact that is known, but the settings, in the order in which people read them."""
    rows = [("source", facts.source), *_ROWS[facts.kind](facts.declared)]
    if facts.cost is not None:
        rows.append(("cost", f"{in_words(facts.cost)}; {cost_table().conditions}"))
    if facts.kind in ("method", "metric"):
        rows.append(("misleads", facts.misleads or "Its author does not say when."))
    return [(label, text) for label, text in rows if text]


def setting_in_words(setting: PluginSetting) -> str:
    """A setting as it is written on the command line, with its default.

    >>> setting_in_words(PluginSetting("beam", 1, "Prefixes kept.")), setting_in_words(PluginSetting("data_dir", None, ""))
    ('beam=1', 'data_dir (not set)')
    """
    if setting.default is NO_DEFAULT:
        return f"{setting.name} (has to be given)"
    if setting.default is None or setting.default == "":
        return f"{setting.name} (not set)"
    value = str(setting.default).lower() if isinstance(setting.default, bool) else setting.default
    return f"{setting.name}={value}"


def _of_method(declared: Any) -> Iterator[tuple[str, str]]:
    yield "gives", ", ".join(sorted(declared["gives"]))
    yield "needs", _needs(declared["needs"])
    yield "seed", "Explanations depend on it." if declared["stochastic"] else "Explanations do not depend on it."
    yield "control of", declared["control_of"]
    yield "version", str(declared["version"])


def _of_metric(declared: Any) -> Iterator[tuple[str, str]]:
    yield "reads", declared["reads"]
    yield "needs", _needs(declared["needs"])
    yield "unit", declared["unit"]
    low, high = declared["bounds"]
    yield "range", " ".join(f"{word} {end:.4g}" for word, end in (("from", low), ("to", high)) if end is not None) or "unbounded"
    yield (
        "direction",
        {True: "Higher is better.", False: "Lower is better.", None: "Neither end is better."}[declared["higher_is_better"]],
    )
    yield "scope", SCOPES.get(declared["scope"], "") + (", which depends on the others" if declared["pools"] else "")
    yield "ranked", declared["ranked"]
    yield "budget", f"that of {declared['reference']}" if declared["reference"] else ""
    yield "version", str(declared["version"])


def _of_task(declared: Any) -> Iterator[tuple[str, str]]:
    yield "for", HEADS.get(declared.get("head", ""), "")
    yield "explains", str(declared.get("explains", "")).replace("_", " ")
    yield "classes", ", ".join(map(str, declared.get("classes", ())))
    yield "own model", declared.get("model") or ""
    yield "data", declared.get("data", "")
    yield "version", str(declared.get("version", ""))


def _of_model(declared: Any) -> Iterator[tuple[str, str]]:
    yield from ((name, str(value)) for name, value in declared.items())


def _needs(words: Any) -> str:
    return " ".join(f"{word}: {NEEDS[word]}" for word in NEEDS if word in words) or "Any model and any task."


_ROWS = {"method": _of_method, "metric": _of_metric, "task": _of_task, "model": _of_model}
