"""The page of the public names of the package, for mkdocstrings."""

from __future__ import annotations

import flowgauge

GROUPS = {
    "Run and read": ("run", "Results", "explain", "ExplainedText", "Plan", "Record", "Store", "rescore", "train"),
    "Models and batches": ("load_model", "FlowModel", "Layered", "encode", "Batch", "Rows", "path_trace", "Patterns"),
    "Tasks": ("load_task", "Instance", "Quantity"),
    "Explanations": ("Explanation", "explanations", "ExplainedBatch", "Scores", "Amortised"),
    "Declare your own": ("method", "metric", "task", "model"),
    "Explanations from elsewhere": ("questions", "write_explanations", "import_explanations"),
    "Errors": ("FlowgaugeError", "UsageError", "NotApplicable"),
}
"""The public names in the order of the page; names that are new and stand in no group come last."""


def api_page() -> str:
    """The Markdown of the page: each public name once."""
    known = {name for names in GROUPS.values() for name in names}
    groups = {**GROUPS, "Further names": tuple(name for name in flowgauge.__all__ if name not in known)}
    parts = [
        "# Python API",
        "Everything here is imported from `flowgauge` itself, as in `from flowgauge import run`; a name is loaded when it is "
        "first used, so that `import flowgauge` loads no torch.",
    ]
    for group, names in groups.items():
        if names:
            parts += [f"## {group}", *(f"::: flowgauge.{flowgauge._HOME[name]}.{name}" for name in names)]
    return "\n\n".join(parts) + "\n"
