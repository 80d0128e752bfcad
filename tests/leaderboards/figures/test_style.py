"""Styles of methods and names of files."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.text import Text

from flowgauge.leaderboards.figures import style
from flowgauge.leaderboards.figures.style import (
    FONT,
    LONGEST,
    add_text,
    covering,
    file_stem,
    fit_fonts,
    line_style,
    new_figure,
    save,
)
from flowgauge.methods.registry import METHODS as REGISTERED


def test_names_of_files_are_never_too_long() -> None:
    names = [file_stem(f"mask {'probe=folder/' * 40} {end}") for end in "ab"]
    assert [len(name) for name in names] == [LONGEST, LONGEST] and names[0] != names[1]


def test_no_two_methods_are_drawn_alike():
    assert len({line_style(number) for number in range(len(REGISTERED.builtin))}) == len(REGISTERED.builtin)
    assert len({line_style(number) for number in range(64)}) == 64


def test_characters_without_a_font_are_one_line_and_no_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(style, "covering", lambda letters: ())
    monkeypatch.setattr(style, "_NAMED", set())
    figure = new_figure(2, 1)
    add_text(figure, 0, 0, "\u8fd9 \u662f good")
    for name in ("one", "two"):
        assert all(path.stat().st_size > 0 for path in save(figure, tmp_path, name))
    (said,) = caplog.messages
    assert said.startswith("no font on this machine has \u662f \u8fd9 and perhaps other characters")


def test_characters_that_the_font_lacks_get_another_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(style, "_has", lambda family, letter: letter != "\u8fd9" or family == "STIXGeneral")
    covering.cache_clear()
    figure = new_figure(2, 1)
    for text in ("\u8fd9 a", "a"):
        add_text(figure, 0, 0, text)
    fit_fonts(figure)
    families = {text.get_text(): text.get_fontfamily() for text in figure.findobj(Text)}
    covering.cache_clear()
    assert families["\u8fd9 a"] == [FONT, "STIXGeneral"] and "STIXGeneral" not in families["a"]


def test_the_font_that_draws_only_boxes_is_never_chosen() -> None:
    assert not any(name.startswith("Last Resort") for name in covering(frozenset("\u8fd9")))
    assert covering(frozenset("a"))
