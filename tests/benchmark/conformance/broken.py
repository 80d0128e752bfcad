"""Plug-ins that keep every promise but one; a user's own file, as `flowgauge check` reads it."""

from __future__ import annotations

import itertools

import numpy as np
import torch

from flowgauge.core.errors import UsageError
from flowgauge.methods.base import explanations, method
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.base import Scores, frame, score_row
from flowgauge.metrics.registry import metric
from flowgauge.tasks.declare import task
from flowgauge.tasks.instance import Instance

CALLS = itertools.count()


def scores(batch):
    """Something that depends on the instance alone."""
    return batch.ids * 0.5 + batch.answer


@method("sound", gives={"tokens"})
def sound(model, batch, scale: float = 1.0):
    """Keeps every promise."""
    return explanations(batch, tokens=scores(batch) * scale)


@method("too-few", gives={"tokens"})
def too_few(model, batch):
    """One explanation short."""
    return explanations(batch, tokens=scores(batch))[1:]


@method("other-views", gives={"tokens", "nodes"})
def other_views(model, batch):
    """Declares a view that it does not give."""
    return explanations(batch, tokens=scores(batch))


@method("too-long", gives={"tokens"})
def too_long(model, batch):
    """Keeps the padding."""
    return [Explanation(tokens=row.double().numpy()) for row in scores(batch)]


@method("forgetful", gives={"tokens"})
def forgetful(model, batch):
    """Another answer at every call."""
    return explanations(batch, tokens=scores(batch) + next(CALLS))


@method("by-batch", gives={"tokens"})
def by_batch(model, batch):
    """Centred over the batch."""
    return explanations(batch, tokens=scores(batch) - scores(batch)[:, 1].mean())


@method("by-place", gives={"tokens"})
def by_place(model, batch):
    """Depends on the place in the batch."""
    return explanations(batch, tokens=scores(batch) + torch.arange(len(batch))[:, None])


@method("by-padding", gives={"tokens"})
def by_padding(model, batch):
    """A mean that counts the padding."""
    return explanations(batch, tokens=scores(batch) / batch.ids.shape[1])


@method("cached", gives={"tokens"})
def cached(model, batch):
    """Spoils what it keeps on the batch."""
    kept = batch.cache.setdefault("spoiled", scores(batch))
    found = explanations(batch, tokens=kept.clone())
    kept += 1
    return found


@method("overwrites", gives={"tokens"})
def overwrites(model, batch):
    """Changes the batch in place."""
    found = explanations(batch, tokens=scores(batch))
    batch.token_type_ids.add_(1)
    return found


@method("meddles", gives={"tokens"})
def meddles(model, batch):
    """Changes a weight."""
    with torch.no_grad():
        model.word_embedding.weight[0, 0] += 1
    return explanations(batch, tokens=scores(batch))


@method("reseeds", gives={"tokens"})
def reseeds(model, batch):
    """Seeds the global generator."""
    torch.manual_seed(next(CALLS))
    return explanations(batch, tokens=scores(batch))


@method("hooked", gives={"tokens"})
def hooked(model, batch):
    """Leaves a hook on the model."""
    model.hf.register_forward_hook(lambda *_: None)
    return explanations(batch, tokens=scores(batch))


@method("double", gives={"tokens"})
def double(model, batch):
    """Leaves another default dtype."""
    torch.set_default_dtype(torch.float16)
    return explanations(batch, tokens=scores(batch))


@method("secretly-drawn", gives={"tokens"})
def secretly_drawn(model, batch):
    """Draws without saying so."""
    noise = [torch.rand(batch.ids.shape[1], generator=g)[:1].expand(batch.ids.shape[1]) for g in batch.generators()]
    return explanations(batch, tokens=scores(batch) + torch.stack(noise))


@method("not-drawn", gives={"tokens"}, stochastic=True)
def not_drawn(model, batch):
    """Says it draws, and does not."""
    return explanations(batch, tokens=scores(batch))


class _Tokens:
    def explain(self, model, batch):
        return explanations(batch, tokens=scores(batch))


@method("rounds", gives={"tokens"})
class Rounds(_Tokens):
    """Stores another setting than it was given."""

    def __init__(self, power: float = 1.5) -> None:
        self.power = int(power)


@method("computes", gives={"tokens"})
class Computes(_Tokens):
    """Computes in its constructor."""

    def __init__(self, power: int = 2) -> None:
        self.power, self.table = power, np.arange(power)


@method("silent", gives={"tokens"})
class Silent(_Tokens):
    def __init__(self) -> None: ...


@method("unlucky", gives={"tokens"})
def unlucky(model, batch):
    """Fails."""
    raise RuntimeError("out of luck")


def measure(name, **marks):
    """A declaration with usual marks."""
    usual = {"reads": "tokens", "higher_is_better": True, "unit": "units of q", "source": "tests"}
    return metric(name, **{**usual, **marks})


def totals(explained, offset=0.0):
    """One row an instance: the sum of its tokens."""
    pairs = [(i, e) for part in explained for i, e in zip(part.instances, part.gold, strict=True)]
    for instance, explanation in pairs:
        for draw, one in enumerate(explanation.each()):
            tokens = one.tokens if one.tokens is not None else np.zeros(1)
            yield score_row(instance, "total", float(tokens.sum()) + offset, draw)


@measure("sound")
def sound_metric(model, explained, reference):
    """Keeps every promise."""
    return Scores(frame(list(totals(explained))))


@measure("unbounded", bounds=(0.0, 0.001))
def unbounded(model, explained, reference):
    """Leaves its bounds."""
    return Scores(frame(list(totals(explained))))


@measure("half")
def half(model, explained, reference):
    """Leaves an instance out."""
    return Scores(frame(list(totals(explained))[1:]))


@measure("in-order")
def in_order(model, explained, reference):
    """Depends on the order."""
    rows = list(totals(explained))
    return Scores(frame([{**row, "value": row["value"] + number} for number, row in enumerate(rows)]))


@measure("by-shown-batch")
def by_shown_batch(model, explained, reference):
    """Depends on the batches."""
    return Scores(frame(list(totals(explained, len(explained)))))


@measure("drifting")
def drifting(model, explained, reference):
    """Another score at every call."""
    return Scores(frame(list(totals(explained, next(CALLS)))))


@measure("scribbles")
def scribbles(model, explained, reference):
    """Writes into the explanations."""
    rows = list(totals(explained))
    for part in explained:
        for explanation in part.gold:
            if explanation.tokens is not None:
                explanation.tokens[:] = 0
    return Scores(frame(rows))


@measure("unranked", ranked="mean")
def unranked(model, explained, reference):
    """Ranks a variant that it does not give."""
    return Scores(frame(list(totals(explained))))


@measure("untyped")
def untyped(model, explained, reference):
    """Numbers as texts."""
    return Scores(frame(list(totals(explained))).astype({"draw": "string"}))


def sentence(number, text="the author [MASK] ."):
    """An instance in one of two conditions."""
    return Instance(f"i{number}", (text,), ("is",), ("are",), condition="S" if number % 2 else "P")


@task("sound")
def sound_task(seed):
    """Keeps every promise."""
    return [sentence(n) for n in range(30)]


@task("gapless")
def gapless(seed):
    """No gap."""
    return [sentence(n, "the author is .") for n in range(30)]


@task("restless")
def restless(seed):
    """Other instances at every call."""
    return [sentence(n, f"the author {next(CALLS)} [MASK] .") for n in range(30)]


@task("undecided")
def undecided(seed):
    """Some instances name what stands against the answer."""
    return [Instance(f"i{n}", ("a [MASK]",), ("is",), ("are",) if n else ()) for n in range(30)]


class _Sentences:
    def instances(self, split="test", limit=None, seed=0):
        if split != "test":
            raise UsageError(f"no split {split!r}")
        return tuple(sentence(n) for n in range(30))[:limit]


@task("lopsided")
class Lopsided(_Sentences):
    """Takes one condition first."""

    def instances(self, split="test", limit=None, seed=0):
        every = super().instances(split)
        return tuple(sorted(every, key=lambda i: i.condition))[:limit]


@task("seedless")
class Seedless(_Sentences):
    """The same sample for every seed."""


@task("unlimited")
class Unlimited(_Sentences):
    """Forgets the limit."""

    def instances(self, split="test", limit=None, seed=0):
        return super().instances(split)


@task("renumbered")
class Renumbered(_Sentences):
    """Numbers the instances of each sample anew."""

    def instances(self, split="test", limit=None, seed=0):
        super().instances(split)
        order = np.random.default_rng(seed).permutation(30)[:limit] if limit else range(30)
        return tuple(Instance(f"i{n}", (f"author {k} [MASK]",), ("is",), ("are",)) for n, k in enumerate(order))


@task("twins")
class Twins(_Sentences):
    """One id for two instances."""

    def instances(self, split="test", limit=None, seed=0):
        return (*super().instances(split, None), sentence(0))[:limit]


@task("listed")
class Listed(_Sentences):
    """A list, which can be changed."""

    def instances(self, split="test", limit=None, seed=0):
        return list(super().instances(split, limit, seed))


@task("agreeable")
class Agreeable(_Sentences):
    """Any split will do."""

    def instances(self, split="test", limit=None, seed=0):
        return super().instances("test", limit, seed)
