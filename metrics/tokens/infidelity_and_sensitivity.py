"""Infidelity and maximum sensitivity of token scores, by captum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from ...core.errors import NotApplicable
from ...core.settings import Settings
from ...methods.perturbation.captum_words import Forward, all_present, forward_of_presence, seeded, single_instances
from ...methods.views import token_scores
from ...models.baseline import Baseline
from ...models.flow.flow_model import FlowModel
from ...models.layered import Layered
from ..base import BatchMetric, ExplainedBatch, score_row
from ..registry import metric

UNMOVED = "no score moves with the word vectors, so the method does not depend on the input."


@metric(
    "infidelity", reads="tokens", ranked="scaled", higher_is_better=False, unit="squared units of q", bounds=(0.0, None),
    source="Yeh et al. 2019, definition 2.1",
    misleads="Methods that are fitted to random removals, such as LIME and kernel SHAP, are fitted to nearly this number. "
    "Without `scaled`, the size of the scores decides it, and not their order.",
)  # fmt: skip
@dataclass(frozen=True)
class Infidelity(Settings, BatchMetric):
    """How badly scores predict the fall of q when random words are removed.

    E_I[(<I, tokens> - (q(x) - q(x without I)))^2], I a random half of the words that may be masked; `scaled` first multiplies
    the tokens by the factor that fits them best, so that methods without a scale can be compared. For the predicted answer. At
    least 0; lower is better. Source: Yeh et al. 2019, definition 2.1, by captum.

    Attributes:
        samples: Number of random removals.
        baseline: Word vectors that replace those of removed words; on decoders the default is `pad`.
    """

    samples: Annotated[int, Field(ge=2)] = 100
    baseline: Baseline = "mask"

    def batch_rows(self, model: Layered, explained: ExplainedBatch) -> Iterator[dict[str, Any]]:
        """One score row for each instance, variant and draw."""
        from captum.metrics import infidelity

        singles = single_instances(explained.predicted_batch)
        for single, instance, explanation in zip(singles, explained.instances, explained.predicted, strict=True):
            forward = remembered(forward_of_presence(model, single, self.baseline))
            present, row = all_present(model, single)
            free = model.maskable(single)[0].cpu().numpy()
            for draw, scored in enumerate(explanation.each()):
                tokens = torch.as_tensor(token_scores(scored) * free, dtype=torch.float64, device=present.device)[None]
                for name in ("scaled", "raw"):
                    with seeded(single.seeds[0]), torch.no_grad():
                        value = infidelity(
                            forward, _remove_half, present, tokens, additional_forward_args=(row,),
                            n_perturb_samples=self.samples, normalize=name == "scaled",
                        )  # fmt: skip
                    # captum takes a difference of sums, which rounding can leave below 0.
                    yield score_row(instance, name, max(0.0, float(value)), draw)


def remembered(forward: Forward) -> Forward:
    """A forward that runs once for equal inputs: every draw and variant is compared on the same removals."""
    outputs: dict[bytes, Tensor] = {}

    def once(present: Tensor, row: Tensor) -> Tensor:
        key = present.cpu().numpy().tobytes()
        if key not in outputs:
            outputs[key] = forward(present, row)
        return outputs[key]

    return once


def _remove_half(present: Tensor) -> tuple[Tensor, Tensor]:
    """A random half of the words to remove, and the words left."""
    removed = torch.bernoulli(torch.full_like(present, 0.5))
    return removed, present - removed


@metric(
    "sensitivity", reads="tokens", ranked="sensitivity", higher_is_better=False, unit="share of the explanation's norm",
    bounds=(0.0, None), needs={"transformer"}, source="Yeh et al. 2019, definition 2.4",
    misleads="Lower is more stable, which is not more true: scores that hardly depend on the input are the most stable ones.",
)  # fmt: skip
@dataclass(frozen=True)
class Sensitivity(Settings, BatchMetric):
    """How far an explanation moves when the word vectors move a little.

    max over random d in a cube of ||tokens(x + d) - tokens(x)|| / ||tokens(x)||. The method explains anew, so it must be run
    (`flowgauge run`). For the gold answer. At least 0; lower is more stable, which is not more true. Source: Yeh et al. 2019,
    definition 2.4, by captum. A random method draws the same at x and at x + d, so its noise does not count. Undefined where all
    scores at x are 0, and where none moves at all: such scores do not depend on the input, which is no merit.

    Attributes:
        radius: Half the cube's side, in root mean squares of the model's word vectors.
        samples: Number of random moves.
    """

    radius: PositiveFloat = 0.1
    samples: PositiveInt = 10

    def batch_rows(self, model: FlowModel, explained: ExplainedBatch) -> Iterator[dict[str, Any]]:
        """One score row for each instance."""
        if explained.explain is None:
            raise NotApplicable("it explains moved inputs anew, which needs the method itself: score it with `flowgauge run`.")
        radius = self.radius * float(model.word_embedding.weight.detach().square().mean().sqrt())
        for row, instance in enumerate(explained.instances):
            value, reason = self._one(model, explained, row, radius)
            yield score_row(instance, "sensitivity", value, reason=reason)

    def _one(self, model: FlowModel, explained: ExplainedBatch, row: int, radius: float) -> tuple[float, str]:
        """The value of one instance, or NaN and why there is none."""
        from captum.metrics import sensitivity_max

        explain = explained.explain
        assert explain is not None
        alone = explained.batch.rows(torch.tensor([row], device=explained.batch.ids.device))
        alone = alone.only(alone.attention_mask)  # without padding, so that what is drawn does not depend on the batch
        with torch.no_grad():
            words = model.words(alone)
        norms: list[float] = []

        def tokens(moved: tuple[Tensor, ...] | Tensor, **_: Any) -> tuple[Tensor, ...]:
            (vectors,) = moved if isinstance(moved, tuple) else (moved,)
            rows = alone.rows(torch.zeros(len(vectors), dtype=torch.long, device=vectors.device))
            explanations = explain(replace(rows, word_vectors=vectors))
            means = [np.mean([token_scores(draw) for draw in explanation.each()], 0) for explanation in explanations]
            scores = torch.stack([torch.as_tensor(mean) for mean in means])
            norms.append(float(scores.norm()))
            return (scores,)

        with seeded(explained.batch.seeds[row]):
            value = float(sensitivity_max(tokens, (words,), perturb_radius=radius, n_perturb_samples=self.samples))
        if not norms[0]:  # the norm at x itself, where captum would divide by 1
            return np.nan, "the token scores are all 0."
        return (value, "") if value else (np.nan, UNMOVED)
