"""captum's infidelity and maximum sensitivity, over words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.errors import NotApplicable, UsageError
from ..methods.on_words import of_presence, padded, seeded, single_inputs
from ..methods.views import token_scores
from ..models.model import FlowModel
from ..models.trace import Baseline
from .base import Scores, Shown, frame, score_row
from .registry import metric


@metric(
    "infidelity", reads="tokens", ranked="scaled", higher_is_better=False, unit="squared units of q", bounds=(0.0, None),
    source="Yeh et al. 2019, definition 2.1",
)  # fmt: skip
@dataclass(frozen=True)
class Infidelity:
    """How badly scores predict the fall of q when random words are removed.

    E_I[(<I, tokens> - (q(x) - q(x without I)))^2], I a random half of the words; `scaled` first multiplies the tokens by the
    factor that suits them best, so that methods without a scale can be compared. For the predicted answer. At least 0; lower is
    better. Source: Yeh et al. 2019, definition 2.1, by captum.

    Attributes:
        samples: Random removals.
        baseline: Word vectors of removed words.
    """

    samples: int = 100
    baseline: Baseline = "mask"

    def __post_init__(self) -> None:
        if self.samples < 2:
            raise UsageError(f"samples must be at least 2, got {self.samples}.")

    def score(self, model: FlowModel, shown: Sequence[Shown], reference: Sequence[Shown] | None) -> Scores:
        """One row an (instance, variant, draw)."""
        from captum.metrics import infidelity

        rows = []
        for batch in shown:
            forward = padded(of_presence(model, batch.predicted, self.baseline), batch.predicted.ids.shape[1])
            for row, there, number in single_inputs(model, batch.predicted):
                for draw, one in enumerate(batch.guided[row].each()):
                    tokens = torch.as_tensor(token_scores(one), dtype=there.dtype, device=there.device)[None]
                    for name in ("scaled", "raw"):
                        with seeded(batch.predicted.seeds[row]), torch.no_grad():
                            found = infidelity(
                                forward, _remove_half, there, tokens, additional_forward_args=(number,),
                                n_perturb_samples=self.samples, normalize=name == "scaled",
                            )  # fmt: skip
                        value = float(found)
                        reason = "" if np.isfinite(value) else "the token scores are all 0, or do not vary with what is removed."
                        rows.append(score_row(batch.instances[row], name, value if not reason else np.nan, draw, reason))
        return Scores(frame(rows))


def _remove_half(there: Tensor) -> tuple[Tensor, Tensor]:
    """What is removed, and what is left."""
    removed = torch.bernoulli(torch.full_like(there, 0.5))
    return removed, there - removed


@metric(
    "sensitivity", reads="tokens", ranked="sensitivity", higher_is_better=False, unit="share of the explanation's norm",
    bounds=(0.0, None), source="Yeh et al. 2019, definition 2.4",
)  # fmt: skip
@dataclass(frozen=True)
class Sensitivity:
    """How far an explanation moves when the word vectors move a little.

    max over random d in a cube of ||tokens(x + d) - tokens(x)|| / ||tokens(x)||. The method explains anew, so it must be at hand
    (`flowgauge run`). For the gold answer. At least 0; lower is more stable, which is not more true. Source: Yeh et al. 2019,
    definition 2.4, by captum.

    Attributes:
        radius: Half the cube's side, in root mean squares of the model's word vectors.
        samples: Random moves.
    """

    radius: float = 0.1
    samples: int = 10

    def __post_init__(self) -> None:
        if self.radius <= 0 or self.samples < 1:
            raise UsageError(f"radius must be above 0 and samples at least 1, got {self.radius} and {self.samples}.")

    def score(self, model: FlowModel, shown: Sequence[Shown], reference: Sequence[Shown] | None) -> Scores:
        """One row an instance."""
        rows = []
        radius = self.radius * float(model.word_embedding.weight.detach().square().mean().sqrt())
        for batch in shown:
            if batch.explain is None:
                raise NotApplicable("it explains moved inputs anew, which needs the method: score it with `flowgauge run`.")
            for row, instance in enumerate(batch.instances):
                value = self._one(model, batch, row, radius)
                reason = "" if np.isfinite(value) else "the token scores are all 0."
                rows.append(score_row(instance, "sensitivity", value if not reason else np.nan, 0, reason))
        return Scores(frame(rows))

    def _one(self, model: FlowModel, shown: Shown, row: int, radius: float) -> float:
        from captum.metrics import sensitivity_max

        explain = shown.explain
        assert explain is not None
        alone = shown.batch.rows(torch.tensor([row], device=shown.batch.ids.device))
        alone = alone.only(alone.mask)  # without padding, so that what is drawn does not depend on the batch
        with torch.no_grad():
            words = model.words(alone)

        def tokens(moved: tuple[Tensor, ...] | Tensor, **_: Any) -> tuple[Tensor, ...]:
            (vectors,) = moved if isinstance(moved, tuple) else (moved,)
            rows = alone.rows(torch.zeros(len(vectors), dtype=torch.long, device=vectors.device))
            made = explain(replace(rows, words=vectors))
            return (torch.stack([torch.as_tensor(np.mean([token_scores(e) for e in one.each()], 0)) for one in made]),)

        with seeded(shown.batch.seeds[row]):
            found = sensitivity_max(tokens, (words,), perturb_radius=radius, n_perturb_samples=self.samples)
        return float(found)
