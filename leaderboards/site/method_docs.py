"""What a built-in method's docstring says, read from its source without importing it. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from ...benchmark.store.record import Record
from ...core.plugin_docs import plugin_docs
from ...methods.registry import METHODS


@dataclass(frozen=True)
class MethodDescription:
    """A method in words.

    Attributes:
        summary: One line.
        text: The paragraphs below it, up to the settings.
        source: Authors, year and section or equation; empty where the docstring names none.
    """

    summary: str
    text: tuple[str, ...] = ()
    source: str = ""


def about_outside(record: Record) -> MethodDescription:
    """What is known of a method whose explanations were computed elsewhere: what was handed in with them."""
    producer = record.key.get("method", {}).get("producer", "")
    text = "They are scored like all others; flowgauge cannot run the method, so its cells cannot be re-run."
    return MethodDescription(
        f"Explanations computed outside flowgauge, by {producer}.", (text,), str(record.asked.get("citation", "")).rstrip(".")
    )


def about(method: str) -> MethodDescription:
    """What is known of a method by name; of one that is not registered, that."""
    target = METHODS.builtin.get(method)
    if target is None:
        return MethodDescription("A method that is not part of flowgauge; what is known of it is what its cells say.")
    docs = plugin_docs(target)
    return MethodDescription(docs.summary, docs.paragraphs, docs.source)
