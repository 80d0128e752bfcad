"""What a method or a metric can need of the model, the task and the run: one list of words for both."""

from __future__ import annotations

from collections.abc import Collection
from types import MappingProxyType

from .errors import UsageError

NEEDS = MappingProxyType(
    {
        "transformer": "Attention heads and layers of a transformer; without this word a plug-in applies to any model.",
        "target": "One position of every instance at which the explained output is read.",
        "path_samples": "Samples of the path from a baseline, whose memory limits how many instances make one batch.",
        "training": "A training on the task's train split before the first explanation.",
    }
)
"""The words and their meanings. A plug-in that declares none applies to every model and every task."""

_FORMER = {
    "layered": "leave it out, since that is the default, and declare 'transformer' where a transformer is needed",
    "gradients": "leave it out, since every model has gradients",
    "attention": "the word is 'transformer' now",
    "path": "the word is 'path_samples' now",
}


def check_needs(kind: str, name: str, needs: Collection[str] | str) -> frozenset[str]:
    """The declared needs of a plug-in as a set.

    Args:
        kind: `method` or `metric`, for the error text.
        name: Name of the plug-in, for the error text.
        needs: Words of `NEEDS`, or a single one.

    Raises:
        UsageError: A word that is none of `NEEDS`; the text names the words, and for a word of earlier versions its successor.

    >>> sorted(check_needs("method", "mine", {"transformer", "target"}))
    ['target', 'transformer']
    """
    words = frozenset({needs} if isinstance(needs, str) else needs)
    for word in sorted(words):
        if word in _FORMER:
            raise UsageError(f"{kind} {name!r} declares needs={word!r}: {_FORMER[word]}.")
        if word not in NEEDS:
            raise UsageError(f"{kind} {name!r} declares needs={word!r}; the words are {', '.join(NEEDS)}.")
    return words
