"""The version that records carry is the project's."""

from __future__ import annotations

import tomllib
from pathlib import Path

from flowgauge.core.version import VERSION


def test_the_version_is_that_of_the_project_file() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION == "0.1.0"
