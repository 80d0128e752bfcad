"""Four word methods and two metrics as a script with captum would have them, which `flowgauge speed` compares a run with.

One sentence after the other: saliency, input times gradient, integrated gradients and leaving each word out, then how much the
probability of the predicted word falls without the top words (comprehensiveness) and with them alone (sufficiency).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from captum.attr import FeatureAblation, InputXGradient, IntegratedGradients, Saliency
from torch import Tensor

from ....models.batch import Batch
from ....models.flow.flow_model import FlowModel

METHODS = ("saliency", "gradient-x-input", "integrated-gradients:nodes=false", "leave-one-out")
METRICS = ("comprehensiveness:operator=mask", "sufficiency:operator=mask")
SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
SAMPLES = 50


def by_hand(model: FlowModel, batch: Batch) -> list[dict[str, tuple[float, float]]]:
    """Mean fall of the probability over shares, without the top words and with them alone, by method, for each sentence.

    Args:
        model: A masked language model.
        batch: Its sentences.
    """
    return [_sentence(model, batch.rows(torch.tensor([row]))) for row in range(len(batch))]


def _sentence(model: FlowModel, one: Batch) -> dict[str, tuple[float, float]]:
    assert one.target is not None
    ids, target = one.ids[:, : one.lengths[0]], int(one.target[0])
    embedding, mask = model.word_embedding, int(model.tokenizer.mask_token_id)
    words, masked = embedding(ids).detach(), embedding(torch.full_like(ids, mask)).detach()
    answer, against = int(one.answer[0, 0]), int(one.against[0, 0])

    def difference(values: Tensor) -> Tensor:
        logits = model.hf(inputs_embeds=values).logits[:, target]
        return logits[:, answer] - logits[:, against]

    def probability(kept: Tensor) -> Tensor:
        with torch.no_grad():
            values = torch.where(kept[..., None], words, masked)
            return torch.softmax(model.hf(inputs_embeds=values).logits[:, target][:, [answer, against]], -1)

    everything = torch.ones(1, ids.shape[1], dtype=torch.bool)
    clean = probability(everything)[0]
    predicted = int(clean.argmax())
    candidates = [place for place in range(1, ids.shape[1] - 1) if place != target]
    features = torch.arange(ids.shape[1])[None, :, None].expand_as(words)
    scores = {
        "saliency": Saliency(difference).attribute(words.clone().requires_grad_(), abs=False).norm(dim=-1),
        "gradient-x-input": InputXGradient(difference).attribute(words.clone().requires_grad_()).sum(-1),
        "integrated-gradients": IntegratedGradients(difference).attribute(words, masked, n_steps=SAMPLES).sum(-1),
        "leave-one-out": FeatureAblation(difference).attribute(
            words, masked, feature_mask=features, perturbations_per_eval=ids.shape[1]
        )[..., 0],
    }
    return {
        name: _falls(of[0].detach(), candidates, everything, probability, float(clean[predicted]), predicted)
        for name, of in scores.items()
    }


def _falls(
    scores: Tensor, candidates: Sequence[int], everything: Tensor, probability: Any, clean: float, predicted: int
) -> tuple[float, float]:
    order = sorted(candidates, key=lambda place: -float(scores[place]))
    without, alone = everything.repeat(len(SHARES), 1), everything.repeat(len(SHARES), 1)
    for row, share in enumerate(SHARES):
        top = order[: math.ceil(share * len(order))]
        without[row, top] = False
        alone[row, [place for place in order if place not in top]] = False
    falls = clean - probability(torch.cat([without, alone]))[:, predicted]
    return float(falls[: len(SHARES)].mean()), float(falls[len(SHARES) :].mean())
