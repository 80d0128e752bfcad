"""Tokenizers that would make a text many times as long are refused, and patterns that backtrack are given up."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowgauge.core.errors import UnfitSentence, UsageError
from flowgauge.models.checkpoint import open_checkpoint
from flowgauge.models.tokenizer import load_tokenizer, run_tokenizer


@pytest.fixture
def edited(tiny_bert: Path, tmp_path: Path) -> Callable[..., Path]:
    """`edited(normalizer=...)`: the tiny model with another part of its tokenizer.json."""

    def edit(**parts: Any) -> Path:
        folder = Path(shutil.copytree(tiny_bert, tmp_path / "odd", dirs_exist_ok=True))
        stored = json.loads((folder / "tokenizer.json").read_text())
        (folder / "tokenizer.json").write_text(json.dumps({**stored, **parts}))
        return folder

    return edit


def replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


@pytest.mark.parametrize(
    ("parts", "growth"),
    [
        ({"normalizer": {"type": "Sequence", "normalizers": [replace({"String": "a"}, "aa")] * 40}}, "1,099,511,627,776"),
        ({"normalizer": replace({"Regex": "a"}, "a" * 999)}, "1,000"),
        ({"post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}] * 2000, "pair": []}}, "200"),
    ],
)
def test_a_tokenizer_that_expands_its_text_is_refused(edited: Callable[..., Path], parts: dict[str, Any], growth: str) -> None:
    with pytest.raises(UsageError, match=f"may write {growth} characters for one"):
        load_tokenizer(open_checkpoint(str(edited(**parts))))


def test_replacements_of_published_tokenizers_are_read(edited: Callable[..., Path]) -> None:
    quotes = [replace({"String": "``"}, '"'), replace({"Regex": " {2,}"}, " "), {"type": "Lowercase"}]
    tokenizer = load_tokenizer(open_checkpoint(str(edited(normalizer={"type": "Sequence", "normalizers": quotes}))))
    assert run_tokenizer(tokenizer, "The  author", what="a text").input_ids == tokenizer("the author").input_ids


def test_a_damaged_tokenizer_is_named(edited: Callable[..., Path]) -> None:
    folder = edited()
    for text in ("{", "[]"):
        (folder / "tokenizer.json").write_text(text)
        with pytest.raises(UsageError, match=r"tokenizer.json is damaged, no tokenizer can be read from it"):
            load_tokenizer(open_checkpoint(str(folder)))


def test_a_pattern_that_backtracks_is_told_in_one_line(edited: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
    pattern = replace({"Regex": "(a+)+b"}, "x")
    tokenizer = load_tokenizer(open_checkpoint(str(edited(normalizer=pattern))))
    with pytest.raises(UnfitSentence, match=r"the tokenizer fails on instance 'i' \(.*retry-limit.*\): choose another model"):
        run_tokenizer(tokenizer, "a" * 40, what="instance 'i'")
    assert capfd.readouterr().err == ""


def test_a_tokenizer_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowgauge.models.tokenizer.SECONDS", 0.01)
    with pytest.raises(UnfitSentence, match=r"works on instance 'i' for more than 0.01 seconds and was given up"):
        run_tokenizer(lambda text: time.sleep(0.3), "a text", what="instance 'i'")


def test_a_tokenizer_that_cannot_hang_needs_no_thread(edited: Callable[..., Path]) -> None:
    threads = set[str]()

    class Noted:
        may_hang = load_tokenizer(open_checkpoint(str(edited()))).may_hang

        def __call__(self, text: str) -> None:
            threads.add(threading.current_thread().name)

    run_tokenizer(Noted(), "a text", what="instance 'i'")
    assert threads == {threading.main_thread().name}


def test_a_tokenizer_of_endless_words_keeps_its_limit_of_time(edited: Callable[..., Path]) -> None:
    folder = edited()
    path = folder / "tokenizer.json"
    stored = json.loads(path.read_text())
    for most in (100, 10**6):
        pieces = {"type": "WordPiece", "continuing_subword_prefix": "##", "max_input_chars_per_word": most}
        stored["model"] |= pieces
        path.write_text(json.dumps(stored))
        assert load_tokenizer(open_checkpoint(str(folder))).may_hang == (most > 100)


def test_an_interrupt_by_the_user_is_no_fault_of_the_text() -> None:
    class Interrupted:
        may_hang = False

        def __call__(self, text: str) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_tokenizer(Interrupted(), "a text", what="instance 'i'")
