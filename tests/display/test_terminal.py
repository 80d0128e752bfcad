"""The terminal: shaded words, bars that show the sign without colour, and tables of what scores no words."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from rich.console import Console

from flowgauge.display.terminal import plain_text, print_explained

from .conftest import EDGES, HEADS, NODES, TOKENS

ESCAPE = "\x1b["


def printed(explained, **options) -> str:
    written = io.StringIO()
    print_explained(explained, Console(file=written, width=100, markup=False, highlight=False, **options))
    return written.getvalue()


def test_words_stand_beside_their_scores_and_bars(by_hand):
    lines = plain_text(by_hand(saliency=TOKENS), 80).splitlines()
    assert lines[:2] == ["Why 'is'? q = 1.5 logits.", ""]
    assert lines[2].split() == ["word", "saliency"]
    assert lines[4] == "unhappy  +3.00 ████████████"
    assert lines[5] == "[MASK]   -1.50 ░░░░░░"
    assert not any(line.endswith(" ") for line in lines)


def test_several_methods_stand_side_by_side(by_hand):
    text = plain_text(by_hand(one=TOKENS, two=TOKENS), 120)
    assert "unhappy  +3.00 ████████████  +3.00 ████████████" in text


def test_a_terminal_with_colours_shades_the_words(by_hand):
    text = printed(by_hand(saliency=TOKENS), force_terminal=True, color_system="truecolor", no_color=False)
    assert f"{ESCAPE}38;2;0;0;0;48;2;0;158;115munhappy{ESCAPE}0m" in text  # the full green
    assert text.count("48;2;") == 2  # the small scores are left as they are


def test_a_long_text_is_folded_between_words(by_hand):
    explained = by_hand(saliency=TOKENS)
    explained.__dict__["words"] = explained.words * 8
    explained.__dict__["word_scores"] = {"saliency": np.array([0.0, 3.0, -1.5, 0.25, 0.0] * 8)}
    lines = printed(explained, force_terminal=True, color_system="truecolor", no_color=False).splitlines()
    shaded = [re.sub(r"\x1b\[[\d;]*m", "", line).strip() for line in lines if "48;2;" in line]
    words = " ".join(shaded).removeprefix("saliency").split()
    assert len(shaded) > 1 and words == [word.text for word in explained.words]


def test_no_color_and_files_stay_plain(by_hand, monkeypatch, capsys):
    monkeypatch.setenv("NO_COLOR", "1")
    text = printed(by_hand(saliency=TOKENS), force_terminal=True, color_system="truecolor")
    assert "38;2" not in text and "48;2" not in text and "-1.50 ░░░░░░" in text
    monkeypatch.delenv("NO_COLOR")
    print_explained(by_hand(saliency=TOKENS))
    assert ESCAPE not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("explanation", "title", "first"),
    [
        (HEADS, "mine: strongest heads", "layer 1 head 2"),
        (NODES, "mine: strongest nodes", "[MASK] after layer 1"),
        (EDGES, "mine: strongest edges", "##happy to [MASK], layer 1 head 2"),
    ],
)
def test_a_method_without_words_shows_what_it_has(by_hand, explanation, title, first):
    text = plain_text(by_hand(mine=explanation), 100)
    assert (title in text and first in text and "░" in text) or "█" in text
    assert "word " not in text


def test_notes_and_control_characters(by_hand):
    text = plain_text(by_hand(text="a\x1b[2Jb [MASK] .", notes=("A note.",), saliency=TOKENS), 100)
    assert "A note." in text and "\x1b" not in text and r"a\x1b[2Jb" in text
