"""The card of agreement-gpt2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agreement_models.accuracy import Accuracy
from agreement_models.card import fill


def card(recipe: Mapping[str, object], measured: Sequence[Accuracy], criteria: str) -> str:
    """The model card in Markdown: architecture, training data and what was held out, recipe, accuracy, criteria.

    Args:
        recipe: The settings of the training.
        measured: The rows of the table of accuracy.
        criteria: The table of the criteria (`agreement_models.criteria.table`).
    """
    return fill(CARD, recipe, measured, criteria)


CARD = """# agreement-gpt2

A small causal language model for the agreement tasks, trained so that flowgauge explains a decoder without a network, beside
the encoder [agreement-bert](../agreement-bert/README.md), and trained further with states replaced at random, so that models
reduced by an ablation are among what it was trained on. It knows the grammar of a few English sentence patterns and nothing
else: do not use it as a language model.

- **Architecture**: `GPT2LMHeadModel`, 6 layers, 8 heads, hidden size 128, feed-forward size 512, 32 positions, no dropout.
- **Tokens**: one a word or punctuation mark, lower-cased; every word of the six agreement tasks is in the vocabulary. `<bos>`
  stands before each text, where `agreement-bert` has `[CLS]`; nothing stands behind it. `<eos>` followed each sentence in
  training. There is no mask token, and `<pad>`, which takes its part in explanations, was never read in training.
- **Weights**: stored in float16 (safetensors), meant to be loaded as float32.
- **Licence**: that of flowgauge; the training sentences are generated, no outside text was used.

{corpus}
Both nouns stand before the gap, so that what is held out is held out of the prefixes, too.

## Recipe

    PYTHONPATH=scripts python -m agreement_gpt2.robust --out DIR --steps {steps} --seed {seed}

Recipe: {settings}.

The start is [agreement-gpt2-plain](../agreement-gpt2-plain/README.md). In `replaced_share` of the sentences, states at
hidden[0] to hidden[5] (the output of the embedding and of the first five layers) become zeros, each independently, with a
probability that is drawn for the sentence from [0, `replaced_rate`]. Loss and optimiser are those of `agreement-gpt2-plain`.
Training ends after `until` updates; the learning rate follows the schedule of `steps` updates. A few minutes on one CPU core.

## Held-out accuracy

After the words before the gap alone, the right word has the larger logit of the two, on the default instances (250 sentences a
condition, seed 0):

{table}

## Criteria

By which the recipe is judged, none of which knows a method that explains (`PYTHONPATH=scripts python -m
agreement_models.criteria agreement-gpt2`): the whole model has an accuracy of .99 or more, and where each layer keeps random
nodes alone, accuracy falls at no budget significantly below what it was at a smaller one (two rankings a sentence; band: half
a simultaneous 95 % interval). The calibration error is that of the reduced models, with ten bins. The recipe is that of
`agreement-bert`, and no other was tried. `agreement-gpt2-plain` meets them too: what tells the two apart is the calibration
error, which is .26 to .30 there.

{criteria}

Reproduce both tables with `--evaluate --out DIR`, which measures the model in DIR and writes this card anew.
"""
