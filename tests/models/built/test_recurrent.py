"""The recurrent model: against a GRU written out, and what must not matter to it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from flowgauge.core.errors import NotApplicable
from flowgauge.models.batch import Batch, Rows
from flowgauge.models.built.recurrent import Recurrent
from flowgauge.models.built.recurrent_training import rows_of
from flowgauge.models.built.toy_counting import ToyCounting
from flowgauge.models.inputs.encode import encode
from flowgauge.models.interventions.states import clean_states, outputs_from
from flowgauge.tasks.toy_counting import CountingTask


@pytest.fixture
def model() -> Recurrent:
    return ToyCounting()._untrained().to(torch.device("cpu"), torch.float64)


@pytest.fixture
def batch(model: Recurrent) -> Batch:
    return encode(model, CountingTask().instances("test", 12, 0))


def test_outputs_are_those_of_the_recurrence_written_out(model: Recurrent, batch: Batch) -> None:
    network = model.network
    cell = nn.GRUCell(2, 64).double()
    cell.load_state_dict({name.removesuffix("_l0"): weight for name, weight in network.gru.state_dict().items()})
    for row, name in enumerate(batch.names):
        query, digits = (batch.ids[row][batch.attention_mask[row] & (batch.token_type_ids[row] == part)] for part in (0, 1))
        state = torch.zeros(1, 64, dtype=torch.float64)
        for digit in digits:
            read = torch.cat([*(network.table.weight[11 + q] for q in query), network.table.weight[digit]])
            state = cell(network.encoder(read)[None], state)
        z = network.linear(state)[0, 0]
        found = model.outputs(batch)[0][row]
        assert found[0] == 0, name
        assert found[1].item() == pytest.approx(z.item(), abs=1e-12)


def test_padding_and_positions_that_are_not_read_change_nothing(model: Recurrent, batch: Batch) -> None:
    clean = model.outputs(batch)[0]
    hidden = clean_states(model, batch)[1]
    read = model.maskable(batch)
    assert (read == (batch.attention_mask & (batch.token_type_ids == 1))).all() and (hidden[~read] == 0).all()
    (other,) = outputs_from(model, batch, 1, torch.where(read[..., None], hidden, 7.0))
    torch.testing.assert_close(other, clean, rtol=0, atol=1e-12)
    ids = torch.where(batch.attention_mask, batch.ids, 3)
    torch.testing.assert_close(model.outputs(replace(batch, ids=ids, cache={}))[0], clean, rtol=0, atol=1e-12)
    for row in range(len(batch)):
        (alone,) = model.outputs(rows_of(batch, torch.tensor([row])))
        torch.testing.assert_close(alone[0], clean[row], rtol=0, atol=1e-12)


def test_hidden_states_can_be_edited_and_have_gradients(model: Recurrent, batch: Batch) -> None:
    hidden = clean_states(model, batch)[1].requires_grad_(True)
    edited, plain = model.run(Rows(batch, hidden, edits={"hidden": lambda layer, value: 2 * value}), Rows(batch, hidden))
    assert (edited.site("hidden", 0) == 2 * plain.site("hidden", 0)).all()
    (grad,) = torch.autograd.grad(model.readout(edited.site("hidden", 0), batch)[0][:, 1].sum(), hidden)
    read = model.maskable(batch)
    assert (grad[~read] == 0).all() and (grad[read].abs().sum(-1) > 0).all()


def test_without_anything_to_read_the_answer_is_that_of_the_first_state(model: Recurrent, batch: Batch) -> None:
    query = batch.only(batch.token_type_ids == 0)
    (found,) = model.outputs(query)
    torch.testing.assert_close(found[:, 1], model.network.linear.bias.expand(len(batch)))


def test_what_a_recurrent_model_lacks_is_refused(model: Recurrent, batch: Batch) -> None:
    hidden = clean_states(model, batch)[1]
    with pytest.raises(NotApplicable, match=r"recurrent and has hidden\[0\] alone, no attention"):
        model.run(Rows(batch, hidden), keep={"attention"})
    with pytest.raises(NotApplicable, match="no context"):
        model.run(Rows(batch, hidden, edits={"context": lambda layer, value: value}))
    with pytest.raises(ValueError, match=r"enter a recurrent model at hidden\[0\], got hidden\[1\]"):
        model.run(Rows(batch, hidden, 1))
    with pytest.raises(ValueError, match=r"the edit of hidden\[0\] returned shape"):
        model.run(Rows(batch, hidden, edits={"hidden": lambda layer, value: value[:, :1]}))


def test_the_fingerprint_is_that_of_the_weights(model: Recurrent) -> None:
    before = model.fingerprint()
    assert before == ToyCounting()._untrained().to(torch.device("cpu"), torch.float64).fingerprint()
    model.network.linear.bias.data.add_(1e-9)
    assert model.fingerprint() != before


def test_words_of_a_recurrent_model_can_be_deleted_at_any_place(model: Recurrent, batch: Batch) -> None:
    """Its answers are classes; only those of a span head are positions that must stay."""
    assert batch.required_positions.shape == (len(batch), 0)
    keep = batch.attention_mask.clone()
    keep[:, 2] = False
    shorter = batch.only(keep)
    assert shorter.answer.equal(batch.answer) and shorter.against.equal(batch.against)
    assert shorter.lengths == [n - 1 for n in batch.lengths]
    assert model.outputs(shorter)[0].shape == (len(batch), 2)
