"""`flowgauge.explain`: why a model answers one text as it does, by one method or several."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.errors import NotApplicable, UsageError, quoted
from ..core.registry import Spec
from ..leaderboards.figures.source import UNITS
from ..tasks.instance import GAP
from .explained_text import ExplainedText

if TYPE_CHECKING:
    from ..benchmark.store.explanation_file import ExplainedSentence
    from ..models.inputs.ask import AskedText
    from ..models.layered import Layered

DEFAULT_METHOD = "influence-patterns"
CLOSE = 2.0
"""A question that the model chose itself is close where the odds of its two words are below this, so that q is below log 2."""


def explain(
    text: str,
    model: str | Layered | None = None,
    method: Any = DEFAULT_METHOD,
    *,
    text2: str | None = None,
    good: str | None = None,
    bad: str | None = None,
    counterpart: str | None = None,
    seed: int = 0,
    device: str = "auto",
    revision: str | None = None,
) -> ExplainedText:
    """Explains one answer of a model to one text.

        flowgauge.explain("the author near the guards [MASK] tall .", method=["influence-patterns", "saliency"])

    What is asked: of a masked LM, why its likeliest word for the gap rather than the next; of a classifier, why the class that
    it predicts rather than its strongest other class; of a model of spans, why the span that it predicts. `good` and `bad` name
    other answers. Methods explain q, by default the difference of the two logits; the result says what was asked.

    Args:
        text: The text, with `[MASK]` where a masked LM fills in a word; of a pair, the first (for spans, the question).
        model: A name as `flowgauge run --model` takes it, or a loaded model (`flowgauge.load_model`), which saves loading it for
            every text; None: `agreement-bert`, for a text with `[MASK]`.
        method: A name with settings as on the command line, a file, a method object or a function with `@flowgauge.method`; or
            several of these.
        text2: The second text of a pair (for spans, the passage).
        good: The answer to ask about.
        bad: What the answer is held against.
        counterpart: `text` with what decides the answer flipped, in as many tokens, for methods that exchange states between two
            runs (`eap-ig`, `activation-patching` and others).
        seed: The seed of random methods.
        device: A torch device; `auto`: the GPU if there is one. A loaded model stays where it is.
        revision: Branch, tag or commit of a model on the Hugging Face Hub.

    Returns:
        The explanations by all methods, which a notebook shows as a page.

    Raises:
        UsageError: A text, an answer, a model or a method that does not suit the others; the message says what to do.
    """
    named = methods_of(method)
    loaded = _loaded(model, text, device, revision)
    from ..benchmark.engine.explain import PreparedBatch, explain_batch, prepare
    from ..benchmark.loading.model_defaults import for_model
    from ..models.baseline import default_baseline
    from ..models.inputs.ask import ask
    from ..models.shared_model import SharedModel

    _check_pair(loaded, text2)
    methods = {label: for_model(one, default_baseline(loaded)) for label, one in named.items()}
    asked, shared = ask(loaded, text, text2, good=good, bad=bad, counterpart=counterpart), SharedModel(loaded)
    prepared = prepare(loaded, asked.batch, [asked.instance])
    alone = PreparedBatch(asked.batch, asked.batch, (), None, prepared.instances, prepared.sentences)
    explanations = {}
    for label, one in methods.items():
        try:
            with shared.lent_to(one):
                explanations[label] = explain_batch(loaded, one, alone, seed).gold[0]
        except NotApplicable as reason:
            raise UsageError(f"method {label!r} cannot explain this: {str(reason).rstrip('.')}; leave it out.") from reason
    sentence = replace(prepared.sentences[0], correct=None)  # nobody said what is right
    question = question_about(loaded, asked, sentence)
    return ExplainedText(
        model=loaded.name, texts=asked.instance.segments, sentence=sentence, question=question.text, q=question.q,
        unit=question.unit, explanations=explanations, notes=_notes(loaded, asked, sentence, question),
    )  # fmt: skip


def methods_of(given: Any) -> dict[str, Any]:
    """The methods that a user names, by the labels that stand beside their scores.

    Args:
        given: A name with settings, a method, what `@flowgauge.method` declared, or several of these.

    Raises:
        UsageError: An unknown name or setting, a method that has to be trained, no method.
    """
    several = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    methods = dict[str, Any]()
    for each in several:
        one = _method(each)
        settings = "" if not isinstance(each, str) or "=" not in each else each.rpartition(":")[2]
        if hasattr(one, "fit") and not getattr(one, "weights", None):
            raise UsageError(
                f"method {one.name!r} is trained on a task first, and one text is no task: "
                f"`flowgauge run --task TASK --method {one.name}` trains it and explains the sentences of the task."
            )
        methods[f"{one.name}:{settings}" if settings else one.name] = one
    if not methods:
        raise UsageError("no method is named: name at least one (`flowgauge list methods` shows them).")
    return methods


def _method(given: Any) -> Any:
    from ..methods.registry import METHODS

    if isinstance(given, (str, Spec)):
        return METHODS.create(given)
    declared = inspect.isclass(given) or not hasattr(given, "explain")
    one = given
    if declared and getattr(given, "flowgauge_kind", "") == "method":
        one = given()
        object.__setattr__(one, "flowgauge_given", frozenset())  # its defaults are the model's
    if not hasattr(one, "explain") or inspect.isclass(one):
        raise UsageError(f"{quoted(given, 100)} is no method: give a name, or what `@flowgauge.method` declared.")
    return one


def _loaded(model: str | Layered | None, text: str, device: str, revision: str | None) -> Layered:
    """The model itself, loaded where it is named.

    Raises:
        UsageError: No such model; none named for a text without a gap.
    """
    if model is not None and not isinstance(model, str):
        return model
    from ..benchmark.engine.plan import DEFAULT_MODEL
    from ..benchmark.loading.load import load_model

    if model is None and GAP not in text:
        raise UsageError(
            f"no model is named, and {DEFAULT_MODEL} fills gaps: write {GAP} into the text, or name a classifier with --model."
            if text.strip()
            else "the text is empty: give a sentence in quotes."
        )
    return load_model(model or DEFAULT_MODEL, device=device, revision=revision)


def _check_pair(model: Layered, text2: str | None) -> None:
    """Holds the number of texts against the published data that a classifier was trained on, where its files name them.

    Raises:
        UsageError: A pair for a classifier of single texts, or a single text for one of pairs.
    """
    from ..benchmark.fine_tuning.fine_tuned_model import task_of
    from ..tasks.classification import PUBLISHED

    config = getattr(getattr(model, "hf", None), "config", None)
    task = getattr(config, "finetuning_task", None) or task_of(Path(str(getattr(config, "_name_or_path", "") or ".")))
    if model.head != "label" or task not in PUBLISHED:
        return
    pairs = len(PUBLISHED[task].corpus.texts) == 2
    if text2 is not None and not pairs:
        raise UsageError(f"model {model.name!r} was trained on single texts ({task}) and was given a pair: leave the second out.")
    if text2 is None and pairs:
        raise UsageError(f"model {model.name!r} was trained on pairs ({task}): give the second text as --text2 or `text2`.")


class AskedQuestion(NamedTuple):
    """What was asked.

    Attributes:
        text: The question with q, in words.
        q: The value of q.
        unit: Its unit.
    """

    text: str
    q: float
    unit: str


def question_about(model: Layered, asked: AskedText, sentence: ExplainedSentence) -> AskedQuestion:
    """The question that was asked about a text, in words and with the value of q."""
    import torch

    from ..models.outputs import value

    with torch.no_grad():
        q = float(value(model.outputs(asked.batch), asked.batch)[0])
    unit = UNITS.get(asked.batch.quantity.form, "units of q")
    if model.head in ("masked", "next"):
        good, bad = asked.instance.answer[0], asked.instance.against[0]
        where = " in the gap" if model.head == "masked" else " as the next word"
    elif model.head == "span":
        tokens = [int(end.rpartition("@")[2]) for end in (*sentence.answer, *sentence.against)]
        good, bad = _span(asked, sentence, tokens[:2]), _span(asked, sentence, tokens[2:])
        where = " as the answer"
    else:
        good, bad, where = sentence.answer[0], (sentence.against or ("",))[0], ""
    if not bad:
        return AskedQuestion(f"Why does {model.name} give this {good}? q = {good} = {q:.3g} {unit}.", q, unit)
    difference = f"logit({good}) - logit({bad})" if model.head != "span" else "the difference of logits at both ends"
    why = (
        f"Why does {model.name} prefer {good!r} to {bad!r}{where}"
        if q >= 0
        else f"Why does {model.name} not prefer {good!r} to {bad!r}{where}"
    )
    return AskedQuestion(f"{why} ({asked.chosen})? q = {difference} = {q:.3g} {unit}.", q, unit)


def _span(asked: AskedText, sentence: ExplainedSentence, ends: Sequence[int]) -> str:
    """The words from one token to another; of ends that enclose nothing, both words."""
    words = [asked.instance.segments[s].split()[w] if s >= 0 else sentence.tokens[i] for i, (s, w) in enumerate(sentence.words)]
    first, last = ends
    if first > last:
        return f"{words[first]} ... {words[last]}"
    joined = {sentence.words[i] if sentence.words[i][0] >= 0 else (-1, i): words[i] for i in range(first, last + 1)}
    return " ".join(joined.values())


def _notes(model: Layered, asked: AskedText, sentence: ExplainedSentence, question: AskedQuestion) -> tuple[str, ...]:
    """Sentences on what a reader should know: that the question is a close one, and which words the model does not know."""
    from ..models.inputs.unknown_words import describe_unknown, unknown_words

    words = unknown_words(model, asked.batch.ids[0].tolist(), sentence.words, asked.instance.segments)
    return (*_close(model, asked, question), *([f"{describe_unknown(model, words)}."] if words else []))


def _close(model: Layered, asked: AskedText, question: AskedQuestion) -> tuple[str, ...]:
    """Says that neither of the two words that the model chose itself is much likelier, so that there is little to explain."""
    odds = math.exp(abs(question.q))
    if not asked.own_words or odds >= CLOSE:
        return ()
    ended = asked.instance.segments[0].rstrip().endswith(tuple(".!?"))
    stop = ", or end the text with a full stop, as in what models are trained on" if model.head == "masked" and not ended else ""
    return (
        f"Neither word is much likelier than the other (odds {odds:.2f} to 1), so that there is little to explain: name two "
        f"words whose difference matters as --good and --bad (in Python good and bad), such as 'is' and 'are'{stop}.",
    )
