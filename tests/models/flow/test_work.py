"""The count of rows that run through layers: of every group, from the layer at which it enters."""

from __future__ import annotations

from flowgauge.models.batch import Rows
from flowgauge.models.flow.work import Work, counting, total


def test_a_row_counts_once_a_layer_that_it_passes(model, batch) -> None:
    states = model.embed(model.words(batch), batch)
    with counting() as both:
        with counting() as first:
            model.run(Rows(batch, states))
        with counting() as second:
            model.run(Rows(batch, states), Rows(batch, states, layer=1))
    assert first.rows == model.n_layers * len(batch)
    assert second.rows == (2 * model.n_layers - 1) * len(batch)
    assert both.rows == first.rows + second.rows


def test_nothing_is_counted_after_an_error_inside() -> None:
    try:
        with counting() as stopped:
            raise ValueError
    except ValueError:
        pass
    with counting():
        pass
    assert stopped.rows == 0 and total([]) == Work()
