"""Styles of methods and names of files."""

from __future__ import annotations

from flowgauge.leaderboards.figures.style import LONGEST, file_stem, line_style
from flowgauge.methods.registry import METHODS as REGISTERED


def test_names_of_files_are_never_too_long() -> None:
    names = [file_stem(f"mask {'probe=folder/' * 40} {end}") for end in "ab"]
    assert [len(name) for name in names] == [LONGEST, LONGEST] and names[0] != names[1]


def test_no_two_methods_are_drawn_alike():
    assert len({line_style(number) for number in range(len(REGISTERED.builtin))}) == len(REGISTERED.builtin)
    assert len({line_style(number) for number in range(64)}) == 64
