"""Cheap methods and metrics that tests run as a user's own file; the faulty ones show what a run does with them."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass

import numpy as np
import torch

from flowgauge.core.errors import FlowgaugeError, NoSplit, NotApplicable
from flowgauge.methods.base import Amortised, explanations, method
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.base import Scores, frame, score_row
from flowgauge.models.built.builder import model
from flowgauge.models.flow.work import Work
from flowgauge.models.load import load_model
from flowgauge.models.outputs import value
from flowgauge.tasks.declare import task
from flowgauge.tasks.registry import load_task


@method("by-position", gives={"tokens"})
def by_position(model, batch, scale: float = 1.0):
    """q times the position, so that gold and guided differ."""
    with torch.no_grad():
        q = value(model.outputs(batch), batch)
    return explanations(batch, tokens=scale * q[:, None] * torch.arange(batch.ids.shape[1]))


@method("drawn", gives={"tokens"}, stochastic=True)
def drawn(model, batch):
    """Random numbers from each instance's seed."""
    rows = [torch.rand(batch.ids.shape[1], generator=g) for g in batch.generators()]
    return explanations(batch, tokens=torch.stack(rows))


@method("counted", gives={"tokens"})
def counted(model, batch, log: str = "", pause: float = 0.0, dies: str = ""):
    """Its positions, after a pause; notes whom it explains, and with `dies` ends its process once, by that file."""
    with open(log, "a") as lines:
        lines.write("".join(f"{os.getpid()} {name}\n" for name in batch.names))
    if dies and not os.path.exists(dies):
        open(dies, "x").close()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(pause)
    return explanations(batch, tokens=torch.arange(batch.ids.shape[1]).expand(batch.ids.shape).double())


@method("by-head", gives={"heads"})
def by_head(model, batch, power: float = 1.0):
    """Heads by their number, noisily, from the words' ids."""
    heads = torch.arange(float(model.n_layers * model.n_heads)).reshape(model.n_layers, model.n_heads) ** power
    noise = torch.sin(batch.ids.sum(1).double()[:, None, None] * (1 + heads))
    return explanations(batch, heads=heads + 3 * noise)


@method("shared", gives={"tokens"})
def shared(model, batch):
    """Work that a second method of the same cell group finds on the batch."""
    if "work" in batch.cache:
        batch.cache["charges"].append(Work(100.0, 6))
    batch.cache["work"] = True
    return explanations(batch, tokens=torch.ones(batch.ids.shape))


@method("shared-too", gives={"tokens"})
def shared_too(model, batch):
    """The second one."""
    return shared().explain(model, batch)


@method("not-a-number", gives={"tokens"})
def not_a_number(model, batch):
    """NaN in the first instance."""
    scores = torch.ones(batch.ids.shape)
    scores[0, 1] = torch.nan
    return explanations(batch, tokens=scores)


@method("too-few", gives={"tokens"})
def too_few(model, batch):
    """One explanation short."""
    return explanations(batch, tokens=torch.ones(batch.ids.shape))[1:]


@method("too-long", gives={"tokens"})
def too_long(model, batch):
    """One token too many."""
    return [Explanation(tokens=np.ones(n + 1)) for n in batch.lengths]


@method("not-a-list", gives={"tokens"})
class NotAList:
    """A tensor instead of explanations."""

    def explain(self, model, batch):
        return torch.ones(batch.ids.shape)


@method("unlucky", gives={"tokens"})
def unlucky(model, batch):
    """Fails, with an error of two lines."""
    raise RuntimeError("out of luck\non two lines")


@method("leaves", gives={"tokens"})
def leaves(model, batch):
    """Leaves Python."""
    raise SystemExit(0)


def negate(model):
    """The signs of all weights."""
    for weight in model.hf.parameters():
        weight.data.neg_()


VANDALISM = {
    "weights": lambda model, batch: negate(model),
    "mode": lambda model, batch: model.hf.train(),
    "hooks": lambda model, batch: model.word_embedding.register_forward_hook(lambda module, inputs, output: output * 2),
    "batch": lambda model, batch: batch.ids.fill_(7) + batch.attention_mask.fill_(False) + batch.answer.fill_(1),
    "cache": lambda model, batch: batch.cache.clear(),
    "dtype": lambda model, batch: torch.set_default_dtype(torch.float64),
    "folder": lambda model, batch: os.chdir("/"),
    "seeds": lambda model, batch: torch.manual_seed(batch.ids.sum()),
    "exit": lambda model, batch: os._exit(0),
    "panic": lambda model, batch: setattr(batch, "ids", None),
}


@method("vandal", gives={"tokens"})
def vandal(model, batch, what: str = "weights"):
    """Changes what others use."""
    scores = torch.ones(batch.ids.shape)
    VANDALISM[what](model, batch)
    return explanations(batch, tokens=scores) if what != "batch" else [Explanation(tokens=np.ones(len(scores[0])))] * len(scores)


@method("choosy", gives={"tokens"})
def choosy(model, batch):
    """Does not apply."""
    raise NotApplicable("this model has no recurrence")


class _Metric:
    version, scope, reads, unit, source = 1, "instance", "tokens", "units of q", "tests"
    higher_is_better, bounds = None, (None, None)
    reference: str | None = None
    ranked = ""
    flowgauge_kind = "metric"


class TokenSum(_Metric):
    """Sum of token scores, gold and guided."""

    name = "token-sum"

    def __init__(self, power: int = 1) -> None:
        self.power = power

    def score(self, model, explained, reference):
        """One row an instance and variant."""
        if explained[0].gold[0].tokens is None:
            raise NotApplicable("it needs tokens")
        rows = []
        for part in explained:
            for instance, gold, guided in zip(part.instances, part.gold, part.predicted, strict=True):
                rows.append(score_row(instance, "gold", float((gold.tokens**self.power).sum())))
                rows.append(score_row(instance, "guided", float((guided.tokens**self.power).sum())))
        return Scores(frame(rows))


class AgainstReference(_Metric):
    """Sum of token scores minus the reference method's."""

    name, reference = "against-reference", "integrated-gradients:samples=2"

    def score(self, model, explained, reference):
        """One row an instance."""
        rows = []
        for part, other in zip(explained, reference, strict=True):
            for instance, one, two in zip(part.instances, part.gold, other.gold, strict=True):
                rows.append(score_row(instance, "difference", float(one.tokens.sum() - two.tokens.sum())))
        return Scores(frame(rows))


class AgainstChoosy(AgainstReference):
    """Its reference does not apply."""

    name, reference = "against-choosy", f"{__file__}:choosy"


class Scribbles(TokenSum):
    """Writes into what it is shown."""

    name = "scribbles"

    def score(self, model, explained, reference):
        """Zeros, and another batch."""
        for part in explained:
            part.batch.ids.zero_()
            for explanation in (*part.gold, *part.predicted):
                explanation.tokens[:] = 0
        return super().score(model, explained, reference)


class Retrains(TokenSum):
    """Leaves the model in training mode."""

    name = "retrains"

    def score(self, model, explained, reference):
        """Scores."""
        model.hf.train()
        return super().score(model, explained, reference)


class Unfit(_Metric):
    """Applies to nothing."""

    name = "unfit"

    def score(self, model, explained, reference):
        """Says why."""
        raise NotApplicable("it needs heads")


class Broken(_Metric):
    """Fails."""

    name = "broken"

    def score(self, model, explained, reference):
        """Divides by zero."""
        return 1 / 0


@method("amortised", gives={"tokens"}, needs={"training"}, stochastic=True)
@dataclass(frozen=True)
class Slow(Amortised):
    """Learns the mean word vector of the train split in 20 steps, then says how far each word is from it."""

    breaks_at: int = 0

    def fit(self, model, data, training):
        """A running mean that goes on where it was."""
        kept = training.resume()
        mean = kept.get("mean", torch.zeros(model.words(data[0]).shape[-1]))
        for step in range(int(kept.get("step", torch.tensor(0))), 20):
            batch = data[step % len(data)]
            mean = mean + (model.words(batch)[batch.attention_mask].mean(0) - mean) / (step + 1)
            training.log(step + 1, 20, size=float(mean.norm()))
            training.checkpoint({"mean": mean, "step": torch.tensor(step + 1)})
            if step + 1 == self.breaks_at:
                raise KeyboardInterrupt
            if self.breaks_at < 0:
                raise FlowgaugeError("the mean diverged: lower lr.")
        training.conclude(False, ["it still moves"], 2, margin=0.5)
        return {"mean": mean + training.seed}

    def explain(self, model, batch):
        """Distances."""
        return explanations(batch, tokens=(model.words(batch) - self.demand_weights()["mean"]).norm(dim=-1))


@model("noise-then-model")
@dataclass(frozen=True)
class Remade:
    """The embedded model, with a number learned that is added to one bias."""

    seed: int = 0

    def fit(self, training):
        """One step."""
        training.log(1, 1, loss=0.5)
        return {"bias": torch.full((), 0.25 + training.seed)}

    def build(self, weights):
        """Adds it."""
        made = load_model("agreement-bert")
        made.hf.cls.predictions.bias.data[0] += weights["bias"]
        return made


@task("splits", head="masked")
class Splits:
    """Agreement sentences with a train split."""

    model = "agreement-bert"

    def instances(self, split="test", limit=None, seed=0):
        """Other sentences for training."""
        if split not in ("train", "test"):
            raise NoSplit(f"task 'splits' has no split {split!r}.")
        return load_task("sva/obj").instances("test", limit, seed + (split == "train"))


@method("hungry", gives={"tokens"})
def hungry(model, batch, most: int = 2):
    """Positions; memory runs out with more instances at once."""
    if len(batch) > most:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
    return explanations(batch, tokens=torch.arange(batch.ids.shape[1]).expand(batch.ids.shape).double())


class HungrySum(TokenSum):
    """The sum of token scores; memory runs out with more instances at once."""

    name = "hungry-sum"

    def __init__(self, most: int = 2) -> None:
        super().__init__()
        self.most = most

    def score(self, model, explained, reference):
        """One row an instance and variant."""
        if max(len(part.batch) for part in explained) > self.most:
            raise MemoryError
        return super().score(model, explained, reference)
