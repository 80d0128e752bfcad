"""One explanation of a random model: its model, its text, and what is sent about it."""

from __future__ import annotations

import mmap
import multiprocessing

import pytest
import torch

from flowgauge.benchmark.speed import one_explanation as one
from flowgauge.benchmark.speed.one_explanation import OneExplanation, Shape


@pytest.mark.parametrize(("family", "target"), [("bert", 3), ("gpt2", 6)])
def test_the_model_has_the_shape_and_the_text_has_its_question(family, target):
    model = one.shaped_model(Shape(family, 2, 2, 16, 48), 600)
    assert (model.n_layers, model.n_heads, model.width, model.inner_width) == (2, 2, 16, 48)
    assert model.max_tokens >= 600
    batch = one.random_text(model, 7)
    assert batch.lengths == [7] and batch.target.tolist() == [target]
    assert torch.isfinite(model.outputs(batch)[0]).all()


def sent(job: OneExplanation) -> list[one.Taken]:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    one.explain_once(job, sender)
    return [receiver.recv(), receiver.recv()]


def test_it_says_first_what_the_model_takes_and_then_what_the_method_does():
    first, last = sent(OneExplanation(Shape("bert", 1, 2, 16, 32), 6, "ib-attribution", {"steps": 2}))
    assert first.seconds is None and last.seconds > 0 and last.loaded == first.loaded and last.refused == ""


def test_what_a_method_refuses_is_said():
    _, last = sent(OneExplanation(Shape("bert", 1, 2, 16, 32), 30, "exact-erasure"))
    assert last.refused.startswith("exact-erasure searches over 27 positions")


@pytest.mark.skipif(one.peak() == 0, reason="the system does not count the peak of a process")
def test_the_peak_is_counted_from_when_it_is_forgotten():
    one.forget_peak()
    before = one.peak()
    # Memory of its own from the system: a tensor may get pieces of the heap that are counted already.
    with mmap.mmap(-1, 2**26, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as pages:
        for start in range(0, len(pages), mmap.PAGESIZE):
            pages[start] = 1
    assert 2**25 < one.peak() - before < 2**27
    one.forget_peak()
    assert one.peak() - before < 2**25
