"""Errors carry exit codes, name near matches, and are one bounded line that no terminal takes for a command."""

from __future__ import annotations

import pytest

from flowgauge.core.errors import (
    LONGEST,
    FlowgaugeError,
    NoSplit,
    NotApplicable,
    TooLong,
    UnfitSentence,
    UnknownName,
    UsageError,
    in_words,
    listing,
    printable,
    quoted,
    shortened,
)


@pytest.mark.parametrize(("error", "code"), [(FlowgaugeError, 1), (NotApplicable, 1), (UsageError, 2)])
def test_errors_carry_their_exit_code(error: type[FlowgaugeError], code: int) -> None:
    assert error("x").exit_code == code
    assert UnknownName("task", "x", ["y"]).exit_code == 2


def test_foreign_messages_are_one_bounded_line() -> None:
    class Weird(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert in_words(Weird()) == "it failed without a message"
    assert in_words(ValueError("a\nb")) == "a b"
    assert len(in_words(ValueError("x" * 10**5))) < 600 and len(shortened("y\n" * 10**6)) < 600


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyError("gold"), "there is no 'gold' in a mapping"),
        (AssertionError(), "a condition that it asserts does not hold"),
        (StopIteration(), "an iterator has no more values"),
        (SystemExit(), "it ended Python with the exit code 0"),
        (RuntimeError("ValueError: torch.OutOfMemoryError: too large."), "too large"),
        (KeyboardInterrupt("as the plug-in says"), "as the plug-in says"),
    ],
)
def test_an_error_is_said_without_the_name_of_its_class(error: BaseException, words: str) -> None:
    assert in_words(error) == words


def test_an_unknown_name_is_answered_by_near_ones_or_by_all() -> None:
    near = UnknownName("method", "atention", ["random", "attention"], "See the list.")
    assert str(near) == "no method is called 'atention': did you mean attention? See the list."
    assert str(UnknownName("method", "zzz", ["b", "a"])) == "no method is called 'zzz': known: a, b."


def test_sentences_that_can_be_left_out_are_usage_errors_with_their_length() -> None:
    assert issubclass(NoSplit, UsageError) and issubclass(UnfitSentence, UsageError)
    error = TooLong("600 tokens are too many.", 600)
    assert isinstance(error, UnfitSentence) and (error.tokens, error.exit_code) == (600, 2)


def test_control_characters_are_escaped_and_letters_of_any_script_stay() -> None:
    assert printable("a\tb\u2028é 漢") == "a\\tb\\u2028é 漢"
    assert LONGEST == 500 and shortened("a  b\nc", 4) == "a b ..."


def test_values_are_shown_cut_whatever_they_are() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert quoted("x" * 10**7, 5) == "'xxxx..." and quoted(10**5000) == "a int that is too large to be shown"
    assert quoted(endless) == "[[...]]" and len(quoted(["y" * 10**5])) == LONGEST + 3
    assert len(str(UnknownName("task", "z" * 10**6, ["a"]))) < 200


def test_lists_of_names_are_bounded_and_begin_with_those_most_like_what_was_written() -> None:
    many = [f"task-{number:05d}" for number in range(100)] + ["x" * 5000]
    text = str(UnknownName("table", "zz-00042", many))
    assert text.startswith("no table is called 'zz-00042': ") and "task-00042" in text and len(text) < 300
    assert listing(many, "zz-00042").startswith("task-00042, ") and listing(many).endswith(" and 91 more")
    assert len(str(UnknownName("table", "y" * 10_000, many))) < 1000
    assert str(UnknownName("table", "a", [])) == "no table is called 'a': known: none."
