"""Descriptions of methods: the docstring and source of a built-in method, read from its file without importing it."""

from __future__ import annotations

from ...benchmark.external.folder_format import is_outside
from ...benchmark.store.record import Record
from ...core.plugin_docs import PluginDocs, plugin_docs
from ...methods.registry import METHODS
from ..stored.records import shown_method


def describe_method(record: Record) -> PluginDocs:
    """Describes the method of a cell; where its source is not part of flowgauge, the description says what is known instead."""
    if is_outside(record):
        producer = record.key.get("method", {}).get("producer", "")
        scored = "They are scored like all others."
        checked = "flowgauge cannot run the method, so its explanations cannot be checked by a second run."
        source = str(record.asked.get("citation", "")).rstrip(".")
        return PluginDocs(f"Explanations computed outside flowgauge, by {producer}.", (f"{scored} {checked}",), source)
    if record.method not in METHODS.builtin or shown_method(record) != record.method:
        return PluginDocs(
            "This method is not part of this flowgauge; its settings and scores are known, but not its description."
        )
    return plugin_docs(METHODS.builtin[record.method])
