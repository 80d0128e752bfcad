"""The noise of a linear model rises to its exact optimum."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.methods.masks.conftest import Linear

from flowgauge.methods.noise.information_mask import InformationMask


def test_noise_rises_to_the_exact_optimum_of_a_linear_model(four) -> None:
    """sum_i sigma_i^2 w_i^2 - gamma sum_i ln sigma_i is least at sigma_i = sqrt(gamma / 2) / |w_i|."""
    method = InformationMask(divide=False, gamma=0.5, optimiser="adam", lr=0.02, steps=1500, start=-2.0)
    method = method.trained({"variance": torch.tensor([1.0])})
    for found in method.explain(Linear(), four):
        assert found.tokens[:2] == pytest.approx(np.array([4.0, 1.0]) / 0.5, rel=0.25)
        assert found.tokens[2] < 0.1  # nothing reads it: the noise rises as long as there are steps
        assert found.tokens[3] == 0  # may not be masked
        assert found.nodes[0][:2] == pytest.approx(np.array([8.0, 2.0]), rel=0.25)
    quartered = replace(method, divide=True).trained({"variance": torch.tensor([4.0])}).explain(Linear(), four)
    assert quartered[0].tokens[:2] == pytest.approx(np.array([4.0, 1.0]), rel=0.25)
    negative = replace(method, score="negative").trained(method.weights).explain(Linear(), four)[0].tokens
    assert negative[3] == negative[2] < negative[1] < negative[0] < 0
