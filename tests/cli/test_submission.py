"""`flowgauge leaderboard verify`, `merge`, `commit-seed` and `reveal-seed`: options that cannot go together, and secret seeds."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flowgauge.cli import app

from .conftest import one_line

BUNDLE = Path(__file__).parents[1] / "fixtures" / "bundle-1"


def leaderboard(*words: str) -> Result:
    return CliRunner().invoke(app, ["leaderboard", *words])


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--form-only", "--rerun", "2"], "--rerun runs methods, and --form-only runs nothing"),
        (["--seed", "ab" * 32], "--seed needs --board"),
        (["--seed", "ab" * 32, "--board", "somewhere", "--form-only"], "cannot go with --form-only"),
    ],
)
def test_options_that_exclude_each_other_are_refused(words: list[str], text: str) -> None:
    one_line(leaderboard("verify", str(BUNDLE), *words), 2, text)


def test_the_form_of_a_bundle_is_checked_without_a_model() -> None:
    done = leaderboard("verify", str(BUNDLE), "--form-only")
    assert done.exit_code == 0 and done.stdout.splitlines()[-1].endswith("cells are well-formed"), done.output


def test_an_unknown_level_of_trust_is_refused(tmp_path: Path) -> None:
    refused = leaderboard("merge", str(BUNDLE), str(tmp_path / "board"), "--form-only", "--trust", "blindly")
    one_line(refused, 2, "no level of trust is called 'blindly'", "maintained")


def test_a_seed_is_committed_to_and_revealed(tmp_path: Path) -> None:
    board, secret = str(tmp_path / "board"), tmp_path / "secret"
    committed = leaderboard("commit-seed", board, "--out", str(secret), "--why", "first round", "--name", "me")
    assert committed.exit_code == 0 and len(committed.stdout.strip()) == 64, committed.output
    assert committed.stderr == f"the secret is in {secret}\n"
    assert committed.stdout.strip() in leaderboard("ledger", board).stdout
    revealed = leaderboard("reveal-seed", board, str(secret))
    assert revealed.exit_code == 0 and revealed.stdout.strip() in leaderboard("ledger", board).stdout


def test_a_commitment_that_cannot_be_published_leaves_no_secret(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    failed = leaderboard("commit-seed", str(tmp_path / "file" / "board"), "--out", str(tmp_path / "secret"))
    assert failed.exit_code != 0 and not (tmp_path / "secret").exists()
