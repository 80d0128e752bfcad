"""Every metric by name, its metadata, and `@metric`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from flowgauge.core.errors import UsageError
from flowgauge.core.registry import settings
from flowgauge.methods.registry import METHODS
from flowgauge.metrics.registry import METRICS, metric


@pytest.mark.parametrize("name", list(METRICS.builtin))
def test_every_metric_declares_itself(name):
    made = METRICS.create(name)
    versions = {"optimality": 2, "random_rank": 2}
    assert made.name == name and made.version == versions.get(name, 1) and made.flowgauge_kind == "metric"
    assert made.unit and made.source and made.ranked
    assert made.reference is None or made.reference in METHODS.builtin
    scopes = {"head_universality": "cells", "stability": "cells"}
    scopes |= dict.fromkeys(("pattern_entropy", "receptive_field", "masked_f1", "depth_kept", "repeatability"), "set")
    assert made.scope == scopes.get(name, "instance")


def test_settings_are_read_back():
    found = settings(METRICS.create("ablated_accuracy:keep_target=true"))
    assert found == {"keep_target": True, "operator": "zero", "seed": 0}
    assert settings(METRICS.create("random_rank:patterns=10,words=3"))["patterns"] == 10


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("random_rank:patterns=1", "patterns must be at least 2"),
        ("random_rank:seed=-1", "seed must be at least 0"),
        ("random_rank:samples=0", "needs 1 to 1000000 samples, got 0"),
        ("skip_share:samples=0", "needs 1 to 1000000 samples, got 0"),
        ("trigger_drop:longest=2", "longest must be at least 3"),
        ("retention_curve:steps=1", "steps must be at least 2"),
        ("deletion_curve:guide=golden", "guide must be gold or predicted"),
        ("ablated_acuracy", "did you mean ablated_accuracy"),
        ("path_share:level=x", "metric 'path_share' has no settings"),
    ],
)
def test_refused_settings(spec, message):
    with pytest.raises(UsageError, match=message):
        METRICS.create(spec)


def test_a_function_is_a_metric():
    @metric("count", reads="tokens", higher_is_better=None, unit="instances")
    def count(model, shown, reference, factor=2):
        """How many."""
        return len(shown) * factor

    made = count(factor=3)
    assert made.score(None, [1, 2], None) == 6
    assert (made.name, made.scope, made.bounds, made.reference, made.ranked) == ("count", "instance", (None, None), None, "")
    assert settings(made) == {"factor": 3} and settings(count()) == {"factor": 2}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reads": "token"}, "names the view 'token'"),
        ({"scope": "all"}, "names the scope 'all'"),
        ({"bounds": (1.0, 0.0)}, "the smaller comes first"),
    ],
)
def test_a_faulty_declaration_is_refused(change, message):
    with pytest.raises(UsageError, match=message):
        metric("x", **{"reads": "tokens", "higher_is_better": True, "unit": "", **change})


def test_listing_and_summaries_load_no_torch():
    modules = ", ".join(f"flowgauge.metrics.{name}" for name in ("registry", "summary", "nodes.breakdown"))
    code = f"import sys, {modules}; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)})
    assert done.returncode == 0, done.stderr
