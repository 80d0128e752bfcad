"""Errors that a user can act on, and foreign messages made fit for one line of a terminal."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class FlowgaugeError(Exception):
    """A failure that a user can act on; the command line prints it as one line and exits with `exit_code`."""

    exit_code = 1


class UsageError(FlowgaugeError):
    """A request that cannot be carried out: an unknown name, a file that cannot be read, a setting out of range."""

    exit_code = 2


class NoSplit(UsageError):
    """A split that the task does not have."""


class UnfitSentence(UsageError):
    """An instance that does not fit the model; a user may leave such instances out (`--on-split skip`)."""


class CannotAsk(UnfitSentence):
    """An instance whose question a kind of model cannot be asked, whatever its words."""


class NoneLeft(UsageError):
    """A task of which no instance fits the model, though those that do not fit are left out."""


class TooLong(UnfitSentence):
    """An instance with more tokens than the model reads, which cannot be cut.

    Attributes:
        tokens: How many it has.
    """

    def __init__(self, message: str, tokens: int) -> None:
        super().__init__(message)
        self.tokens = tokens


class NotApplicable(FlowgaugeError):
    """A method or metric that does not apply to a model, a task or an explanation; tables show the text as the reason."""


MOST_NAMES, LONGEST_NAME = 10, 100
"""How many names a message lists, and how many characters of each."""


def listing(names: Iterable[str], like: str = "") -> str:
    """Names for a message of bounded length: in order, or those most like a text where there are too many, with their number.

    Args:
        names: Any names; each is listed once.
        like: What a user wrote.

    >>> listing(["b", "a", "b"]), listing([f"t{n}" for n in range(12)], "t7")
    ('a, b', 't7, t0, t1, t2, t3, t4, t5, t6, t8, t9 and 2 more')
    """
    known = sorted(set(names))
    if len(known) > MOST_NAMES:
        like = like[:LONGEST_NAME].casefold()
        near = {name: difflib.SequenceMatcher(None, name[:LONGEST_NAME].casefold(), like).ratio() for name in known}
        known.sort(key=lambda name: -near[name])
    more = f" and {len(known) - MOST_NAMES} more" if len(known) > MOST_NAMES else ""
    return ", ".join(shortened(name, LONGEST_NAME) for name in known[:MOST_NAMES]) + more


class UnknownName(UsageError):
    """A name that does not exist, with the nearest names that do, or with a list of them.

    Args:
        kind: What has names, such as `method`.
        name: The unknown name.
        known: The names that exist.
        hint: What to do, in a sentence.

    >>> str(UnknownName("method", "atention", ["attention", "random"]))
    "no method is called 'atention': did you mean attention?"
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        known = sorted(set(known))
        near = difflib.get_close_matches(name[:LONGEST_NAME], known, n=3, cutoff=0.5)
        guess = (
            f"did you mean {' or '.join(shortened(one, LONGEST_NAME) for one in near)}?"
            if near
            else f"known: {listing(known, name) or 'none'}."
        )
        super().__init__(f"no {kind} is called {quoted(name, LONGEST_NAME)}: {guess}{' ' + hint if hint else ''}")


def how_to_install(extra: str) -> str:
    """The command that installs an extra of the package, for an installed package and for a checkout.

    >>> how_to_install("site")
    "pip install 'flowgauge[site]' (in a checkout: pip install -c constraints.txt '.[site]')"
    """
    return f"pip install 'flowgauge[{extra}]' (in a checkout: pip install -c constraints.txt '.[{extra}]')"


def first_fault(error: Exception) -> str:
    """The text of an error; of several faults that pydantic found, the first with its place.

    >>> from pydantic import TypeAdapter, ValidationError
    >>> try:
    ...     TypeAdapter(dict[str, list[int]]).validate_python({"sizes": [1, "x"]})
    ... except ValidationError as error:
    ...     first_fault(error)
    'sizes.1: Input should be a valid integer, unable to parse string as an integer'
    >>> first_fault(ValueError("it has no cards"))
    'it has no cards'
    """
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    fault = error.errors()[0]
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"


class SharedStateChanged(FlowgaugeError):
    """A plug-in changed what other cells of the run are computed from; the run stops before anything else can use it."""


LONGEST = 500
"""Most characters of a foreign text that are shown and stored."""


def printable(text: str) -> str:
    r"""Text of any origin for a terminal: characters that would move the cursor or start a line are escaped.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def shortened(text: str, length: int = LONGEST) -> str:
    r"""Text of any origin on one line, cut to a length.

    >>> shortened("a wrong\nvalue", 8)
    'a wrong ...'
    """
    text = " ".join(text[: 2 * length].split()) if len(text) > 2 * length else " ".join(text.split())
    return text if len(text) <= length else text[:length] + "..."


def quoted(value: object, length: int = LONGEST) -> str:
    """A value of any origin as messages show it: its `repr`, cut to a length.

    >>> quoted("a" * 9, 4)
    "'aaa..."
    """
    try:
        return shortened(repr(value[:length] if isinstance(value, str) and len(value) > length else value), length)
    except (ValueError, RecursionError):  # a whole number of thousands of digits, or lists in lists without end
        return f"a {type(value).__name__} that is too large to be shown"


WORDLESS = {
    AssertionError: "a condition that it asserts does not hold",
    MemoryError: "there is not enough memory",
    NotImplementedError: "it is not implemented",
    RecursionError: "it calls itself without end",
    StopIteration: "an iterator has no more values",
}


def in_words(error: BaseException) -> str:
    r"""An exception of any origin as one line of bounded length, without its type.

    >>> in_words(ValueError("a wrong\nvalue")), in_words(KeyError("q")), in_words(SystemExit(3))
    ('a wrong value', "there is no 'q' in a mapping", 'it ended Python with the exit code 3')
    """
    try:
        text = str(error)
    except KeyboardInterrupt:
        raise
    except BaseException:  # the exception is foreign, and so is the code of its message
        text = ""
    if isinstance(error, SystemExit):
        text = f"it ended Python with the exit code {text or 0}"
    elif isinstance(error, KeyError) and len(error.args) == 1:
        text = f"there is no {text} in a mapping"
    words = shortened(re.sub(r"^(\s*[\w.]*(Error|Exception|Interrupt)\b:?)+", "", text)).rstrip(".")
    return words or next((text for kind, text in WORDLESS.items() if isinstance(error, kind)), "it failed without a message")
