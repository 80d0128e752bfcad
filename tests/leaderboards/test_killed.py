"""Commands that are killed, or run at once by several processes, end as if nothing had happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("FLOWGAUGE_KILLS", "2"))
"""SIGKILLs of each command; 20 before a release."""


@pytest.fixture(scope="module")
def left(tiny_bert: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What commands left that were killed at random moments and repeated."""
    words = [sys.executable, "-m", "tests.leaderboards.killing", str(tiny_bert), str(tiny_data)]
    folder = tmp_path_factory.mktemp("killed")
    done = subprocess.run([*words, str(folder), str(KILLS)], capture_output=True, text=True, check=False, cwd=ROOT, timeout=1800)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "is damaged" not in done.stderr, "a kill is no damage"
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def same(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert one.keys() == two.keys() and len(one) == 2
    for folder, (*counts, rows) in one.items():
        assert counts[0] == "done" and counts[1] == counts[2] == counts[3] == 12
        assert two[folder][:-1] == counts, "an instance is missing or counted twice"
        for metric, expected in rows.items():
            there = two[folder][-1][metric]
            assert [row[:2] for row in there] == [row[:2] for row in expected]
            np.testing.assert_allclose([row[2] for row in there], [row[2] for row in expected], rtol=1e-5, atol=1e-6)


def test_what_was_killed_or_shared_is_as_if_nothing_had_happened(left: dict[str, Any]) -> None:
    """One test, since workers that share the tests of a module would each kill all commands."""
    assert [left[command] for command in ("run", "train", "merge", "build")] == [KILLS] * 4
    same(left["whole"], left["killed"])  # it went on with other sizes of batches
    same(left["whole"], left["shared"])  # four processes in one store
    same(left["whole"], left["board"])
    assert left["ledger"]
    assert left["weights"][0] == left["weights"][1] and left["models"] == ["killed", "straight"]
    assert left["site"] > 10 and left["sites"] == ["site"]
    assert left["temporary"] == []
