"""Checks the promises of a method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ...core.errors import FlowgaugeError, NotApplicable
from ...core.foreign_code import foreign_code, source_file
from ...core.needs import NEEDS
from ...core.registry import settings
from ...methods.explanation import VIEWS, Explanation
from ...methods.registry import METHODS
from ...models.batch import Batch
from ...models.built.training import InMemorySession
from ...models.flow.flow_model import FlowModel
from ...models.tokenizer import padding_token
from ...tasks.instance import Instance
from ..engine.explain import check_returned
from .declaration import PluginUnderTest, require_declared, require_described, require_settings, under_test
from .finding import UNCHANGED, BrokenPromise, Finding, require, run_checks
from .subject import Subject, flat, padded, require_equal, require_unchanged, subject, tensors

Checks = list[tuple[str, Callable[[], str | None]]]


def check_method(plugin: Any, model: FlowModel | None = None, instances: Sequence[Instance] | None = None) -> list[Finding]:
    """Checks that a method keeps the promises of `methods.base.Method`.

    Args:
        plugin: A name with settings (`attention:residual=0.3`), a class or decorated function, or a method object.
        model: The model that is explained; None: the embedded one in float64.
        instances: The sentences that it is explained on, of different lengths; None: agreement sentences.

    Returns:
        One finding a promise; the first ones only, where later promises cannot be checked.
    """
    tested = under_test(METHODS, plugin, "explain")
    checks: Checks = [
        ("declared", lambda: _require_declared(tested.plugin)),
        ("described", lambda: require_described(tested)),
        ("settings can be read back", lambda: require_settings(tested)),
    ]
    changed: list[str] = []
    findings = run_checks(checks, changed)
    if not findings[0].ok:
        return findings
    sample = subject(model, instances)
    batch = sample.batch()
    before = tensors(batch)
    try:
        with foreign_code("explain", source_file(tested.plugin) or "", changed):
            tested = _trained(tested, sample)
            explanations = tested.plugin.explain(sample.model, batch)
    except NotApplicable as reason:
        return [*findings, Finding("applies", True, f"not applicable: {reason}")]
    except FlowgaugeError as error:
        return [*findings, Finding("explains", False, str(error))]
    require_shapes = lambda: _require_shapes(tested.plugin, explanations, batch, sample.model)  # noqa: E731
    findings += run_checks([("one explanation an instance, shaped as declared", require_shapes)])
    if not findings[-1].ok:
        return findings
    findings += run_checks([("batch unchanged", lambda: require_unchanged(before, batch))])
    findings += run_checks(_repetitions(tested, sample, batch, explanations), changed)
    return findings + run_checks([(UNCHANGED, lambda: sample.require_unchanged(changed))])


def _trained(tested: PluginUnderTest, sample: Subject, seed: int = 0) -> PluginUnderTest:
    """A method that is trained, after a training on the instances that it is then checked on."""
    if not hasattr(tested.plugin, "fit"):
        return tested
    weights = tested.plugin.fit(sample.model, [sample.batch()], InMemorySession(seed))
    return PluginUnderTest(tested.plugin.trained(weights), lambda **settings: tested.factory(**settings).trained(weights))


def _require_declared(plugin: Any) -> None:
    require_declared(
        plugin,
        name=lambda v: isinstance(v, str) and bool(v),
        version=lambda v: isinstance(v, int) and v >= 1,
        gives=lambda v: bool(v) and set(v) <= set(VIEWS),
        needs=lambda v: set(v) <= set(NEEDS),
        stochastic=lambda v: isinstance(v, bool),
        explain=callable,
    )


def _require_shapes(plugin: Any, explanations: Any, batch: Batch, model: FlowModel) -> None:
    check_returned(plugin, explanations, batch, model)
    for name, explanation in zip(batch.names, explanations, strict=True):
        require(
            explanation.views == frozenset(plugin.gives),
            f"instance {name!r} has the views {sorted(explanation.views)}, declared are {sorted(plugin.gives)}.",
        )


WITHOUT_OTHER_ROWS = (
    "each sentence is explained as if it were alone: compute nothing across the rows of a batch, and leave out padding "
    "(`batch.attention_mask` is False there) from every sum, mean, maximum and softmax. A method that draws random numbers draws "
    "them from each sentence's own batch.generators(), as many as it has real tokens."
)
FROM_THE_BATCH = "draw random numbers from batch.generators() alone, and keep nothing from one call to the next."
CACHED = "what `model.outputs` and path traces return is shared with other methods: do not change it in place."
REBUILT = "results may depend on the settings in the signature alone: keep no other state in the method."


def _repetitions(tested: PluginUnderTest, sample: Subject, batch: Batch, explanations: list[Explanation]) -> Checks:
    """Checks that the same instances in other batches have the same explanations."""
    count, pad = len(sample.instances), padding_token(sample.model.tokenizer)

    def explain(batch: Batch) -> list[Explanation]:
        repeated: list[Explanation] = tested.plugin.explain(sample.model, batch)
        return repeated

    def require_same(repeated: list[Explanation], tolerance: float, remedy: str) -> None:
        require(len(repeated) == count, f"{len(repeated)} explanations of {count} instances.")
        try:
            require_equal(explanations, repeated, batch.names, tolerance)
        except BrokenPromise as broken:
            raise BrokenPromise(f"{str(broken).rstrip('.')}: {remedy}") from broken

    def in_rebuilt() -> None:
        rebuilt = tested.factory(**settings(tested.plugin))
        require_same(rebuilt.explain(sample.model, sample.batch()), 0, REBUILT)

    def one_by_one() -> None:
        alone = [e for instance in sample.instances for e in explain(sample.batch([instance]))]
        require_same(alone, sample.tolerance, WITHOUT_OTHER_ROWS)

    def in_reversed_order() -> None:
        turned = explain(sample.batch().rows(torch.arange(count).flip(0)))[::-1]
        require_same(turned, sample.tolerance, WITHOUT_OTHER_ROWS)

    def with_more_padding() -> None:
        require_same(explain(padded(sample.batch(), 3, pad)), sample.tolerance, WITHOUT_OTHER_ROWS)

    return [
        ("the same a second time", lambda: require_same(explain(sample.batch()), 0, FROM_THE_BATCH)),
        ("the same from a batch with work cached on it", lambda: require_same(explain(batch), sample.tolerance, CACHED)),
        ("the same for a new object with its settings", in_rebuilt),
        ("the same one instance at a time", one_by_one),
        ("the same in any order", in_reversed_order),
        ("the same with more padding", with_more_padding),
        ("the seed matters if and only if it is declared stochastic", lambda: _require_seed(tested, sample, explanations)),
    ]


def _require_seed(tested: PluginUnderTest, sample: Subject, explanations: list[Explanation]) -> None:
    """Checks that another seed, which is also that of a training, changes explanations if and only if it is declared to."""
    plugin = tested.plugin
    reseeded = _trained(tested, sample, seed=1).plugin.explain(sample.model, sample.batch(seed=1))
    differs = any(
        left.keys() != right.keys() or any(not np.array_equal(left[name], right[name]) for name in left)
        for left, right in ((flat(a), flat(b)) for a, b in zip(explanations, reseeded, strict=True))
    )
    effect = "changes nothing, though it is declared stochastic" if plugin.stochastic else "changes it; declare stochastic=True"
    require(differs == plugin.stochastic, f"another seed {effect}.")
