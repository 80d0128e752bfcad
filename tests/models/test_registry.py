"""Models that flowgauge builds, by name."""

from __future__ import annotations

from typing import Any

import pytest

from flowgauge.models.built.builder import ModelBuilder
from flowgauge.models.registry import MODELS, is_built


@pytest.mark.parametrize("name", sorted(MODELS.builtin))
def test_every_name_is_that_of_a_builder(name: str) -> None:
    builder: Any = MODELS.factory(name)
    assert builder.name == name and builder.flowgauge_kind == "model"
    assert isinstance(MODELS.create(name), ModelBuilder)


@pytest.mark.parametrize(
    ("name", "built"),
    [("planted", True), ("toy-counting:seed=2", True), ("mine.py", True), ("mine.py:gru:width=3", True),
     ("agreement-bert", False), ("bert-base-uncased", False), ("./folder", False)],
)  # fmt: skip
def test_built_models_are_registered_names_and_python_files(name: str, built: bool) -> None:
    assert is_built(name) == built
