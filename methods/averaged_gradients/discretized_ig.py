"""Discretized integrated gradients (Sanyal & Ren 2021): gradients summed on paths near the vectors of real words."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from ...core.errors import NotApplicable
from ...core.settings import Settings
from ...models.baseline import Baseline, baseline_words, moving_words
from ...models.batch import Batch
from ...models.layered import Layered
from ...models.shapes import Words
from ..base import explanations, method
from ..explanation import Explanation
from ..perturbation.captum_words import baseline_values
from .word_gradients import summed_products
from .word_paths import halved, word_paths


@method(
    "discretized-ig",
    gives={"tokens"},
    source="Sanyal & Ren 2021, Discretized Integrated Gradients for Explaining Language Models, section 3",
    misleads="Each word's path is near real words, but all words move at once, so that the texts on the way are mixtures of "
    "unrelated words. Steps differ in length, and their sum may miss the change of q by far: read the completeness error.",
)
@dataclass(frozen=True)
class DiscretizedIntegratedGradients(Settings):
    """Gradients summed on paths from a baseline to each word near the vectors of real words (Sanyal & Ren 2021).

    tokens[j] = sum_k <z_j^{k+1} - z_j^k, dq/dz_j(z^k)>, where z_j^0 is the baseline's vector, z_j^K the word's, and the points
    between are vectors of real words, moved so that every entry runs from the one to the other (`word_paths`); all words move
    together. Each real word is chosen by the source's greedy strategy, from the nearest neighbours of the one before. Tokens sum
    to q(x) - q(x_b) as far as the sum comes to its integral; `q_baseline` is q(x_b). Source: Sanyal & Ren 2021, section 3, with
    the defaults of their code: 30 words, 500 neighbours, no halving. It divides the scores of a text by their norm, and does not
    move [CLS] and [SEP] (as `mask-words` here). Units of q; signed; unbounded. Words that equal the baseline score 0.

    Cost: (`steps` + 1) 2^`halvings` forward and backward passes, and for each of `steps` a search through the vocabulary.

    Attributes:
        steps: Number of real words between the baseline and the word.
        neighbours: Nearest words of which the next is chosen; the whole vocabulary where it is smaller.
        halvings: How often each step is halved.
        baseline: Word vectors at which the paths start; on decoders the default is `pad`.
    """

    steps: PositiveInt = 30
    neighbours: PositiveInt = 500
    halvings: NonNegativeInt = 0
    baseline: Baseline = "mask"

    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """Sums the gradients on the paths of every instance.

        Raises:
            NotApplicable: The model has no table of words.
        """
        table, tokens = _table(model), []
        x, x_b = model.words(batch).detach(), baseline_words(model, batch, self.baseline).detach()
        moving = moving_words(model, batch, self.baseline)
        for row in range(len(batch)):
            paths = x[row, :, None].expand(-1, self.steps + 2, -1).clone()
            paths[moving[row]] = word_paths(table, x[row, moving[row]], x_b[row, moving[row]], self.steps, self.neighbours)
            for _ in range(self.halvings):
                paths = halved(paths)
            path = paths.transpose(0, 1)

            def points(part: Tensor, path: Tensor = path) -> tuple[Words, Words]:
                return path[part], path[part + 1] - path[part]

            single = batch.rows(torch.tensor([row], device=x.device))
            tokens.append(summed_products(model, single, torch.zeros(len(path) - 1, dtype=torch.long, device=x.device), points))
        return explanations(batch, tokens=torch.cat(tokens), values=baseline_values(model, batch, self.baseline))


def _table(model: Layered) -> Tensor:
    """The word vectors of the vocabulary, as the model looks them up: Gemma multiplies its rows by a factor."""
    embedding = getattr(model, "word_embedding", None)
    if embedding is None:
        raise NotApplicable(f"the model {model.name!r} has no table of words in which a path could find its next word.")
    weight: Tensor = embedding.weight.detach()
    if type(embedding).forward is nn.Embedding.forward:
        return weight
    looked_up: Tensor = embedding(torch.arange(len(weight), device=weight.device))
    return looked_up.detach()
