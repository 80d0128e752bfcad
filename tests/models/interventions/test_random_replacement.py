"""Which states are replaced at random, and what is left of a model then."""

from __future__ import annotations

import pytest
import torch

from flowgauge.models.batch import Rows
from flowgauge.models.interventions.random_replacement import RandomReplacement, last_states, zero_unkept


def test_a_share_of_the_texts_loses_a_rate_of_its_states() -> None:
    real = torch.ones(4000, 10, dtype=torch.bool)
    kept = RandomReplacement(0.5, 0.6).kept(real, 5, torch.Generator().manual_seed(0))
    assert kept.shape == (4000, 5, 10) and set(kept.unique().tolist()) == {0.0, 1.0}
    whole = kept.flatten(1).min(1).values == 1
    # half of the texts are whole by choice, others by chance: 1/2 + 1/2 E[(1 - r)^50] with r uniform in [0, .6]
    assert whole.double().mean().item() == pytest.approx(0.5 + 0.5 * (1 - 0.4**51) / (51 * 0.6), abs=0.03)
    assert 1 - kept.mean().item() == pytest.approx(0.5 * 0.3, abs=0.01)
    per_text = 1 - kept[~whole].flatten(1).mean(1)
    assert per_text.std() > 0.12  # the rate is drawn for each text: one rate for all would give .06


def test_the_draw_follows_the_generator_and_the_ends_of_the_range_are_exact() -> None:
    real = torch.ones(3, 4, dtype=torch.bool)
    draw = [RandomReplacement().kept(real, 2, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(draw[0], draw[1]) and not torch.equal(draw[0], draw[2])
    assert bool((RandomReplacement(0.0).kept(real, 2, torch.Generator()) == 1).all())
    assert bool((RandomReplacement(1.0, 0.0).kept(real, 2, torch.Generator()) == 1).all())


@pytest.mark.parametrize("wrong", [{"share": -0.1}, {"rate": 1.1}])
def test_a_number_that_is_no_share_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} of the replaced states must lie in 0 to 1"):
        RandomReplacement(**wrong)


def test_last_states_are_those_of_a_run_with_zeros_and_have_gradients(tiny_flow) -> None:
    from flowgauge.models.inputs.encode import encode
    from flowgauge.tasks.agreement import AgreementTask

    batch = encode(tiny_flow, AgreementTask("sva/obj").instances("test", 2, 0))
    kept = torch.ones(2, tiny_flow.n_layers, batch.ids.shape[1])
    clean = last_states(tiny_flow, batch, kept)
    assert torch.equal(tiny_flow.readout(clean, batch)[0], tiny_flow.outputs(batch)[0])
    kept[0, 1, 3] = 0
    found = last_states(tiny_flow, batch, kept)

    def by_hand(layer: int, value: torch.Tensor) -> torch.Tensor:
        value = value.clone()
        if layer == 1:
            value[0, 3] = 0
        return value

    (trace,) = tiny_flow.run(Rows(batch, tiny_flow.embed(tiny_flow.words(batch), batch), 0, {"hidden": by_hand}))
    assert torch.equal(found, trace.site("hidden", tiny_flow.n_layers))
    assert torch.equal(found[1], clean[1]) and not torch.equal(found[0], clean[0])
    states = torch.ones(2, 3, 4, requires_grad=True)
    zero_unkept(torch.tensor([[[1.0, 0.0, 1.0]], [[1.0, 1.0, 1.0]]]))(0, states).sum().backward()
    assert states.grad is not None and states.grad[:, :, 0].tolist() == [[1, 0, 1], [1, 1, 1]]
    assert torch.equal(zero_unkept(kept)(tiny_flow.n_layers, clean), clean)
