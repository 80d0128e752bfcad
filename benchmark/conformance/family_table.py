"""Which methods run on which family with which head: a table for the documentation, each cell of which is a run.

python -m flowgauge.benchmark.conformance.family_table docs/models.md
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ...core.errors import FlowgaugeError, NotApplicable
from ...core.registry import parameters
from ...methods.registry import METHODS
from ...models.built.training import InMemorySession
from ...models.families.registry import FAMILIES
from ...models.flow.flow_model import FlowModel
from ...models.inputs.encode import encode
from ...tasks.instance import Head, Quantity
from ..engine.explain import check_needs_met, check_returned
from ..loading.model_defaults import for_model
from ..store.atomic_files import write_between
from .small_models import heads_of, small_instances, small_model

BEGIN, END = "<!-- begin: flowgauge.benchmark.conformance.family_table -->", "<!-- end -->"
QUICK = {
    "diffmask-single": "diffmask-single:steps=4",
    "reinforce-mask": "reinforce-mask:steps=12",
    "diffmask-input": "diffmask-input:steps=10,margin=50",
    "diffmask-hidden": "diffmask-hidden:steps=10,margin=50",
    "ib-attribution": "ib-attribution:steps=4",
    "information-mask": "information-mask:steps=4",
    "shapley-sampling": "shapley-sampling:samples=2",
}
"""Methods that take as many steps as they are told."""
HEADS: Mapping[Head, str] = {"masked": "masked words", "next": "next word", "label": "labels", "span": "spans"}


class Runs(NamedTuple):
    """What each method did on a small random model.

    Attributes:
        ran: Methods that gave explanations shaped as they declare.
        reasons: For the others, why they are not applicable.
        failures: Errors that are no such reason.
    """

    ran: tuple[str, ...]
    reasons: Mapping[str, str]
    failures: Mapping[str, str]


def runs_of(family: str, head: Head) -> Runs:
    """Runs every built-in method on a small random model, with few steps or samples.

    Args:
        family: A `model_type` of the registry.
        head: One of the heads with which transformers has it.
    """
    model, ran, reasons, failures = small_model(family, head), [], dict[str, str](), dict[str, str]()
    for name in METHODS.builtin:
        try:
            _run(name, model, head)
            ran.append(name)
        except NotApplicable as reason:
            reasons[name] = str(reason)
        except FlowgaugeError as error:
            failures[name] = str(error)
    return Runs(tuple(ran), reasons, failures)


def _run(name: str, model: FlowModel, head: Head) -> None:
    sampled = "samples" in parameters(METHODS.factory(name))
    method = for_model(METHODS.create(QUICK.get(name, f"{name}:samples=4" if sampled else name)), model.default_baseline)
    batch = encode(model, small_instances(head), Quantity())
    check_needs_met(method, model, batch)
    if hasattr(method, "fit"):
        method = method.trained(method.fit(model, [batch], InMemorySession(0)))
    check_returned(method, method.explain(model, batch), batch, model)


def family_table() -> str:
    """The table in Markdown, and below it why methods are not applicable."""
    heads = tuple(HEADS)
    lines = [f"| family | {' | '.join(HEADS[head] for head in heads)} |", f"| :-- |{' --: |' * len(heads)}"]
    why: dict[tuple[str, str], list[str]] = {}
    for family in sorted(FAMILIES):
        cells = []
        for head in heads:
            if head not in heads_of(family):
                cells.append("–")
                continue
            found = runs_of(family, head)
            if found.failures:
                raise FlowgaugeError(f"{family} with a head for {HEADS[head]}: {dict(found.failures)}")
            cells.append(f"{len(found.ran)} of {len(METHODS.builtin)}")
            for name, reason in found.reasons.items():
                why.setdefault((name, reason.replace(f"small-{family}", "MODEL")), []).append(f"{family} ({HEADS[head]})")
        lines.append(f"| `{family}` | {' | '.join(cells)} |")
    reasons = [f"- `{name}` on {_listed(where)}: {reason}" for (name, reason), where in sorted(why.items())]
    return "\n".join([*lines, "", "Not applicable, by the methods' own words:", "", *reasons])


def _listed(where: list[str]) -> str:
    return ", ".join(where) if len(where) <= 6 else f"{len(where)} models, such as {', '.join(where[:2])}"


def main(path: Path) -> None:
    """Writes the table between the marks of a page."""
    write_between(path, BEGIN, family_table(), END)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
