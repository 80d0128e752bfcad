"""The card of an embedded model: what its script says of it, with the parts that all embedded models share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .accuracy import Accuracy, wilson


def fill(template: str, recipe: Mapping[str, object], accuracy: Sequence[Accuracy], criteria: str = "") -> str:
    """The model card in Markdown.

    Args:
        template: The card with `{corpus}`, `{settings}`, `{steps}`, `{seed}`, `{table}` and `{criteria}` where these belong.
        recipe: The settings of the training.
        accuracy: The measured rows of the table.
        criteria: The table of the criteria, of a model that was judged by them.
    """
    settings = ", ".join(f"{key} {value}" for key, value in recipe.items())
    return template.format(
        corpus=CORPUS, settings=settings, steps=recipe["steps"], seed=recipe["seed"], table=_table(accuracy), criteria=criteria
    )


def _table(accuracy: Sequence[Accuracy]) -> str:
    lines = ["| task | sentences | accuracy | 95 % interval | by condition |", "| --- | --- | --- | --- | --- |"]
    for task in dict.fromkeys(row.task for row in accuracy):
        rows = [row for row in accuracy if row.task == task]
        right, count = sum(row.right for row in rows), sum(row.count for row in rows)
        low, high = wilson(right, count)
        each = ", ".join(f"{row.condition} {row.right / row.count:.3f}" for row in rows)
        lines.append(f"| `{task}` | {count} | {right / count:.3f} | {low:.3f} to {high:.3f} | {each} |")
    return "\n".join(lines)


CORPUS = """## Training data

Sentences drawn from `scripts/agreement_models/grammar.toml`: simple, prepositional, subject- and object-relative, complement,
reflexive and gendered ones, more kinds of each than the tasks have, with the tasks' words and about as many others. Seven groups
of patterns, equally often; numbers, genders and words uniform. A singular noun without a gender takes *himself* or *herself*.

**Held out.** No training sentence, whatever its structure, holds two nouns that can stand together in a sentence of a task
(a task's subject with one of its intervening nouns, in either order and number). Every sentence of every task holds such
a pair, so none was seen, and neither was any combination of nouns that the tasks ask about; single nouns were."""
