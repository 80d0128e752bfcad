"""The tokenizer of a checkpoint: read if it is fast and cannot blow up a text, and run with a limit of time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Thread
from typing import Any

from ..core.errors import UnfitSentence, UsageError, in_words, printable
from .checkpoint import Checkpoint, fetch
from .checkpoint_files import read_json

SECONDS = 20.0
"""Time that a tokenizer may take for one text; the slowest published ones take milliseconds."""
GROWTH = 100.0
"""Most characters that a tokenizer's normalizers may write for one of the text."""
LONGEST_WORD = 1000
"""Most characters of a word that a tokenizer may take apart without a limit of time; published ones take 100."""
LARGEST_TOKENIZER = 2**28
"""Most bytes of `tokenizer.json`."""


def padding_token(tokenizer: Any) -> int:
    """The token of padding, which the attention mask hides: that of the tokenizer, else its end of text, else the first one."""
    tokens = (tokenizer.pad_token_id, getattr(tokenizer, "eos_token_id", None))
    return next((token for token in tokens if token is not None), 0)


def load_tokenizer(checkpoint: Checkpoint) -> Any:
    """The fast tokenizer of a checkpoint.

    Raises:
        UsageError: The model has no tokenizer, a slow one, or one whose normalizers make a text many times as long.
    """
    from transformers import AutoTokenizer

    os.environ["RUST_BACKTRACE"] = "0"  # a failed tokenizer would print its stack
    name, source = checkpoint.name, checkpoint.source
    _check_growth(name, Path(source) / "tokenizer.json")
    options = {"revision": checkpoint.revision, "trust_remote_code": False}
    tokenizer = fetch(lambda: AutoTokenizer.from_pretrained(source, **options), name, "a tokenizer")
    if len(tokenizer) <= len(tokenizer.all_special_tokens):  # transformers builds an empty one if there are no files
        raise UsageError(
            f"model {name!r} has no tokenizer (tokenizer.json or vocab.txt): save the one it was trained with beside it, "
            "as `AutoTokenizer.from_pretrained(BASE).save_pretrained(FOLDER)` does."
        )
    if not tokenizer.is_fast:
        raise UsageError(
            f"model {name!r} has no fast tokenizer (tokenizer.json), which is needed to know where words are: "
            "save one beside the model with `PreTrainedTokenizerFast.save_pretrained(FOLDER)`."
        )
    backend = tokenizer.backend_tokenizer
    tokenizer.has_patterns = '"Regex"' in backend.to_str()
    # WordPiece takes time with the square of a word's length, and refuses words that are longer than this.
    tokenizer.may_hang = tokenizer.has_patterns or getattr(backend.model, "max_input_chars_per_word", 0) > LONGEST_WORD
    return tokenizer


def run_tokenizer(tokenizer: Any, *texts: Any, what: str, **options: Any) -> Any:
    """What a tokenizer returns for one or two texts, or for lists of them.

    Where it may hang, it runs in a thread of its own, because it cannot be interrupted.

    Args:
        tokenizer: A fast tokenizer.
        texts: What it takes.
        what: What messages call the texts, such as `instance 'sst2/1'`.
        options: Further arguments of the tokenizer.

    Raises:
        UnfitSentence: It fails, or takes longer than `SECONDS` a text.
    """
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(tokenizer(*texts, **options))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a pattern that gives up raises no Exception
            outcome.append(error)

    if not getattr(tokenizer, "may_hang", True):
        run()
    else:
        thread = Thread(target=run, daemon=True)
        with _silent() if getattr(tokenizer, "has_patterns", False) else nullcontext():
            thread.start()
            thread.join(SECONDS * (1 if isinstance(texts[0], str) else max(1, len(texts[0]))))
    alone = isinstance(texts[0], str)
    remedy = "choose another model, or leave such sentences out with --on-split skip" if alone else "choose another model"
    if not outcome:
        raise UnfitSentence(f"the tokenizer works on {what} for more than {SECONDS:g} seconds and was given up: {remedy}.")
    if isinstance(outcome[0], BaseException):
        raise UnfitSentence(f"the tokenizer fails on {what} ({printable(in_words(outcome[0]))}): {remedy}.") from outcome[0]
    return outcome[0]


@contextmanager
def _silent() -> Iterator[None]:
    """Drops what is written to standard error, where a pattern that gives up prints lines of its own."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _check_growth(name: str, path: Path) -> None:
    """Refuses a tokenizer that could write many characters for one, such as a chain of replacements of `a` by `aa`.

    Raises:
        UsageError: Says by how much.
    """
    if not path.is_file():
        return
    stored, growth = read_json(path, LARGEST_TOKENIZER, "tokenizer"), 1.0
    try:
        for part in (*_parts(stored.get("normalizer"), "normalizers"), *_parts(stored.get("pre_tokenizer"), "pretokenizers")):
            growth *= _factor(part)
        for part in _parts(stored.get("post_processor"), "processors"):
            pieces = [*(part.get("single") or ()), *(part.get("pair") or ())] if part.get("type") == "TemplateProcessing" else []
            growth *= max(1, len(pieces) / 10)  # eight or fewer, [CLS] A [SEP] and [CLS] A [SEP] B [SEP]
    except (ValueError, RecursionError, AttributeError, TypeError) as error:
        raise UsageError(f"{path} is damaged, no tokenizer can be read from it: copy the checkpoint again.") from error
    if growth > GROWTH:
        raise UsageError(
            f"the tokenizer of model {name!r} may write {growth:,.0f} characters for one (tokenizer.json), expected at most "
            f"{GROWTH:.0f}: save the tokenizer that the model was trained with beside it."
        )


def _parts(part: Any, inner: str) -> Iterator[dict[str, Any]]:
    """A part of a tokenizer, or those that a sequence of parts has."""
    if isinstance(part, dict) and part.get("type") == "Sequence":
        for each in part.get(inner) or ():
            yield from _parts(each, inner)
    elif isinstance(part, dict):
        yield part


def _factor(part: dict[str, Any]) -> float:
    """Most characters that a normalizer writes for one, as far as its settings decide."""
    if part.get("type") != "Replace":
        return 1.0
    pattern, content = part.get("pattern") or {}, str(part.get("content", ""))
    if "String" in pattern:
        return max(1.0, len(content) / max(1, len(pattern["String"])))
    return max(1.0, float(len(content) + 1))  # a regular expression may match one character, or none before each
