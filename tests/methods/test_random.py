"""The control depends on the seed of the instance alone."""

from __future__ import annotations

from flowgauge.methods.random import Random


def test_random_depends_on_the_seed_of_the_instance_alone(model, batch, single):
    together = Random(draws=3).explain(model, batch)
    (own,) = Random(draws=3).explain(model, single(batch, 1))
    assert len(own.draws) == 3
    assert (own.draws[2].nodes == together[1].draws[2].nodes).all()
    assert not (together[0].draws[0].nodes[:, :4] == together[2].draws[0].nodes).all()
