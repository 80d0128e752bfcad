"""The text of cells: what is text, and what is refused as none."""

from __future__ import annotations

import pytest

from flowgauge.tasks.table import BrokenRowError, FileRow


@pytest.mark.parametrize("cell", ['["the", "film"]', "['the', 'film']", "['the' 'film']", '{"text": "the film"}'])
def test_a_list_that_a_program_wrote_as_text_is_no_text(cell: str) -> None:
    with pytest.raises(BrokenRowError, match=r"^s is a list or object written as text: .* Write the words with blanks"):
        FileRow(1, 1, {"s": cell}).text("s")


@pytest.mark.parametrize("text", ["[MASK] is here", '["What"] he said', "['t was good", "[sic] 'good' [sic]", "{ a }"])
def test_brackets_in_a_text_stay(text: str) -> None:
    assert FileRow(1, 1, {"s": text}).text("s") == text


def test_a_word_with_a_blank_in_a_list_is_no_single_word() -> None:
    with pytest.raises(BrokenRowError, match="'New York' in it is no single word"):
        FileRow(1, 1, {"s": ["New York", "is"]}).text("s")


def test_bytes_are_no_text() -> None:
    with pytest.raises(BrokenRowError, match=r"^s holds values of type bytes, which are no text; save them as text\.$"):
        FileRow(1, 1, {"s": b"a film"}).text("s")
