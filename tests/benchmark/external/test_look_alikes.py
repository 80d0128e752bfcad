"""Names that a reader may mistake for another."""

from __future__ import annotations

import pytest

from flowgauge.benchmark.external.look_alikes import look_alike

KNOWN = ("attention", "influence-patterns", "integrated-gradients", "random")


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("influence_patterns", "influence-patterns"),
        ("Influence Patterns", "influence-patterns"),
        ("\uff52andom", "random"),  # a full-width r
        ("r\u00e1ndom", "random"),
        ("r\u0430nd\u043em", "random"),  # two Cyrillic letters
        ("lntegrated-gradients", "integrated-gradients"),
        ("randorn", "random"),
        ("rand0m", "random"),
        ("randoms", "random"),
        ("randm", "random"),
        ("ranodm", "random"),
        ("attentien", "attention"),
    ],
)
def test_names_that_a_reader_mistakes_are_found(name: str, taken: str) -> None:
    assert look_alike(name, KNOWN) == taken


@pytest.mark.parametrize("name", [*KNOWN, "attention-flow", "randomly", "gradients", ""])
def test_known_names_and_others_are_free(name: str) -> None:
    assert look_alike(name, KNOWN) is None
