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
    one_line,
    printable,
)


@pytest.mark.parametrize(("error", "code"), [(FlowgaugeError, 1), (NotApplicable, 1), (UsageError, 2)])
def test_errors_carry_their_exit_code(error: type[FlowgaugeError], code: int) -> None:
    assert error("x").exit_code == code
    assert UnknownName("task", "x", ["y"]).exit_code == 2


def test_foreign_messages_are_one_bounded_line() -> None:
    class Weird(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert one_line(Weird()) == "Weird"
    assert one_line(ValueError("a\nb")) == "ValueError: a b"
    assert len(one_line(ValueError("x" * 10**5))) < 600


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
    assert LONGEST == 500
