"""Facts in words: every label has a text, and what is not known is left out."""

from __future__ import annotations

from flowgauge.benchmark.catalogue.facts import KINDS, all_facts, facts
from flowgauge.benchmark.catalogue.in_words import sentences, setting_in_words
from flowgauge.benchmark.catalogue.plugin_settings import NO_DEFAULT, PluginSetting


def test_every_label_has_a_text() -> None:
    for kind in KINDS:
        for entry in all_facts(kind):
            assert all(label and text.strip() for label, text in sentences(entry)), entry.name


def test_a_metric_in_words() -> None:
    said = dict(sentences(facts("metric", "optimality")))
    assert (said["reads"], said["range"], said["direction"]) == ("mask", "from 0 to 1", "Higher is better.")
    assert said["budget"] == "that of exact-erasure" and said["scope"] == "one number for each instance"
    assert dict(sentences(facts("metric", "concentration")))["range"] == "unbounded"
    assert dict(sentences(facts("metric", "depth_kept")))["range"] == "from 0"
    assert dict(sentences(facts("metric", "head_pruning")))["scope"].endswith("which depends on the others")


def test_a_method_and_a_task_in_words() -> None:
    method = dict(sentences(facts("method", "repl-skip")))
    assert method["control of"] == "influence-patterns" and method["seed"] == "Explanations do not depend on it."
    assert method["needs"].startswith("transformer: Attention heads and layers")
    task = dict(sentences(facts("task", "planted/skip")))
    assert (task["for"], task["own model"]) == ("a classifier", "planted:depth=6,hops=2")


def test_settings_are_written_as_on_the_command_line() -> None:
    assert setting_in_words(PluginSetting("exact", False, "")) == "exact=false"
    assert setting_in_words(PluginSetting("embeddings", NO_DEFAULT, "")) == "embeddings (has to be given)"
