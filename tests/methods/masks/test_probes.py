"""The probes of DiffMask: shapes and start of their parameters, and log alpha by hand."""

import math

import pytest
import torch

from flowgauge.methods.masks.probes import BOUND, OPEN, Probes

LIKE = torch.zeros((), dtype=torch.float64)


def test_parameters_have_the_shapes_that_are_promised_and_follow_from_the_seed() -> None:
    probes = Probes()
    first, second = (probes.start([3, 5], 4, torch.Generator().manual_seed(7), LIKE) for _ in range(2))
    assert {name: tuple(tensor.shape) for name, tensor in first.items()} == probes.shapes([3, 5], 4)
    assert all(torch.equal(first[name], second[name]) and first[name].dtype == torch.float64 for name in first)
    assert first["probe.1.open"] == OPEN
    torch.testing.assert_close(first["probe.1.inner.size"][:, 0], first["probe.1.inner"].norm(dim=1))


@pytest.mark.parametrize("kind", ["plain", "bounded"])
def test_log_alpha_is_the_formula_with_normalised_weights(kind) -> None:
    parameters = {
        "probe.0.inner": torch.tensor([[3.0, 4.0]]),
        "probe.0.inner.size": torch.tensor([[10.0]]),
        "probe.0.bias": torch.tensor([-5.0]),
        "probe.0.outer": torch.tensor([[-2.0]]),
        "probe.0.outer.size": torch.tensor([[0.5]]),
        "probe.0.open": torch.tensor(1.0),
    }
    (value,) = Probes(kind).log_alpha(parameters, 0, torch.tensor([[[0.5, 0.25]]]))[0].tolist()
    outer = -0.5 * math.tanh(10 * (0.6 * 0.5 + 0.8 * 0.25) - 5)  # = 0: the bias cancels the weights
    assert outer == 0 and value == 1.0
    (value,) = Probes(kind).log_alpha(parameters, 0, torch.tensor([[[1.0, 0.25]]]))[0].tolist()
    outer = -0.5 * math.tanh(3)
    assert value == pytest.approx(1 + (outer if kind == "plain" else BOUND * math.tanh(outer)), abs=1e-5)
