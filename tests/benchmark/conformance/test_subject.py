"""What plug-ins are checked on, and comparisons of explanations and batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flowgauge.benchmark.conformance.finding import BrokenPromise
from flowgauge.benchmark.conformance.subject import digest, flat, padded, require_equal, require_unchanged, subject, tensors
from flowgauge.methods.explanation import Explanation


def test_the_sentences_differ_in_length(tiny_flow) -> None:
    sample = subject(tiny_flow)
    lengths = sample.batch().lengths
    assert len(sample.instances) == 6 and len(set(lengths)) > 1
    assert sample.tolerance == torch.finfo(tiny_flow.dtype).eps ** 0.5


def test_what_a_plug_in_changed_is_named(model) -> None:
    sample = subject(model)
    sample.require_unchanged([])
    with pytest.raises(BrokenPromise, match=r"^torch's default dtype changed: "):
        sample.require_unchanged(["torch's default dtype"])
    model.hf.train()
    with pytest.raises(BrokenPromise, match=r"^the model's training mode and a global random state changed: "):
        sample.require_unchanged(["a global random state"])


def test_padding_changes_no_token(tiny_flow) -> None:
    batch = subject(tiny_flow).batch()
    wider = padded(batch, 3, 7)
    n = batch.ids.shape[1]
    assert wider.ids.shape == (6, n + 3) and (wider.ids[:, n:] == 7).all() and not wider.attention_mask[:, n:].any()
    assert (wider.ids[:, :n] == batch.ids).all() and wider.lengths == batch.lengths
    assert (wider.word_ids[:, n:] == -1).all()


def test_equal_is_up_to_a_share_of_the_largest_value() -> None:
    first, second = Explanation(tokens=np.array([100.0, 1.0])), Explanation(tokens=np.array([100.0, 1.5]))
    require_equal([first], [second], ["a"], 0.01)
    with pytest.raises(BrokenPromise, match=r"instance 'a': tokens differs by 0.5, allowed 0.1"):
        require_equal([first], [second], ["a"], 0.001)
    with pytest.raises(BrokenPromise, match="has shape"):
        require_equal([first], [Explanation(tokens=np.ones(3))], ["a"], 1.0)
    with pytest.raises(BrokenPromise, match="has the views"):
        require_equal([first], [Explanation(nodes=np.ones((2, 2)))], ["a"], 1.0)


def test_draws_are_a_part_of_the_digest() -> None:
    draws = Explanation(draws=(Explanation(tokens=np.ones(2)), Explanation(tokens=np.zeros(2))))
    assert "1/tokens" in flat(draws) or "2/tokens" in flat(draws)
    assert digest([draws]) == digest([draws])
    assert digest([draws]) != digest([Explanation(draws=draws.draws[::-1])])


def test_a_tensor_that_was_changed_in_place_is_named(tiny_flow) -> None:
    batch = subject(tiny_flow).batch()
    before = tensors(batch)
    require_unchanged(before, batch)
    batch.ids[0, 0] += 1
    with pytest.raises(BrokenPromise, match="the batch's ids were changed"):
        require_unchanged(before, batch)
