"""The declaration of a model that flowgauge builds."""

from __future__ import annotations

from typing import Any

import pytest

from flowgauge.core.errors import UsageError
from flowgauge.models.built.builder import ModelBuilder, model


def test_a_declared_class_is_a_builder_with_name_and_version() -> None:
    @model("mine", version=3)
    class Mine:
        def build(self, weights):
            return weights

    declared: Any = Mine
    assert isinstance(declared(), ModelBuilder)
    assert (declared.name, declared.version, declared.flowgauge_kind) == ("mine", 3, "model")


def test_a_name_that_cannot_stand_in_a_command_is_refused() -> None:
    with pytest.raises(UsageError, match="a model cannot be called 'two words'"):
        model("two words")
