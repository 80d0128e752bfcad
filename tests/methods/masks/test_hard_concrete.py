"""Hard concrete gates against their closed forms, multipliers, and the optimiser of gates."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from flowgauge.methods.masks.hard_concrete import HardConcrete

DRAWS = 400_000


STRETCHES = [(0.2, -0.2, 1.0), (0.2, -0.1, 1.1), (2 / 3, -0.1, 1.1), (1.0, -0.5, 1.0)]


LOCATIONS = (-5.0, -1.0, 0.0, 2.5, 5.0)


def gates(location: float | torch.Tensor, settings: tuple[float, float, float] = STRETCHES[0]) -> HardConcrete:
    return HardConcrete(torch.as_tensor(location, dtype=torch.float64), *settings)


def stratified(size: int = DRAWS) -> torch.Tensor:
    """One uniform number in the middle of each of `size` equal strata: sample means are off by about 1 / size."""
    return (torch.arange(size, dtype=torch.float64) + 0.5) / size


@pytest.mark.parametrize("settings", STRETCHES)
@pytest.mark.parametrize("location", LOCATIONS)
def test_samples_have_the_closed_forms(settings: tuple[float, float, float], location: float) -> None:
    gate = gates(location, settings)
    z = gate.sample(stratified())
    close = 3 / DRAWS
    assert abs((z == 0).double().mean() - gate.zero()) < close
    if settings[2] > 1:  # else only what rounding brings there
        assert abs((z == 1).double().mean() - gate.one()) < close
    assert abs((z != 0).double().mean() - gate.kept()) < close
    assert abs(z.mean() - gate.mean()) < close
    for at in (0.0, 0.25, 0.5, 0.9):
        assert abs((z <= at).double().mean() - gate.cdf(at)) < close


def test_the_numbers_of_the_paper_s_settings() -> None:
    gate = gates(torch.tensor([-5.0, 0.0, 5.0]))
    np.testing.assert_allclose(gate.kept(), [0.0092, 0.580, 0.9951], atol=5e-4)
    np.testing.assert_allclose(gates(torch.tensor([0.0, 2.5, 5.0])).mean(), [0.474, 0.9135, 0.992], atol=5e-4)
    assert gate.log_kept()[1].item() == pytest.approx(-math.log1p(math.exp(-0.2 * math.log(5))))


@pytest.mark.parametrize(("settings", "atom"), [(STRETCHES[0], False), (STRETCHES[1], True)])
def test_only_a_stretch_beyond_one_has_an_atom_there(settings: tuple[float, float, float], atom: bool) -> None:
    gate = gates(-3.0, settings)
    assert (gate.one() > 0).item() == atom
    assert (gate.sample(stratified(1000)) == 1).any().item() == atom


def test_log_probability_of_a_shut_gate_is_exact() -> None:
    gate = HardConcrete(torch.tensor(-200.0))
    assert gate.kept() == 0
    assert gate.log_kept().item() == pytest.approx(-200 + 0.2 * math.log(5), abs=1e-4)


@pytest.mark.parametrize("settings", STRETCHES)
@pytest.mark.parametrize("name", ["log_kept", "kept", "zero", "one", "mean"])
def test_gradients_of_closed_forms(settings: tuple[float, float, float], name: str) -> None:
    location = torch.tensor(LOCATIONS, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda at: getattr(HardConcrete(at, *settings), name)(), (location,))


@pytest.mark.parametrize("settings", STRETCHES)
def test_reparameterised_gradient_of_a_smooth_function(settings: tuple[float, float, float]) -> None:
    """d/da E[f(z)] by samples is the finite difference of E[f(z)] over the same strata; f(0) and f(1) are no special points."""
    uniform, step = stratified(), 1e-4
    for at in (-1.0, 0.5, 2.0):
        location = torch.tensor(at, dtype=torch.float64, requires_grad=True)
        (found,) = torch.autograd.grad(HardConcrete(location, *settings).sample(uniform).sin().mean(), location)
        up, down = (gates(at + s, settings).sample(uniform).sin().mean() for s in (step, -step))
        assert found.item() == pytest.approx((up - down).item() / (2 * step), rel=2e-3, abs=2e-5)


def test_gradient_of_the_sampled_mean_is_that_of_the_closed_form() -> None:
    for at in LOCATIONS:
        location = torch.tensor(at, dtype=torch.float64, requires_grad=True)
        (sampled,) = torch.autograd.grad(HardConcrete(location).sample(stratified()).mean(), location)
        (exact,) = torch.autograd.grad(HardConcrete(location).mean(), location)
        assert sampled.item() == pytest.approx(exact.item(), abs=1e-4)


@pytest.mark.parametrize("bad", [{"temperature": 0.0}, {"low": 0.0}, {"high": 0.9}])
def test_gates_that_cannot_be(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="temperature > 0, low < 0 and high >= 1"):
        HardConcrete(torch.zeros(1), **bad)
