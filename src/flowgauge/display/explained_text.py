"""One explained text as Python and a notebook show it: the question, the words, and what every method says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..benchmark.store.explanation_file import ExplainedSentence
from ..core.errors import UnknownName, shortened
from ..methods.explanation import Explanation
from .views import ShownWord, head_table, node_table, word_scores, words_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TABLES: Mapping[str, tuple[str, ...]] = {
    "words": ("method", "index", "segment", "word", "score"),
    "nodes": ("method", "layer", "index", "token", "score"),
    "heads": ("method", "layer", "head", "score"),
    "edges": ("method", "layer", "head", "query", "key", "query_token", "key_token", "score"),
}
"""The tables of an explained text, with their columns."""


@dataclass(frozen=True, eq=False)
class ExplainedText:
    """What methods say about one answer of a model to one text.

    A notebook shows it as a page with the words shaded. `explained["saliency"]` is the explanation by one method.

    Attributes:
        model: The model's name.
        texts: The text, or the two texts of a pair.
        sentence: Tokens, words, and the answers as text.
        question: What was asked, with q, in a sentence.
        q: The value of the explained quantity.
        unit: The unit of q.
        explanations: The explanation by each method, by its label.
        notes: What a reader has to know, one sentence each, such as words that the model does not know.
    """

    model: str
    texts: tuple[str, ...]
    sentence: ExplainedSentence
    question: str
    q: float
    unit: str
    explanations: Mapping[str, Explanation]
    notes: tuple[str, ...] = ()

    @cached_property
    def words(self) -> tuple[ShownWord, ...]:
        """The words and special tokens, in order."""
        return words_of(self.sentence, self.texts)

    @cached_property
    def word_scores(self) -> Mapping[str, np.ndarray]:
        """One score a word by each method that scores words."""
        n_tokens = len(self.sentence.tokens)
        scores = {label: word_scores(explanation, self.words, n_tokens) for label, explanation in self.explanations.items()}
        return {label: of_words for label, of_words in scores.items() if of_words is not None}

    @property
    def wordless(self) -> tuple[str, ...]:
        """The methods that score no words."""
        return tuple(label for label in self.explanations if label not in self.word_scores)

    def __getitem__(self, method: str) -> Explanation:
        if method not in self.explanations:
            raise UnknownName("method of this explained text", method, self.explanations)
        return self.explanations[method]

    def __repr__(self) -> str:
        answer, against = " ".join(self.sentence.answer), " ".join(self.sentence.against)
        asked = f"{answer} rather than {against}" if against else answer
        text = shortened(" / ".join(self.texts), 60)
        return (
            f"ExplainedText({text!r}, {asked}, q = {self.q:.3g} {self.unit}, by {shortened(', '.join(self.explanations), 100)})"
        )

    def _repr_html_(self) -> str:
        return self.to_html()

    def to_html(self, name: str = "") -> str:
        """The page as HTML for a notebook or a larger page, without scripts and outside files.

        Args:
            name: Begins the identifiers within; they must differ between two pages of one document. Empty: a new one each time.
        """
        from .page import explained_html

        return explained_html(self, name)

    def to_text(self, width: int = 100) -> str:
        """The tables that `flowgauge explain` prints, without colours."""
        from .terminal import plain_text

        return plain_text(self, width)

    def to_pandas(self, what: str = "") -> pd.DataFrame:
        """One row a method and word, node, head or edge.

        Args:
            what: `words`, `nodes`, `heads` or `edges`; empty: the first of these that a method gives. Layers and heads of heads
                and edges count from 1; the layer of a node is 0 at the input.

        Raises:
            UnknownName: Another text.
        """
        if what and what not in TABLES:
            raise UnknownName("table of an explained text", what, TABLES)
        tables = {name: self._rows(name) for name in ([what] if what else TABLES)}
        chosen = what or next(name for name in TABLES if tables[name] or name == "edges")
        return pd.DataFrame(tables[chosen], columns=list(TABLES[chosen]))

    def _rows(self, what: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        tokens = self.sentence.tokens
        for label, explanation in self.explanations.items():
            if what == "words" and label in self.word_scores:
                scores = zip(self.words, self.word_scores[label].tolist(), strict=True)
                rows += [(label, index, word.segment, word.text, score) for index, (word, score) in enumerate(scores)]
            elif what == "nodes" and (nodes := node_table(explanation)) is not None:
                rows += [(label, layer, i, tokens[i], float(score)) for (layer, i), score in np.ndenumerate(nodes)]
            elif what == "heads" and (heads := head_table(explanation)) is not None:
                rows += [(label, layer + 1, head + 1, float(score)) for (layer, head), score in np.ndenumerate(heads)]
            elif what == "edges" and (edges := explanation.each()[0].edges) is not None:
                rows += [
                    (label, layer + 1, head + 1, i, p, tokens[i], tokens[p], float(score))
                    for (layer, head, i, p), score in np.ndenumerate(edges)
                ]
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, as `flowgauge explain --json` prints it."""
        sentence = self.sentence
        return {
            "model": self.model,
            "texts": list(self.texts),
            "question": self.question,
            "answer": list(sentence.answer),
            "against": list(sentence.against),
            "q": self.q,
            "unit": self.unit,
            "notes": list(self.notes),
            "tokens": list(sentence.tokens),
            "words": [{"word": word.text, "segment": word.segment, "tokens": list(word.tokens)} for word in self.words],
            "methods": [self._method(label, explanation) for label, explanation in self.explanations.items()],
        }

    def _method(self, label: str, explanation: Explanation) -> dict[str, Any]:
        first, scores = explanation.each()[0], self.word_scores.get(label)
        nodes, heads = node_table(explanation), head_table(explanation)
        return {
            "method": label,
            "views": sorted(explanation.views),
            "draws": len(explanation.draws),
            "values": dict(first.values),
            "words": None if scores is None else scores.tolist(),
            "nodes": None if nodes is None else nodes.tolist(),
            "heads": None if heads is None else heads.tolist(),
            "edges": None if first.edges is None else first.edges.tolist(),
        }

    def plot(self, what: str = "words") -> Figure:
        """A figure of all methods.

        Args:
            what: `words`: the words shaded, and the strongest nodes, heads or edges of methods that score no words; `graph`: the
                pattern of each method, or its attribution graph.

        Raises:
            UnknownName: Another text.
            NotApplicable: A graph is asked for and no method gives one.
        """
        from .pictures import PICTURES

        if what not in PICTURES:
            raise UnknownName("picture of an explained text", what, PICTURES)
        return PICTURES[what](self)
