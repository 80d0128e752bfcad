"""The pass with a stream for each reader is the model's own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from flowgauge.core.errors import NotApplicable
from flowgauge.models.batch import Rows
from flowgauge.models.circuits.passes import counterpart_of, graph_of, repeated, run_plain


def test_the_residual_is_that_of_the_model(any_model, paired) -> None:
    batch = paired(any_model)
    start = any_model.embed(any_model.words(batch), batch)
    (trace,) = any_model.run(Rows(batch, start), keep={"hidden", "context"})
    written, stream = run_plain(any_model, batch, start)
    for depth, residual in enumerate(stream.residual):
        torch.testing.assert_close(residual, trace.site("hidden", depth), rtol=1e-9, atol=1e-9)
    for layer, block in enumerate(any_model.layers):
        bias = block.attention.output.bias
        total = written.heads[layer].sum(-2) + (0 if bias is None else bias)
        torch.testing.assert_close(total, block.attention.attended(trace.site("context", layer)), rtol=1e-9, atol=1e-9)


def test_the_graph_knows_parallel_blocks(models) -> None:
    assert graph_of(models("gpt2")).parallel == (False, False, False)
    assert graph_of(models("gpt2"))[:2] == (3, 4)


def test_counterparts_take_the_place_of_the_texts_and_back(any_model, paired) -> None:
    batch = paired(any_model)
    other = counterpart_of(batch)
    assert torch.equal(other.ids, batch.counterpart) and torch.equal(counterpart_of(other).ids, batch.ids)
    assert torch.equal(other.answer, batch.answer)


def test_what_has_no_counterpart_is_not_applicable_with_the_first_name(models, batches) -> None:
    batch = batches(models(), [4, 3])
    with pytest.raises(NotApplicable, match="no text here has a counterpart"):
        counterpart_of(batch)
    ids = batch.ids.clone()
    ids[1] = -1
    with pytest.raises(NotApplicable, match=r"1 of 2 instances .* the first is 'i1'"):
        counterpart_of(replace(batch, counterpart=ids))


def test_instances_are_repeated_side_by_side(models, batches) -> None:
    rows, row = repeated(batches(models(), [4, 3]), 2)
    assert rows.names == ("i0", "i0", "i1", "i1") and row.tolist() == [0, 0, 1, 1]
