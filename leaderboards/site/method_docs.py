"""Descriptions of methods: the docstring and source of a built-in method, read from its file without importing it."""

from __future__ import annotations

from dataclasses import dataclass

from ...benchmark.store.record import Record
from ...core.plugin_docs import plugin_docs
from ...methods.registry import METHODS


@dataclass(frozen=True)
class MethodDescription:
    """The description of a method.

    Attributes:
        summary: One sentence.
        text: The paragraphs of the docstring below its first line, up to the settings.
        source: Authors, year and section or equation; empty where none is named.
    """

    summary: str
    text: tuple[str, ...] = ()
    source: str = ""


def describe_external_method(record: Record) -> MethodDescription:
    """Describes a method whose explanations were computed outside flowgauge, from what was handed in with them."""
    producer = record.key.get("method", {}).get("producer", "")
    text = (
        "They are scored like all others. flowgauge cannot run the method, so its explanations cannot be checked by a second run."
    )
    return MethodDescription(
        summary=f"Explanations computed outside flowgauge, by {producer}.",
        text=(text,),
        source=str(record.asked.get("citation", "")).rstrip("."),
    )


def describe_method(method: str) -> MethodDescription:
    """Describes a method by its registered name; of a method that is not registered, the description says that."""
    target = METHODS.builtin.get(method)
    if target is None:
        return MethodDescription(
            "This method is not part of flowgauge; its settings and scores are known, but not its description."
        )
    docs = plugin_docs(target)
    return MethodDescription(docs.summary, docs.paragraphs, docs.source)
