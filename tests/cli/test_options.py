"""Options are declared once: the same flag is spelt and explained alike wherever commands share it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from flowgauge.cli import app


def commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(app)
    board = {f"leaderboard {name}": command for name, command in group.commands["leaderboard"].commands.items()}
    return {**{name: command for name, command in group.commands.items() if name != "leaderboard"}, **board}


def test_shared_flags_have_one_help_text() -> None:
    texts = defaultdict(set)
    for command in commands().values():
        for parameter in command.params:
            for flag in getattr(parameter, "opts", ()):
                if flag.startswith("--"):
                    texts[flag].add(parameter.help)
    assert len(texts) > 40
    for flag in (
        "--debug",
        "--quiet",
        "--revision",
        "--csv",
        "--column",
        "--where",
        "--max-tokens",
        "--rerun",
        "--form-only",
        "--sample",
        "--dataset",
    ):
        assert len(texts[flag]) == 1, (flag, texts[flag])


def test_every_command_that_explains_a_task_has_the_same_options_for_it() -> None:
    of_task = {
        "--task", "--model", "--limit", "--sample-seed", "--split", "--max-tokens", "--on-split", "--column", "--where",
        "--data-dir", "--revision", "--dtype", "--device",
    }  # fmt: skip
    flags = {name: {flag for p in command.params for flag in p.opts} for name, command in commands().items()}
    assert {name: of_task - flags[name] for name in ("run", "questions")} == {"run": set(), "questions": set()}
    assert {"--task", "--column", "--where", "--data-dir", "--limit", "--revision"} <= flags["train"]


def test_a_short_form_always_means_the_same() -> None:
    long_forms: dict[str, set[str]] = defaultdict(set)
    for command in commands().values():
        for parameter in command.params:
            flags = [flag for flag in getattr(parameter, "opts", ()) if flag.startswith("-")]
            for short in (flag for flag in flags if not flag.startswith("--")):
                long_forms[short] |= {flag for flag in flags if flag.startswith("--")}
    assert long_forms == {"-m": {"--model"}, "-t": {"--task"}, "-x": {"--method"}, "-q": {"--quiet"}}


@pytest.mark.parametrize(("flag", "least"), [("--sample", 1), ("--rerun", 0), ("--fresh", 1), ("--sample-seed", 0)])
def test_numbers_that_have_no_meaning_are_refused(flag: str, least: int) -> None:
    words = ["leaderboard", "verify", "nowhere", flag, str(least - 1)]
    refused = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert refused.exit_code == 2 and f"'{flag}': Input should be greater than or equal to {least}" in refused.stderr
