"""The command line on the random model, and what its errors must look like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flowgauge.cli import app

PLUGINS = Path(__file__).parents[1] / "benchmark" / "plugins.py"
Invoke = Callable[..., Result]


@pytest.fixture
def invoke(tiny_model: Path, tmp_path: Path) -> Invoke:
    """Runs `flowgauge run` on the random model with a cheap method, unless the words say otherwise."""

    def call(*words: str, method: str = "by-position", metric: str = "token-sum", model: str = str(tiny_model)) -> Result:
        scored = metric if metric == "none" else f"{PLUGINS}:{metric}"
        fixed = ["--method", f"{PLUGINS}:{method}", "--metric", scored, "--model", model, "--device", "cpu"]
        store = [] if "--store" in words else ["--store", str(tmp_path / "store")]
        return CliRunner().invoke(app, ["run", *fixed, *store, *words])

    return call


def one_line(result: Result, code: int, *texts: str) -> None:
    """The command ended with an exit code and one line on stderr, which has these texts."""
    assert result.exit_code == code, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    for text in texts:
        assert text in lines[0]


def pairs(path: Path, *rows: str, head: str = "sentence\tgood\tbad") -> str:
    """Writes a file of minimal pairs and returns its name."""
    path.write_text("\n".join([head, *rows]) + "\n")
    return str(path)
