"""Methods whose settings leave views out: words alone are scored as beside hidden states, and nothing else is computed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from flowgauge.methods.gradients import conductance, integrated_gradients
from flowgauge.methods.gradients.conductance import Conductance
from flowgauge.methods.gradients.integrated_gradients import IntegratedGradients
from flowgauge.methods.patterns import influence_patterns
from flowgauge.methods.patterns.influence_patterns import InfluencePatterns


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often functions were called that only views beside the words need."""
    counts: Counter[str] = Counter()

    def counting(function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def counted(*args: Any, **named: Any) -> Any:
            counts[name] += 1
            return function(*args, **named)

        return counted

    for owner, name in (
        (conductance, "word_flows"), (influence_patterns, "search"), (influence_patterns, "refine"),
        (integrated_gradients.IntegratedGradients, "_starts"),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, counting(getattr(owner, name), name))
    return counts


@pytest.mark.parametrize(
    ("whole", "words"),
    [
        (IntegratedGradients(samples=3), IntegratedGradients(samples=3, nodes=False)),
        (Conductance(samples=3), Conductance(samples=3, flows=False)),
        (InfluencePatterns(samples=3), InfluencePatterns(samples=3, patterns=False)),
    ],
)
def test_words_of_gradients_on_a_path(model, batch, calls, whole, words) -> None:
    alone = words.explain(model, batch)
    assert not calls, "only what words need"
    for one, other in zip(alone, whole.explain(model, batch), strict=True):
        assert one.views == words.gives == {"tokens"} and other.views == whole.gives
        np.testing.assert_array_equal(one.tokens, other.tokens)
        assert one.values.items() <= other.values.items()
    assert calls
