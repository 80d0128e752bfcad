"""How a training of gates ends, and what its record says."""

from __future__ import annotations

import pytest
from tests.methods.masks.conftest import METHODS, QUICK

from flowgauge.methods.masks.gate_training import GateTraining
from flowgauge.models.built.training import InMemorySession


def test_the_outcome_says_what_was_chosen_and_whether_the_training_converged(flow, data, kind) -> None:
    training = InMemorySession()
    METHODS[kind](**{**QUICK, "agree": 0.0}).fit(flow, data, training)
    assert training.outcome["margin"] == 50 and training.outcome["restarts"] == 0
    assert training.outcome["converged"] is (not training.outcome["warnings"])
    few = InMemorySession()
    METHODS[kind](**{**QUICK, "agree": 0.0, "steps": 3}).fit(flow, data, few)
    assert few.outcome["converged"] is None
    assert few.outcome["warnings"] == ("too few steps to judge whether the training has converged",)


def test_probes_beyond_the_margin_are_used_with_a_warning(flow, data, kind, caplog) -> None:
    training = InMemorySession()
    METHODS[kind](**{**QUICK, "margin": 1e-12, "fallback": 1e15}).fit(flow, data, training)
    (warning, *_) = training.outcome["warnings"]
    assert warning.startswith("no probes of depths ") and "are within 1e-12 nats; those within 1e+03 are used" in warning
    assert f"{warning}." in caplog.text


def test_a_margin_by_flips_is_read_from_the_model(flow, data, kind) -> None:
    sizes = []
    for share in (0.05, 1):
        training = InMemorySession()
        METHODS[kind](**{**QUICK, "steps": 1, "margin": f"flips:{share}", "fallback": 1e9}).fit(flow, data, training)
        sizes.append(training.outcome["margin"])
    assert 0 < sizes[0] <= sizes[1] < 0.7
    assert training.curve[-1]["restarts"] == 0


@pytest.mark.parametrize("setting", ["flips:.05", "flips:0.5", "flips:1"])
def test_margins_by_flips_are_settings(setting) -> None:
    assert METHODS["input"](margin=setting).margin == setting


def test_probes_that_change_too_many_predictions_are_used_with_a_warning(flow, data, kind, monkeypatch) -> None:
    """Where no check keeps enough of them, those within the margin come before those beyond it."""
    masked = GateTraining.masked

    def unlike(*given):
        trial = masked(*given)
        return trial._replace(agreement=0 * trial.agreement)

    monkeypatch.setattr(GateTraining, "masked", unlike)
    training = InMemorySession()
    METHODS[kind](**QUICK).fit(flow, data, training)
    assert training.outcome["warnings"][0] == "the probes used at depths 0, 1, 2, 3 keep fewer than 75% of the predictions"
