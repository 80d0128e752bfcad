"""The promises of a method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ...core.errors import PLUGIN_ERRORS, NotApplicable
from ...core.needs import NEEDS
from ...methods.explanation import VIEWS, Explanation
from ...methods.registry import METHODS
from ...models.batch import Batch
from ...models.built.training import InMemorySession
from ...models.flow.flow_model import FlowModel
from ...tasks.instance import Instance
from ..engine.explain import check_returned
from .declaration import PluginUnderTest, declared, described, make, settings_read_back
from .finding import Finding, require, run_checks
from .subject import Subject, demand_equal, demand_unchanged, flat, padded, subject, tensors

Checks = list[tuple[str, Callable[[], str | None]]]


def check_method(plugin: Any, model: FlowModel | None = None, instances: Sequence[Instance] | None = None) -> list[Finding]:
    """Whether a method keeps the promises of `methods.base.Method`.

    Args:
        plugin: A name with settings (`attention:residual=0.3`), a class or decorated function, or a method object.
        model: What to explain; the embedded model in float64 if left out.
        instances: What to explain it on, of different lengths; agreement sentences if left out.
    """
    made = make(METHODS, plugin, "explain")
    checks: Checks = [
        ("declared", lambda: _declared(made.plugin)),
        ("described", lambda: described(made)),
        ("settings can be read back", lambda: settings_read_back(made)),
    ]
    found = run_checks(checks)
    if not found[0].ok:
        return found
    on = subject(model, instances)
    before, batch = on.state(), on.batch()
    kept = tensors(batch)
    try:
        made = _trained(made, on)
        base = made.plugin.explain(on.model, batch)
    except NotApplicable as reason:
        return [*found, Finding("applies", True, f"not applicable: {reason}")]
    except PLUGIN_ERRORS as error:  # shown to the plug-in's author
        return [*found, Finding("explains", False, f"{type(error).__name__}: {error}")]
    found += run_checks(
        [("one explanation an instance, shaped as declared", lambda: _shaped(made.plugin, base, batch, on.model))]
    )
    if not found[-1].ok:
        return found
    found += run_checks([("batch unchanged", lambda: demand_unchanged(kept, batch))])
    found += run_checks(_repeats(made, on, batch, base))
    return found + run_checks([("weights and random state unchanged", lambda: require(on.state() == before, _STATE))])


def _trained(made: PluginUnderTest, on: Subject, seed: int = 0) -> PluginUnderTest:
    """A method that is trained, trained on what it is then checked on."""
    if not hasattr(made.plugin, "fit"):
        return made
    weights = made.plugin.fit(on.model, [on.batch()], InMemorySession(seed))
    return PluginUnderTest(made.plugin.trained(weights), lambda **settings: made.factory(**settings).trained(weights))


_STATE = "weights, gradients, training mode or a global random state changed: work on copies, draw from batch.generators()."


def _declared(plugin: Any) -> None:
    declared(
        plugin,
        name=lambda v: isinstance(v, str) and bool(v),
        version=lambda v: isinstance(v, int) and v >= 1,
        gives=lambda v: bool(v) and set(v) <= set(VIEWS),
        needs=lambda v: set(v) <= set(NEEDS),
        stochastic=lambda v: isinstance(v, bool),
        explain=callable,
    )


def _shaped(plugin: Any, base: Any, batch: Batch, model: FlowModel) -> None:
    check_returned(plugin, base, batch, model)
    for name, explanation in zip(batch.names, base, strict=True):
        require(
            explanation.views == frozenset(plugin.gives),
            f"instance {name!r} has the views {sorted(explanation.views)}, declared are {sorted(plugin.gives)}.",
        )


def _repeats(made: PluginUnderTest, on: Subject, batch: Batch, base: list[Explanation]) -> Checks:
    """The same question asked in other ways."""
    explain, count, pad = made.plugin.explain, len(on.instances), on.model.tokenizer.pad_token_id or 0

    def same(other: list[Explanation], tolerance: float) -> None:
        require(len(other) == count, f"{len(other)} explanations of {count} instances.")
        demand_equal(base, other, batch.names, tolerance)

    def alone() -> None:
        same([e for i in on.instances for e in explain(on.model, on.batch([i]))], on.tolerance)

    def reversed_order() -> None:
        same(explain(on.model, on.batch().rows(torch.arange(count).flip(0)))[::-1], on.tolerance)

    return [
        ("the same a second time", lambda: same(explain(on.model, on.batch()), 0)),
        ("the same from a batch with work cached on it", lambda: same(explain(on.model, batch), on.tolerance)),
        ("the same for a new object with its settings", lambda: same(_again(made).explain(on.model, on.batch()), 0)),
        ("the same one instance at a time", alone),
        ("the same in any order", reversed_order),
        ("the same with more padding", lambda: same(explain(on.model, padded(on.batch(), 3, pad)), on.tolerance)),
        ("the seed matters if and only if it is declared stochastic", lambda: _seeded(made, on, base)),
    ]


def _again(made: PluginUnderTest) -> Any:
    from ...core.registry import settings

    return made.factory(**settings(made.plugin))


def _seeded(made: PluginUnderTest, on: Subject, base: list[Explanation]) -> None:
    """A cell's seed is that of the training too."""
    plugin = made.plugin
    other = _trained(made, on, seed=1).plugin.explain(on.model, on.batch(seed=1))
    differs = any(
        one.keys() != two.keys() or any((one[k].shape != two[k].shape or (one[k] != two[k]).any()) for k in one)
        for one, two in ((flat(a), flat(b)) for a, b in zip(base, other, strict=True))
    )
    what = "changes nothing, though it is declared stochastic" if plugin.stochastic else "changes it; declare stochastic=True"
    require(differs == plugin.stochastic, f"another seed {what}.")
