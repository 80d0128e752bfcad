"""Functions of a model's outputs, for every head: the quantity q, predictions, divergence."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..core.errors import NotApplicable
from .batch import Batch
from .shapes import Outputs, PerRow


def check_classes(outputs: Outputs) -> None:
    """Refuses a head with one output, which is a score: no output competes with it.

    Raises:
        NotApplicable: A single output.

    >>> check_classes((torch.zeros(3, 2),))
    """
    if any(logits.shape[1] == 1 for logits in outputs):
        raise NotApplicable("the model gives one score and no classes, so that it has no prediction, accuracy or probability.")


def value(outputs: Outputs, batch: Batch) -> PerRow:
    """q of every row: the batch's quantity, summed over output heads; a probability is that of all answers together.

    `logit_difference` is logit[answer] - logit[against] (logits; unbounded; positive: the answer is preferred).

    Args:
        outputs: Logits (R, C) of each output head.
        batch: One instance for each row.

    Returns:
        (R,), in the unit of `batch.quantity`.

    Raises:
        NotApplicable: A probability of a score.
    """
    if batch.quantity.form in ("probability", "log_probability"):
        check_classes(outputs)
    total = torch.zeros(len(outputs[0]), dtype=outputs[0].dtype, device=outputs[0].device)
    for head, logits in enumerate(outputs):
        answer, against = batch.answer[:, head, None], batch.against[:, head, None]
        form = batch.quantity.form
        if form == "logit_difference":
            total = total + (logits.gather(1, answer) - logits.gather(1, against))[:, 0]
        elif form == "logit":
            total = total + logits.gather(1, answer)[:, 0]
        else:
            total = total + logits.log_softmax(1).gather(1, answer)[:, 0]
    return total.exp() if batch.quantity.form == "probability" else total


def prediction(outputs: Outputs, batch: Batch) -> Int[Tensor, "rows heads"]:
    """The predicted output of every head: the largest.

    Where only answer and against compete (`batch.pairwise`), the larger of the two, and `against` if both are equal.

    Args:
        outputs: Logits (R, C) of each output head.
        batch: One instance for each row.

    Raises:
        NotApplicable: The output is a score.
    """
    check_classes(outputs)
    predicted = []
    for head, logits in enumerate(outputs):
        if batch.pairwise:
            answer, against = batch.answer[:, head], batch.against[:, head]
            wins = logits.gather(1, answer[:, None]) > logits.gather(1, against[:, None])
            predicted.append(torch.where(wins[:, 0], answer, against))
        else:
            predicted.append(logits.argmax(1))
    return torch.stack(predicted, 1)


def correct(outputs: Outputs, batch: Batch) -> Bool[Tensor, " rows"]:
    """Whether every head predicts `batch.answer`; not applicable to a score."""
    return (prediction(outputs, batch) == batch.answer).all(1)


def divergence(outputs: Outputs, reference: Outputs) -> PerRow:
    """KL(reference || outputs), summed over output heads (nats; 0 to infinity; 0: the same distribution).

    An output that the reference rules out, such as padding of a span (logit minus infinity), adds 0 log 0 = 0.

    Args:
        outputs: Logits (R, C) of each output head.
        reference: Logits of the reference, of the same shapes.

    Raises:
        NotApplicable: The output is a score.

    >>> ruled_out = (torch.tensor([[0.0, 0.0, -torch.inf]]),)
    >>> divergence(ruled_out, ruled_out).item()
    0.0
    """
    check_classes(outputs)
    total = torch.zeros(len(outputs[0]), dtype=outputs[0].dtype, device=outputs[0].device)
    for logits, clean in zip(outputs, reference, strict=True):
        p, q = clean.log_softmax(1), logits.log_softmax(1)
        total = total + (p.exp() * (p - q).masked_fill(p == -torch.inf, 0)).sum(1)
    return total


@torch.no_grad()
def least_flip(outputs: Outputs, batch: Batch) -> PerRow:
    """The least KL(outputs || other) of any other distribution that does not predict the same (nats; 0 to log 2).

    With p1 the probability of the prediction, p2 that of its strongest competitor, and m = (p1 + p2) / 2:

        p1 ln(p1 / m) + p2 ln(p2 / m)

    The other distribution gives both m and leaves all else as it is: with a multiplier for the sum and one for q1 <= q2, every
    other entry keeps its probability, and both entries, whose log terms weigh p1 and p2, come to equal shares of p1 + p2. It
    grows as p2 falls, so that the strongest competitor is the cheapest. Of several output heads the least counts, because a
    change at one of them changes the prediction.

    Args:
        outputs: Logits (R, C) of each output head.
        batch: One instance for each row.

    Returns:
        (R,), 0 where two classes tie.

    >>> two = (torch.tensor([[0.9, 0.1]], dtype=torch.float64).log(),)
    >>> index = torch.zeros(1, 1, dtype=torch.long)
    >>> batch = Batch(index, index == 0, index, index[..., None], index, index, None, ("one",), (0,))
    >>> round(least_flip(two, batch).item(), 4)
    0.3681
    """
    predicted = prediction(outputs, batch)
    costs = []
    for head, logits in enumerate(outputs):
        first, p = predicted[:, head], logits.double().softmax(1)
        other = torch.where(first == batch.answer[:, head], batch.against[:, head], batch.answer[:, head])
        second = other if batch.pairwise else strongest_other(logits, first)
        p1, p2 = (p.gather(1, index[:, None])[:, 0] for index in (first, second))
        m = (p1 + p2) / 2
        costs.append(torch.special.xlogy(p1, p1 / m) + torch.special.xlogy(p2, p2 / m))
    return torch.stack(costs).min(0).values.clamp_min(0)


def likeliest(logits: Sequence[Float[Tensor, " outputs"]], choices: Int[Tensor, "choices heads"]) -> Int[Tensor, " heads"]:
    """The choice with the largest product of probabilities over the output heads, the first of equals.

    A choice that is the largest output of every head is always chosen.

    Args:
        logits: The logits (C,) of one row, of each head.
        choices: The choices, each with one output for each head.

    Returns:
        The row of `choices` that is chosen.

    >>> likeliest([torch.tensor([0.0, 2.0]), torch.tensor([3.0, 0.0])], torch.tensor([[1, 1], [0, 0]])).tolist()
    [0, 0]
    """
    total = torch.stack([head_logits[choices[:, head]] for head, head_logits in enumerate(logits)]).sum(0)
    return choices[total.argmax()]


def strongest_other(logits: Float[Tensor, "rows outputs"], answer: Int[Tensor, " rows"]) -> Int[Tensor, " rows"]:
    """The index of the largest output of each row that is not the answer.

    >>> strongest_other(torch.tensor([[1.0, 3.0, 2.0]]), torch.tensor([1])).tolist()
    [2]
    """
    return logits.scatter(1, answer[:, None], -torch.inf).argmax(1)
